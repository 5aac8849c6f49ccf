//! tmp
use headless_obs::probe::*;
#[tokio::main(flavor="current_thread")]
async fn main(){
 tracing_subscriber::fmt().with_writer(std::io::stderr).init();
 let mut o=Options::default();
 if std::env::args().nth(1).as_deref()==Some("classic"){o.tcp_hook=TcpHook::Tracepoint}
 let t=std::time::Instant::now();
 let mut l=match load(&o){Ok(l)=>l,Err(e)=>{eprintln!("ERR {e}");return}};
 eprintln!("loaded {:?} {:?} {:?}",t.elapsed(),l.hooks,l.existing);
 let end=tokio::time::sleep(std::time::Duration::from_secs(4)); tokio::pin!(end);
 loop{ tokio::select!{ _=&mut end=>break, r=l.ring.readable()=>{r.unwrap(); l.ring.drain(1000,|r|println!("{r:?}"));} } }
 for f in l.maps.flows(){println!("{f:?}")}
 println!("{:?} {:?}",l.maps.counters(),l.maps.fill());
}

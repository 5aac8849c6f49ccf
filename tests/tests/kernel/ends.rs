//! The ends of connections, and SYNs that were sent again: real sockets do each, and the ring's records tell it.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use headless_obs::probe::{self, Loaded, Options, Record, TcpHook};
use headless_obs_ebpf::end;
use headless_obs_ebpf::ring_record::{KIND_CLOSED, KIND_OPENED, TcpRecord};
use socket2::{Domain, SockRef, Socket, Type};

/// The time that a record may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than fits into the buffers of both ends.
const TOO_MUCH: usize = 16 << 20;

/// A server with room for this many connections that it has not accepted.
fn listener(address: IpAddr, backlog: i32) -> (Socket, SocketAddr) {
    let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let listener = Socket::new(domain, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    listener.listen(backlog).unwrap();
    let at = listener.local_addr().unwrap().as_socket().unwrap();
    (listener, at)
}

/// The next record of this kind about a connection to a port.
fn record(loaded: &mut Loaded, kind: u32, port: u16) -> TcpRecord {
    let deadline = Instant::now() + PATIENCE;
    let mut found = None;
    while found.is_none() {
        assert!(Instant::now() < deadline, "no record of kind {kind}");
        loaded.ring.drain(10_000, |record| {
            if let Record::Tcp(tcp) = record
                && (tcp.header.kind, tcp.port) == (kind, port)
            {
                found.get_or_insert(tcp);
            }
        });
        thread::sleep(Duration::from_millis(1));
    }
    found.unwrap()
}

/// Waits for the peer's FIN.
fn until_closed(mut stream: &TcpStream) {
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// A situation, what the client and the server do, and the end that this is.
type Case = (&'static str, fn(TcpStream, TcpStream), u8);

const CASES: [Case; 9] = [
    (
        "the client closes",
        |client, server| {
            drop(client);
            until_closed(&server);
        },
        end::CLIENT,
    ),
    (
        "the server closes",
        |client, server| {
            drop(server);
            until_closed(&client);
        },
        end::SERVER,
    ),
    (
        "the client closes its sending side, later the server closes",
        |client, server| {
            client.shutdown(Shutdown::Write).unwrap();
            until_closed(&server);
            drop(server);
            until_closed(&client);
        },
        end::CLIENT,
    ),
    (
        "the client closes its sending side, later the server resets",
        |client, server| {
            client.shutdown(Shutdown::Write).unwrap();
            until_closed(&server);
            reset(server);
            assert!((&client).read(&mut [0]).is_err());
        },
        end::SERVER_RESET,
    ),
    (
        "the server closes its sending side, later the client resets",
        |client, server| {
            server.shutdown(Shutdown::Write).unwrap();
            until_closed(&client);
            reset(client);
        },
        end::SERVER,
    ),
    ("the client resets", |client, _server| reset(client), end::CLIENT_RESET),
    (
        "the client closes without having read everything",
        |client, mut server| {
            server.write_all(b"unread").unwrap();
            assert_eq!(client.peek(&mut [0]).unwrap(), 1);
            drop(client);
        },
        end::CLIENT_RESET,
    ),
    (
        "the server resets",
        |client, server| {
            reset(server);
            assert!((&client).read(&mut [0]).is_err());
        },
        end::SERVER_RESET,
    ),
    (
        "the server reads no more, and the client's kernel gives up",
        |mut client, _server| {
            SockRef::from(&client).set_tcp_user_timeout(Some(Duration::from_millis(300))).unwrap();
            let wrote = client.write_all(&vec![1; TOO_MUCH]);
            assert_eq!(wrote.unwrap_err().raw_os_error(), Some(rustix::io::Errno::TIMEDOUT.raw_os_error()));
        },
        end::TIMEOUT,
    ),
];

/// The end as the classic tracepoint tells it: it sees states and no errors, and takes a half-closed connection for ended.
fn as_states_tell(end: u8, what: &str) -> u8 {
    match end {
        _ if what.contains("sending side") => {
            if what.starts_with("the client") {
                end::CLIENT
            } else {
                end::SERVER
            }
        }
        end::CLIENT_RESET | end::SERVER_RESET | end::TIMEOUT => end::OTHER,
        end => end,
    }
}

fn loaded(tcp_hook: TcpHook) -> Loaded {
    probe::load(&Options { tcp_hook, ..Options::default() }).unwrap()
}

#[test]
fn each_way_to_end_is_told_apart() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    for hook in [TcpHook::TpBtf, TcpHook::Tracepoint] {
        let mut loaded = loaded(hook);
        for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
            for (what, run, expected) in CASES {
                let (listener, at) = listener(address, 1);
                let client = TcpStream::connect(at).unwrap();
                let server = TcpStream::from(listener.accept().unwrap().0);
                run(client, server);
                let told = record(&mut loaded, KIND_CLOSED, at.port()).end;
                let expected = if hook == TcpHook::TpBtf { expected } else { as_states_tell(expected, what) };
                assert_eq!(told, expected, "{hook:?}, {at}: {what}");
            }
        }
    }
}

#[test]
fn a_lost_syn_is_counted() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let mut loaded = loaded(TcpHook::TpBtf);
    // The kernel drops a SYN for which the server has no room.
    let (listener, at) = listener(Ipv4Addr::LOCALHOST.into(), 0);
    let first = TcpStream::connect(at).unwrap();
    assert_eq!(record(&mut loaded, KIND_OPENED, at.port()).retransmitted, 0);
    let second = thread::spawn(move || TcpStream::connect(at).unwrap());
    thread::sleep(Duration::from_millis(300));
    let _accepted = listener.accept().unwrap();
    let opened = record(&mut loaded, KIND_OPENED, at.port());
    assert!(opened.retransmitted >= 1, "{opened:?}");
    assert!(opened.header.time - opened.started >= 900_000_000, "{opened:?}");
    drop((first, second.join().unwrap()));
}

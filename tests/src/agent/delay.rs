//! Role `delay`: holds the packets that its pod sends, and then lets them go.
//!
//! In: [`DelaySpec`], and the packets that the pod routes to a device of this process. Out: the same packets, in the same
//! order, with a mark by which the pod routes them on.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Context, Result};
use lab::delay::{DEVICE, DelaySpec, MARK};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tun_rs::{DeviceBuilder, Layer};

use crate::control;

/// `IPPROTO_RAW`: the sender writes the header.
const RAW: i32 = 255;
/// The longest packet.
const PACKET: usize = 1 << 16;

/// Delays until stdin ends.
pub(crate) fn run(spec: DelaySpec) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(hold(Duration::from_millis(spec.milliseconds)))
}

async fn hold(time: Duration) -> Result<()> {
    let device = DeviceBuilder::new().name(DEVICE).layer(Layer::L3).build_async();
    let device = device.context("cannot make a network device of this process")?;
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW)))?;
    socket.set_header_included_v4(true)?;
    socket.set_mark(MARK)?;
    let (held, mut due) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((when, packet)) = due.recv().await {
            sleep_until(when).await;
            // A packet that cannot leave is lost, as on any way.
            let _lost = destination(&packet).map(|to| socket.send_to(&packet, &to));
        }
    });
    tokio::spawn(async move {
        let mut packet = vec![0; PACKET];
        while let Ok(length) = device.recv(&mut packet).await {
            let _ended = held.send((Instant::now() + time, packet[..length].to_vec()));
        }
    });
    control::reply(Ok(()))?;
    let waiting = tokio::task::spawn_blocking(|| control::commands::<()>().for_each(drop));
    waiting.await.context("the reader of commands died")
}

/// The destination in a packet's header.
fn destination(packet: &[u8]) -> Option<SockAddr> {
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    (packet[0] >> 4 == 4).then(|| SockAddr::from(SocketAddrV4::new(Ipv4Addr::from(address), 0)))
}

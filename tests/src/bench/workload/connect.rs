//! Connects to the targets in turn and closes each connection at once. The time is that of `connect` alone.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, ensure};
use rustix::net::{AddressFamily, SocketType, connect, socket};

use super::{Done, Pace};

pub(super) fn run(targets: &[SocketAddr], pace: Pace) -> Result<Done> {
    ensure!(!targets.is_empty(), "the command has no targets");
    let mut next = targets.iter().cycle();
    pace.run(|| {
        let Some(target) = next.next() else { return Ok(None) };
        let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket(family, SocketType::STREAM, None)?;
        let begin = Instant::now();
        let connected = connect(&socket, target);
        let time = begin.elapsed();
        Ok(connected.is_ok().then_some((1, time)))
    })
}

//! Sends as much as possible: bulk data by TCP, packets by UDP. The server counts the data that arrived.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Done, Pace};

/// Longer than any run: a server that stops reading must not block the client for ever.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(target: SocketAddr, tcp: bool, size: usize, pace: Pace) -> Result<Done> {
    let piece = vec![0; size];
    if tcp {
        let mut stream = TcpStream::connect(target).with_context(|| format!("cannot reach {target}"))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        return pace.run(|| {
            let begin = Instant::now();
            stream.write_all(&piece)?;
            Ok(Some((1, begin.elapsed())))
        });
    }
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(target).with_context(|| format!("cannot reach {target}"))?;
    pace.run(|| {
        let begin = Instant::now();
        // If the queue is full, the packet was not sent.
        Ok(socket.send(&piece).is_ok().then(|| (1, begin.elapsed())))
    })
}

//! Queries a DNS server for the addresses of one name, over UDP with one connected socket. The time is that of one
//! exchange, or of `window` parallel exchanges.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};

use super::{Done, Pace};

/// The client counts a later response as lost.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn run(server: SocketAddr, name: &str, window: usize, pace: Pace) -> Result<Done> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(server).with_context(|| format!("cannot reach {server}"))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name)?, RecordType::A));
    let mut question = message.to_vec()?;
    let mut answer = [0; 4096];
    let mut id = 0_u16;
    let window = window.max(1);
    pace.run(|| {
        let begin = Instant::now();
        let first = id;
        for _ in 0..window {
            question[..2].copy_from_slice(&id.to_be_bytes());
            id = id.wrapping_add(1);
            socket.send(&question)?;
        }
        for _ in 0..window {
            // A response to a query that timed out earlier does not count.
            let is_received = loop {
                match socket.recv(&mut answer) {
                    Ok(_) if is_within([answer[0], answer[1]], first, window) => break true,
                    Ok(_) => {}
                    Err(_) => break false,
                }
            };
            if !is_received {
                return Ok(None);
            }
        }
        Ok(Some((u64::try_from(window)?, begin.elapsed() / u32::try_from(window)?)))
    })
}

/// Whether an id is one of the `window` ids that begin with `first`.
fn is_within(id: [u8; 2], first: u16, window: usize) -> bool {
    usize::from(u16::from_be_bytes(id).wrapping_sub(first)) < window
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_round() {
        assert!(is_within([0, 5], 5, 1) && !is_within([0, 6], 5, 1) && !is_within([0, 4], 5, 1));
        assert!(is_within([0, 1], 65_534, 4) && !is_within([0, 2], 65_534, 4));
    }
}

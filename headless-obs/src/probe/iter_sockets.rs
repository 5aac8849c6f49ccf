//! Finds connections that are older than the daemon by a walk over the sockets of every task, and tracks them like
//! others.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;

use aya::programs::Iter;
use aya::{Btf, Ebpf};
use headless_obs_ebpf::connection::Connection;
use headless_obs_ebpf::flow::FlowKey;
use headless_obs_ebpf::ring_record::{KIND_OPENED, SocketRecord};
use headless_obs_ebpf::symbols::ITER_SOCKETS;

use super::{Maps, ProbeError, record};

const ESTABLISHED: u32 = 1;
const LISTEN: u32 = 10;

/// Walks the open sockets and tracks those of clients. Returns the connections that were open before the programs were
/// attached. The programs must be attached already.
///
/// A connection that ends between the walk and its entry in CONNECTIONS would stay there for ever, so a second walk
/// confirms each entry.
pub(super) fn import(ebpf: &mut Ebpf, btf: &Btf, maps: &mut Maps) -> Result<Vec<SocketRecord>, ProbeError> {
    let refused =
        |error: &dyn std::fmt::Display| ProbeError::Refused { what: ITER_SOCKETS, why: error.to_string() };
    let program: &mut Iter = ebpf
        .program_mut(ITER_SOCKETS)
        .ok_or_else(|| refused(&"not in the kernel object"))?
        .try_into()
        .map_err(|error: aya::programs::ProgramError| refused(&error))?;
    program.load("task_file", btf).map_err(|error| refused(&error))?;

    let mut adopted: Vec<_> = clients(&walk(program)?)
        .into_iter()
        .filter(|connection| maps.track(connection.socket, tracked(connection)))
        .collect();
    let still_open: HashSet<u64> =
        clients(&walk(program)?).iter().map(|connection| connection.socket).collect();
    adopted.retain(|connection| still_open.contains(&connection.socket) || !maps.untrack(connection.socket));
    Ok(adopted)
}

fn walk(program: &mut Iter) -> Result<Vec<SocketRecord>, ProbeError> {
    let refused =
        |error: &dyn std::fmt::Display| ProbeError::Refused { what: ITER_SOCKETS, why: error.to_string() };
    let link = program.attach().map_err(|error| refused(&error))?;
    let link = program.take_link(link).map_err(|error| refused(&error))?;
    let mut bytes = Vec::new();
    link.into_file()
        .map_err(|error| refused(&error))?
        .read_to_end(&mut bytes)
        .map_err(|error| refused(&error))?;
    Ok(record::socket_records(&bytes))
}

/// The established sockets that were not accepted: no socket of their cgroup listens on their own port. A socket that
/// several tasks hold counts once.
fn clients(records: &[SocketRecord]) -> Vec<SocketRecord> {
    let listening: HashSet<(u64, u16)> = records
        .iter()
        .filter(|record| record.state == LISTEN)
        .map(|record| (record.cgroup, record.source_port))
        .collect();
    let by_socket: HashMap<u64, SocketRecord> = records
        .iter()
        .filter(|record| record.state == ESTABLISHED)
        .filter(|record| !listening.contains(&(record.cgroup, record.source_port)))
        .map(|record| (record.socket, *record))
        .collect();
    by_socket.into_values().collect()
}

fn tracked(record: &SocketRecord) -> Connection {
    let flow = FlowKey {
        cgroup: record.cgroup,
        source: record.source,
        destination: record.destination,
        port: record.port,
        _pad: [0; 6],
    };
    Connection { kind: KIND_OPENED, tgid: record.tgid, flow, started: 0, sent_to: [0; 16], comm: record.comm }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(socket: u64, state: u32, cgroup: u64, source_port: u16) -> SocketRecord {
        SocketRecord {
            socket,
            cgroup,
            source: [0; 16],
            destination: [0; 16],
            comm: [0; 16],
            tgid: 1,
            port: 80,
            source_port,
            state,
            _pad: 0,
        }
    }

    #[test]
    fn accepted_and_repeated_sockets_are_left_out() {
        let records = [
            socket(1, LISTEN, 7, 80),
            socket(2, ESTABLISHED, 7, 80),
            socket(3, ESTABLISHED, 7, 40_000),
            socket(3, ESTABLISHED, 7, 40_000),
            socket(4, ESTABLISHED, 8, 80),
        ];
        let mut found: Vec<_> = clients(&records).iter().map(|record| record.socket).collect();
        found.sort_unstable();
        assert_eq!(found, [3, 4], "4 uses a port that only another cgroup listens on");
    }
}

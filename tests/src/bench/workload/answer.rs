//! A cheap DNS server: it recognises a few questions by their bytes, and has prepared answers.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;

use anyhow::{Context, Result};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// Bytes of a DNS message before the question.
const HEADER: usize = 12;
const TTL: u32 = 30;

/// A question without the header, and its complete answer.
type Known = (Vec<u8>, Vec<u8>);

/// Starts to answer.
pub(super) fn start(listen: SocketAddr, names: &BTreeMap<String, Vec<IpAddr>>) -> Result<()> {
    let known = names.iter().map(|(name, addresses)| known(name, addresses)).collect::<Result<Vec<_>>>()?;
    let socket = UdpSocket::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    thread::Builder::new().spawn(move || answer(&socket, known))?;
    Ok(())
}

fn answer(socket: &UdpSocket, mut known: Vec<Known>) {
    let mut question = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut question) {
        let Some(asked) = question.get(HEADER..length) else { continue };
        let Some((_, answer)) = known.iter_mut().find(|(known, _)| known == asked) else { continue };
        answer[..2].copy_from_slice(&question[..2]);
        // A client that has gone sends no more queries.
        let _gone = socket.send_to(answer, client);
    }
}

fn known(name: &str, addresses: &[IpAddr]) -> Result<Known> {
    let name = Name::from_ascii(name)?;
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.recursion_available = true;
    message.metadata.authoritative = true;
    message.add_query(Query::query(name.clone(), RecordType::A));
    let question = message.to_vec()?.split_off(HEADER);
    for address in addresses {
        let data = match *address {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        message.add_answer(Record::from_rdata(name.clone(), TTL, data));
    }
    Ok((question, message.to_vec()?))
}

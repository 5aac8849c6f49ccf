//! The DNS answers that open connections came from.
//!
//! In: connections with their attribution. Out: the answer of each, for as long as it is open. The answer cache has only the
//! last answer for a name.

use headless_obs_ebpf::ring_record::TcpRecord;

use super::{Engine, ip};
use crate::attribution::{AnswerRef, Attribution, Target};
use crate::client::Client;
use crate::dns::Name;
use crate::time::Time;

/// The DNS answer that a connection came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AnswerOfConnection {
    /// The name that identifies the Service.
    pub(super) name: Name,
    /// The time at which it arrived.
    pub(super) at: Time,
    /// Position of the address, from 0.
    pub(super) position: u16,
    /// Addresses in it.
    pub(super) size: u16,
}

impl Engine {
    /// Keeps the answer that an open connection came from.
    pub(super) fn remember_answer(&mut self, record: &TcpRecord, client: Client, outcome: Attribution) {
        let Attribution::Endpoint(Target { used_answer: Some(used), .. }) = outcome else { return };
        let address = self.topology.original(ip(record.destination));
        if let Some(answer) = self.answer_cache.answer(client.scope, address, used.at) {
            let AnswerRef { at, position, size, .. } = used;
            let name = answer.name.clone();
            self.reconciler.came_from(record, AnswerOfConnection { name, at, position, size });
        }
    }
}

//! The connections of one client to one Service.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::expected_share::ExpectedShare;
use crate::attribution::{AnswerRef, Target};
use crate::time::Time;
use crate::topology::EndpointId;

/// The most processes per client. For a process that was forgotten, the next connection counts as a selection again.
const PROCESSES: usize = 32;
/// The most endpoints per client; beyond that a client uses "many".
const ENDPOINTS: usize = 512;
/// How long the name of a client's program stays valid.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// A process, and the answer that it used last.
#[derive(Clone, Copy, Debug)]
struct Process {
    id: u32,
    is_ipv6: bool,
    answered_at: Time,
    made: u64,
}

/// Sums over a client's connections and attempts; figures about selections count only those by the Service's name.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct ConnectStats {
    pub(in crate::engine) last: Time,
    processes: VecDeque<Process>,
    pub(in crate::engine) connections: u64,
    pub(in crate::engine) used: BTreeSet<EndpointId>,
    pub(in crate::engine) max_connects_per_answer: u64,
    pub(in crate::engine) selections: u64,
    pub(in crate::engine) first: u64,
    pub(in crate::engine) first_by_chance: f64,
    pub(in crate::engine) nearest_candidates: u64,
    pub(in crate::engine) nearest: u64,
    pub(in crate::engine) nearest_by_chance: f64,
    pub(in crate::engine) with_known_position: u64,
    pub(in crate::engine) max_position: u16,
    pub(in crate::engine) smallest_answer: Option<u16>,
    pub(in crate::engine) exposure: ExpectedShare,
    /// The program: the thread's name until the process's is known.
    pub(in crate::engine) program: Option<Arc<str>>,
    program_asked: Option<Time>,
}

impl ConnectStats {
    /// Counts a connection or an attempt; returns whether it is the process's first by its answer.
    pub(super) fn record_connect(&mut self, process: u32, target: &Target, is_ipv6: bool) -> bool {
        let Some(used_answer) = target.used_answer else { return false };
        if !target.resolution.counts() {
            return false;
        }
        self.connections += 1;
        if self.used.len() < ENDPOINTS {
            self.used.insert(target.endpoint.endpoint);
        }
        if used_answer.size > 1 {
            self.with_known_position += 1;
            self.max_position = self.max_position.max(used_answer.position);
            self.smallest_answer =
                Some(self.smallest_answer.map_or(used_answer.size, |least| least.min(used_answer.size)));
        }
        let is_selection = self.is_selection(process, is_ipv6, used_answer.at);
        if is_selection && used_answer.size > 1 {
            self.record_selection(&used_answer);
        }
        is_selection
    }

    /// Whether to look the program up: it is not known, or the last lookup was long ago.
    pub(super) fn wants_program(&mut self, at: Time, thread: impl FnOnce() -> Arc<str>) -> bool {
        if self.program_asked.is_some_and(|asked| at.since(asked) < ASK_AGAIN) {
            return false;
        }
        self.program_asked = Some(at);
        self.program.get_or_insert_with(thread);
        true
    }

    fn is_selection(&mut self, id: u32, is_ipv6: bool, answered_at: Time) -> bool {
        let known = self.processes.iter_mut().find(|known| (known.id, known.is_ipv6) == (id, is_ipv6));
        let (made, is_selection) = match known {
            // A process that uses an older answer after a newer one makes no new selection.
            Some(known) if known.answered_at >= answered_at => {
                known.made += 1;
                (known.made, false)
            }
            Some(known) => {
                (known.answered_at, known.made) = (answered_at, 1);
                (1, true)
            }
            None => {
                if self.processes.len() == PROCESSES {
                    self.processes.pop_front();
                }
                self.processes.push_back(Process { id, is_ipv6, answered_at, made: 1 });
                (1, true)
            }
        };
        self.max_connects_per_answer = self.max_connects_per_answer.max(made);
        is_selection
    }

    fn record_selection(&mut self, used_answer: &AnswerRef) {
        let size = f64::from(used_answer.size);
        self.selections += 1;
        self.first += u64::from(used_answer.position == 0);
        self.first_by_chance += 1.0 / size;
        if used_answer.nearest > 0 {
            self.nearest_candidates += 1;
            self.nearest += u64::from(used_answer.is_near);
            self.nearest_by_chance += f64::from(used_answer.nearest) / size;
        }
    }
}

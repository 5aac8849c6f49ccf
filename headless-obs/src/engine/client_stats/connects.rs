//! The connections of one client to one Service.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::used_endpoints::UsedEndpoints;
use crate::attribution::{AnswerRef, Target};
use crate::service_resolution::Resolution;
use crate::time::Time;
use crate::topology::EndpointId;
use crate::windowed::{Sum, Windowed};

/// The most processes per client. For a process that was forgotten, the next connection counts as a selection again.
const PROCESSES: usize = 32;
/// The time that the name of a client's program stays valid.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// A process, and the answer that it used last.
#[derive(Clone, Copy, Debug)]
struct Process {
    id: u32,
    is_ipv6: bool,
    answered_at: Time,
    made: u64,
}

/// Sums over a client's connections and attempts in a stretch of time; figures about selections count only those where
/// an answer gave it a choice.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct ConnectSums {
    pub(in crate::engine) connections: u64,
    /// Those by a name for a part of the endpoints.
    pub(in crate::engine) in_part: u64,
    pub(in crate::engine) used: UsedEndpoints,
    /// Connections that were opened, and attempts that failed, with a choice or without.
    pub(in crate::engine) opened: u64,
    /// With connections that were reset.
    pub(in crate::engine) failed: u64,
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
}

/// The connections of one client: their sums over time, and what the next one is compared with.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct ConnectStats {
    pub(in crate::engine) first: Option<Time>,
    pub(in crate::engine) last: Time,
    pub(in crate::engine) sums: Windowed<ConnectSums>,
    processes: VecDeque<Process>,
    /// The program: the thread's name until the process's is known.
    pub(in crate::engine) program: Option<Arc<str>>,
    program_asked: Option<Time>,
}

impl Sum for ConnectSums {
    fn add(&mut self, other: &Self) {
        // Each field by its name, so that a new one cannot be left out.
        let Self {
            connections,
            in_part,
            used,
            opened,
            failed,
            max_connects_per_answer,
            selections,
            first,
            first_by_chance,
            nearest_candidates,
            nearest,
            nearest_by_chance,
            with_known_position,
            max_position,
            smallest_answer,
        } = other;
        self.connections += connections;
        self.in_part += in_part;
        self.used.add(used);
        self.opened += opened;
        self.failed += failed;
        self.max_connects_per_answer = self.max_connects_per_answer.max(*max_connects_per_answer);
        self.selections += selections;
        self.first += first;
        self.first_by_chance += first_by_chance;
        self.nearest_candidates += nearest_candidates;
        self.nearest += nearest;
        self.nearest_by_chance += nearest_by_chance;
        self.with_known_position += with_known_position;
        self.max_position = self.max_position.max(*max_position);
        self.smallest_answer = [self.smallest_answer, *smallest_answer].into_iter().flatten().min();
    }
}

impl ConnectSums {
    fn record_connect(&mut self, used_answer: &AnswerRef) {
        self.connections += 1;
        if used_answer.size > 1 {
            self.with_known_position += 1;
            self.max_position = self.max_position.max(used_answer.position);
            let smallest = self.smallest_answer.unwrap_or(used_answer.size);
            self.smallest_answer = Some(smallest.min(used_answer.size));
        }
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

impl ConnectStats {
    /// Counts a connection or an attempt; returns whether it is the process's first by its answer.
    pub(super) fn record_connect(
        &mut self,
        now: Time,
        (process, is_ipv6): (u32, bool),
        target: &Target,
        has_failed: bool,
    ) -> bool {
        let used_answer = target.used_answer.filter(|_| target.resolution.is_choice());
        let sums = self.sums.at(now);
        sums.used.record(target.endpoint.endpoint, used_answer.is_some(), has_failed);
        *(if has_failed { &mut sums.failed } else { &mut sums.opened }) += 1;
        let Some(used_answer) = used_answer else { return false };
        let (made, is_selection) = self.use_answer(process, is_ipv6, used_answer.at);
        let sums = self.sums.at(now);
        sums.record_connect(&used_answer);
        sums.in_part += u64::from(target.resolution == Resolution::Part);
        sums.max_connects_per_answer = sums.max_connects_per_answer.max(made);
        if is_selection && used_answer.size > 1 {
            sums.record_selection(&used_answer);
        }
        is_selection
    }

    /// A connection was reset.
    pub(super) fn record_reset(&mut self, now: Time, endpoint: EndpointId) {
        let sums = self.sums.at(now);
        sums.used.record_reset(endpoint);
        sums.failed += 1;
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

    /// The number of connections that the process has made by this answer, and whether this one is the first.
    fn use_answer(&mut self, id: u32, is_ipv6: bool, answered_at: Time) -> (u64, bool) {
        let known = self.processes.iter_mut().find(|known| (known.id, known.is_ipv6) == (id, is_ipv6));
        match known {
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
        }
    }
}

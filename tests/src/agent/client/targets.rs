//! Picks the address for the next connection.
//!
//! In: lookups. Out: the targets to try, by the client's habit.

use std::net::SocketAddr;

use anyhow::Result;
use lab::client::{ClientSpec, Lookup, Pick, Resolver};

use super::resolve::look_up;

/// The last lookup, and how many of its addresses were used.
#[derive(Default)]
pub(crate) struct Targets {
    lookup: Option<Lookup>,
    used: u64,
    lookups: usize,
    turn: usize,
}

/// The targets of one connection.
pub(crate) struct Choice {
    /// The client tries these in this order until one connects.
    pub(crate) targets: Vec<SocketAddr>,
    /// A target of each family, IPv6 first, for a race.
    pub(crate) race: Option<(SocketAddr, SocketAddr)>,
    /// The queries of the lookup that was made for this connection, if there was one.
    pub(crate) questions: Option<u64>,
}

impl Targets {
    /// The next targets; makes a new lookup if the last one is used up.
    pub(crate) fn next(&mut self, spec: &ClientSpec) -> Result<Choice> {
        let used_up = spec.per_lookup > 0 && self.used >= spec.per_lookup;
        let mut questions = None;
        if used_up || self.lookup.is_none() {
            let names: Vec<&String> = std::iter::once(&spec.name).chain(&spec.also).collect();
            let lookup = look_up(spec, names[self.lookups % names.len()])?;
            self.lookups += 1;
            questions = (!matches!(spec.resolver, Resolver::Fixed(_))).then_some(lookup.questions);
            (self.lookup, self.used) = (Some(lookup), 0);
        }
        self.used += 1;
        let all = self.lookup.as_ref().map(|lookup| lookup.targets.as_slice()).unwrap_or_default();
        let (turn, random) = (self.turn, rand::random::<u32>());
        self.turn = self.turn.wrapping_add(1);
        let pick = |from: &[SocketAddr]| -> Option<SocketAddr> {
            let place = match spec.pick {
                Pick::First | Pick::InTurn => 0,
                Pick::RoundRobin => turn % from.len().max(1),
                Pick::Random => usize::try_from(random).unwrap_or(0) % from.len().max(1),
            };
            from.get(place).copied()
        };
        let (v6, v4): (Vec<_>, Vec<_>) = all.iter().partition(|target| target.is_ipv6());
        let race = spec.dial.happy_eyeballs_ms.and_then(|_| Some((pick(&v6)?, pick(&v4)?)));
        let targets = if spec.pick == Pick::InTurn { all.to_vec() } else { pick(all).into_iter().collect() };
        Ok(Choice { targets, race, questions })
    }
}

//! Picks the address for the next connection. Pure.
//!
//! In: lookups. Out: the targets to try, by the client's habit.

use std::net::SocketAddr;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::{ClientSpec, Lookup, Pick, Resolver};

/// The last lookup, and how many of its addresses were used.
pub struct Targets {
    lookup: Option<Lookup>,
    used: u64,
    lookups: usize,
    turn: usize,
    random: StdRng,
}

/// The targets of one connection.
pub struct Choice {
    /// The client tries these in this order until one connects.
    pub targets: Vec<SocketAddr>,
    /// A target of each family, IPv6 first, for a race.
    pub race: Option<(SocketAddr, SocketAddr)>,
    /// The queries of the lookup that was made for this connection, if there was one.
    pub questions: Option<u64>,
}

impl Targets {
    /// Nothing looked up yet; the seed decides on random picks.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { lookup: None, used: 0, lookups: 0, turn: 0, random: StdRng::seed_from_u64(seed) }
    }

    /// The next targets; makes a new lookup of a name if the last one is used up.
    pub fn next(
        &mut self,
        spec: &ClientSpec,
        look_up: impl FnOnce(&str) -> Result<Lookup>,
    ) -> Result<Choice> {
        let used_up = spec.per_lookup > 0 && self.used >= spec.per_lookup;
        let mut questions = None;
        if used_up || self.lookup.is_none() {
            let names: Vec<&String> = std::iter::once(&spec.name).chain(&spec.also).collect();
            let mut lookup = look_up(names[self.lookups % names.len()])?;
            lookup.targets.retain(|target| !spec.avoid.contains(&target.ip()));
            self.lookups += 1;
            questions = (!matches!(spec.resolver, Resolver::Fixed(_))).then_some(lookup.questions);
            (self.lookup, self.used) = (Some(lookup), 0);
        }
        self.used += 1;
        let all = self.lookup.as_ref().map(|lookup| lookup.targets.as_slice()).unwrap_or_default();
        let (turn, random) = (self.turn, self.random.next_u32());
        self.turn = self.turn.wrapping_add(1);
        let pick = |from: &[SocketAddr]| -> Option<SocketAddr> {
            let place = match spec.pick {
                Pick::First | Pick::InTurn | Pick::Shuffled => 0,
                Pick::Last => from.len().saturating_sub(1),
                Pick::RoundRobin => turn % from.len().max(1),
                Pick::Random => usize::try_from(random).unwrap_or(0) % from.len().max(1),
                Pick::Only(address) => return from.iter().find(|target| target.ip() == address).copied(),
            };
            from.get(place).copied()
        };
        let (v6, v4): (Vec<_>, Vec<_>) = all.iter().partition(|target| target.is_ipv6());
        let race = spec.dial.happy_eyeballs_ms.and_then(|_| Some((pick(&v6)?, pick(&v4)?)));
        let targets = match spec.pick {
            Pick::InTurn => all.to_vec(),
            Pick::Shuffled => {
                let mut all = all.to_vec();
                all.shuffle(&mut self.random);
                all
            }
            _ => pick(all).into_iter().collect(),
        };
        Ok(Choice { targets, race, questions })
    }
}

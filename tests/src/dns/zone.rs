//! The records of the DNS server, and its answer to a question.
//!
//! In: records by name. Out: answers and additional records, in the order that the options say. Pure.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::wire::{Record, type_of, types};
use super::{Data, DnsOptions, Order, Records};

/// Maximum length of a CNAME chain.
const LONGEST_CHAIN: usize = 8;

/// Names in lower case, without the final dot. A name that begins with `*.` stands for all names below it that are not
/// in the zone.
pub(crate) struct Zone {
    names: BTreeMap<String, Records>,
    turn: usize,
    random: StdRng,
}

/// The records for one question.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The name, or the end of its CNAME chain, exists.
    pub(crate) exists: bool,
    pub(crate) answers: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
}

/// A name as key of the zone.
pub(crate) fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

impl Zone {
    /// An empty zone; the seed decides on random orders.
    pub(crate) fn new(seed: u64) -> Self {
        Self { names: BTreeMap::new(), turn: 0, random: StdRng::seed_from_u64(seed) }
    }

    pub(crate) fn set(&mut self, name: &str, records: Records) {
        self.names.insert(key(name), records);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.names.remove(&key(name));
    }

    /// Records of a type, at the end of any CNAME chain. The owner is written as `name`.
    pub(crate) fn find(&mut self, name: &str, wanted: u16, options: &DnsOptions) -> Found {
        let mut found = Found::default();
        let mut owner = name.to_owned();
        for _ in 0..LONGEST_CHAIN {
            let Some(records) = self.records(&owner) else { break };
            let cname = records.data.iter().find_map(|data| match data {
                Data::Cname(target) if wanted != types::CNAME => {
                    Some(target.trim_end_matches('.').to_owned())
                }
                _ => None,
            });
            let (ttl, order) = (records.ttl, records.order.unwrap_or(options.order));
            if let Some(target) = cname {
                found.answers.push(Record { owner, ttl, data: Data::Cname(target.clone()) });
                owner = target;
                continue;
            }
            found.exists = true;
            let data: Vec<Data> =
                records.data.iter().filter(|data| type_of(data) == wanted).cloned().collect();
            for data in self.ordered(data, order) {
                if let (Data::Srv { target, .. }, true) = (&data, options.srv_additional) {
                    found.additionals.extend(self.addresses(target));
                }
                found.answers.push(Record { owner: owner.clone(), ttl, data });
            }
            break;
        }
        found
    }

    /// The records of a name, or those of the nearest `*.` above it.
    fn records(&self, name: &str) -> Option<&Records> {
        let name = key(name);
        let above = name.match_indices('.').map(|(at, _)| format!("*{}", &name[at..]));
        std::iter::once(name.clone()).chain(above).find_map(|name| self.names.get(&name))
    }

    fn addresses(&self, name: &str) -> Vec<Record> {
        let owner = name.trim_end_matches('.');
        let Some(records) = self.names.get(&key(owner)) else { return Vec::new() };
        let addresses = records.data.iter().filter(|data| matches!(data, Data::Address(_)));
        addresses
            .map(|data| Record { owner: owner.to_owned(), ttl: records.ttl, data: data.clone() })
            .collect()
    }

    fn ordered(&mut self, mut data: Vec<Data>, order: Order) -> Vec<Data> {
        match order {
            Order::Fixed => {}
            Order::Shuffle => data.shuffle(&mut self.random),
            Order::Sample(count) => {
                data.shuffle(&mut self.random);
                data.truncate(count);
            }
            Order::Rotate => {
                if !data.is_empty() {
                    let places = self.turn % data.len();
                    data.rotate_left(places);
                    self.turn = self.turn.wrapping_add(1);
                }
            }
        }
        data
    }
}

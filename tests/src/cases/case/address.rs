//! Addresses of a case. They are relative to the network in which it is played: `net.1.100` is the host 1.100 of that
//! network.
//!
//! In: strings. Out: the same with real addresses ([`here`]), and lists of addresses with ranges ([`Addresses`]).

use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;
use serde_json::Value;

/// The first half of the lab's network, 10.244.0.0/16.
const NETWORK: &str = "10.244";
const WORD: &str = "net.";

/// The text with the addresses of this lab: `net.1.100` becomes `10.244.1.100`.
pub(crate) fn here(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(WORD) {
        let (before, after) = (&rest[..at], &rest[at + WORD.len()..]);
        made.push_str(before);
        let joined = before.ends_with(|c: char| c.is_alphanumeric() || "._".contains(c));
        if !joined && is_host(after) {
            made.push_str(NETWORK);
            made.push('.');
        } else {
            made.push_str(WORD);
        }
        rest = after;
    }
    made + rest
}

/// Whether a text begins with two numbers and a dot between them.
fn is_host(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let first = digits(text);
    first > 0 && text[first..].strip_prefix('.').is_some_and(|rest| digits(rest) > 0)
}

/// Replaces the addresses in all strings and keys of a value.
pub(super) fn replace(value: &mut Value) {
    match value {
        Value::String(text) => *text = here(text),
        Value::Array(all) => all.iter_mut().for_each(replace),
        Value::Object(fields) => {
            let replaced = std::mem::take(fields).into_iter().map(|(key, mut value)| {
                replace(&mut value);
                (here(&key), value)
            });
            *fields = replaced.collect();
        }
        _ => {}
    }
}

/// One address, a list, or a range such as `net.1.100-net.1.130`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "OneOrMore")]
pub(crate) struct Addresses(pub(crate) Vec<IpAddr>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl TryFrom<OneOrMore> for Addresses {
    type Error = String;

    fn try_from(texts: OneOrMore) -> Result<Self, String> {
        let texts = match texts {
            OneOrMore::One(text) => vec![text],
            OneOrMore::More(texts) => texts,
        };
        let lists = texts.iter().map(|text| range(text)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(lists.concat()))
    }
}

fn range(text: &str) -> Result<Vec<IpAddr>, String> {
    let address = |text: &str| {
        let fault =
            |_| format!("{text:?} is no address; write net.1.100, or net.1.100-net.1.130 for a range");
        text.trim().parse::<IpAddr>().map_err(fault)
    };
    let Some((first, last)) = text.split_once('-') else { return Ok(vec![address(text)?]) };
    let (IpAddr::V4(first), IpAddr::V4(last)) = (address(first)?, address(last)?) else {
        return Err(format!("{text:?}: a range has IPv4 addresses only"));
    };
    if first > last {
        return Err(format!("{text:?}: the range ends before it begins"));
    }
    // A range may go over several segments, but no host ends in 0 or 255.
    let all = (u32::from(first)..=u32::from(last)).map(Ipv4Addr::from);
    Ok(all.filter(|address| !matches!(address.octets()[3], 0 | 255)).map(IpAddr::V4).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_replaced_where_it_is_a_word_of_its_own() {
        assert_eq!(here("net.1.100"), "10.244.1.100");
        assert_eq!(here("[net.1.2, net.1.3-net.30.4]"), "[10.244.1.2, 10.244.1.3-10.244.30.4]");
        for same in ["example.net.1.2", "net.example.org", "planet.1.2", "net.1"] {
            assert_eq!(here(same), same);
        }
    }

    #[test]
    fn a_range_leaves_out_what_is_no_host() {
        let of = |text: &str| Addresses::try_from(OneOrMore::One(text.to_owned())).map(|list| list.0.len());
        assert_eq!(of("10.244.1.1"), Ok(1));
        assert_eq!(of("10.244.1.254-10.244.2.1"), Ok(2));
        assert!(of("10.244.1.2-10.244.1.1").is_err() && of("x").is_err());
    }
}

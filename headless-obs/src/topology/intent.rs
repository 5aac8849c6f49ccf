//! Annotations of a Service or of a pod about the way in which clients are meant to connect.
//!
//! In: annotations as others wrote them. Out: what they say, and those of this program's that are not obeyed because
//! their name or value is wrong.
//!
//! Invariant: bounded. A wrong annotation changes nothing but the list of wrong ones.

use std::fmt;

/// The beginning of the names of this program's annotations.
const PREFIX: &str = "headless-obs.io/";
/// The most ports of an annotation, and the most wrong annotations of an object that are named.
const MOST: usize = 16;
/// The most characters of a name or a value that are repeated.
const LENGTH: usize = 64;

const EXPECT: &str = "pinned, primary, subset or even";
const IGNORE: &str = "\"true\" or \"false\"";
const PORTS: &str = "up to 16 numbers of ports from 1 to 65535, with commas between them";
const NAMES: &str = "expect, ignore and ports; ports on a Service alone";

/// The intended spread of the connections of a client, or of all clients of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Evenly, as without an annotation.
    Even,
    /// Each pod of a client keeps to one endpoint.
    Pinned,
    /// All clients keep to the one endpoint that has a role.
    Primary,
    /// A client uses a part of the endpoints.
    Subset,
}

impl Expectation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Even, Self::Pinned, Self::Primary, Self::Subset];

    /// The value of the annotation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Pinned => "pinned",
            Self::Primary => "primary",
            Self::Subset => "subset",
        }
    }

    /// The expectation with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// The meaning of an object's annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// The intended spread of the Service's clients, or of the pod's workload.
    pub expect: Option<Expectation>,
    /// They do not count.
    pub ignore: bool,
    /// Ports at which the Service's endpoints serve, too.
    pub ports: Box<[u16]>,
    /// Annotations that are not obeyed.
    pub wrong: Box<[WrongAnnotation]>,
}

/// An annotation of this program's that is not obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongAnnotation {
    /// Its name.
    pub name: Box<str>,
    /// Its value, or the beginning of it.
    pub value: Box<str>,
    /// Right values.
    pub allowed: &'static str,
}

/// An object whose annotation is not obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotObeyed {
    /// Its kind, namespace and name.
    pub object: String,
    /// The annotation.
    pub annotation: WrongAnnotation,
}

/// `Service shop/orders has headless-obs.io/expect="x"; allowed: …`
impl fmt::Display for NotObeyed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WrongAnnotation { name, value, allowed } = &self.annotation;
        write!(formatter, "{} has {name}={value:?}; allowed: {allowed}", self.object)
    }
}

impl NotObeyed {
    /// Those of an object.
    pub fn all<'a>(
        kind: Subject,
        (namespace, name): (&'a str, &'a str),
        said: &'a Annotations,
    ) -> impl Iterator<Item = Self> + 'a {
        said.wrong.iter().map(move |wrong| Self::new(kind, namespace, name, wrong))
    }

    pub(super) fn new(kind: Subject, namespace: &str, name: &str, annotation: &WrongAnnotation) -> Self {
        let kind = match kind {
            Subject::Service => "Service",
            Subject::Pod => "Pod",
        };
        Self { object: format!("{kind} {namespace}/{name}"), annotation: annotation.clone() }
    }
}

/// The kinds of objects whose annotations are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A Service: about all of its clients.
    Service,
    /// A pod: about its workload, as a client of all Services.
    Pod,
}

/// The meaning of these annotations; nothing if none of them is this program's.
pub fn read<'a>(
    annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    of: Subject,
) -> Option<Box<Annotations>> {
    let mut said: Option<Box<Annotations>> = None;
    for (name, value) in annotations {
        let Some(what) = name.strip_prefix(PREFIX) else { continue };
        let said = said.get_or_insert_default();
        let wrong = match what {
            "expect" => Expectation::named(value).map(|expect| said.expect = Some(expect)).ok_or(EXPECT),
            "ignore" => value.parse().map(|ignore| said.ignore = ignore).map_err(|_| IGNORE),
            "ports" if of == Subject::Service => ports(value).map(|ports| said.ports = ports).ok_or(PORTS),
            _ => Err(NAMES),
        };
        if let Err(allowed) = wrong
            && said.wrong.len() < MOST
        {
            let wrong = WrongAnnotation { name: start(name), value: start(value), allowed };
            said.wrong = said.wrong.iter().cloned().chain([wrong]).collect();
        }
    }
    said
}

fn ports(value: &str) -> Option<Box<[u16]>> {
    let ports = value.split(',').map(|port| port.trim().parse().ok().filter(|port: &u16| *port > 0));
    ports.collect::<Option<Box<[u16]>>>().filter(|ports| ports.len() <= MOST)
}

fn start(text: &str) -> Box<str> {
    text.chars().take(LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrong(name: &str, value: &str, of: Subject) -> Option<&'static str> {
        let said = read([(name, value)], of).unwrap();
        let nothing = Annotations { wrong: said.wrong.clone(), ..Annotations::default() };
        assert!(said.wrong.is_empty() || *said == nothing, "{name}={value} is obeyed in part");
        let [wrong] = &said.wrong[..] else { return None };
        assert!(name.starts_with(&*wrong.name) && value.starts_with(&*wrong.value));
        Some(wrong.allowed)
    }

    #[test]
    fn what_is_right_is_obeyed() {
        let said = read(
            [
                ("headless-obs.io/expect", "primary"),
                ("other.io/expect", "nonsense"),
                ("headless-obs.io/ignore", "true"),
                ("headless-obs.io/ports", "9090, 65535"),
            ],
            Subject::Service,
        );
        let expected = Annotations {
            expect: Some(Expectation::Primary),
            ignore: true,
            ports: [9090, 65_535].into(),
            wrong: Box::default(),
        };
        assert_eq!(said.as_deref(), Some(&expected));
        for expect in Expectation::ALL {
            let said = read([("headless-obs.io/expect", expect.as_str())], Subject::Pod).unwrap();
            assert_eq!((said.expect, said.wrong.len()), (Some(expect), 0));
        }
        assert_eq!(read([("headless-obs.ioexpect", "even"), ("", "")], Subject::Pod), None);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed_and_changes_nothing() {
        let many = vec!["80"; 17].join(",");
        for (name, value, of, allowed) in [
            ("expect", "Pinned", Subject::Service, EXPECT),
            ("expect", "", Subject::Pod, EXPECT),
            ("expect", "pinned ", Subject::Pod, EXPECT),
            ("ignore", "yes", Subject::Service, IGNORE),
            ("ignore", "True", Subject::Pod, IGNORE),
            ("ports", "http", Subject::Service, PORTS),
            ("ports", "0", Subject::Service, PORTS),
            ("ports", "80,,81", Subject::Service, PORTS),
            ("ports", "65536", Subject::Service, PORTS),
            ("ports", &many, Subject::Service, PORTS),
            ("ports", "80", Subject::Pod, NAMES),
            ("expected", "even", Subject::Service, NAMES),
            ("", "even", Subject::Service, NAMES),
        ] {
            assert_eq!(wrong(&format!("{PREFIX}{name}"), value, of), Some(allowed), "{name}={value}");
        }
        assert_eq!(wrong("headless-obs.io/ignore", "false", Subject::Pod), None);
    }

    proptest! {
        #[test]
        fn anything_can_be_written(all in prop::collection::vec(("(headless-obs.io/)?(expect|ignore|ports|.*)", ".*"), 0..40)) {
            let pairs = all.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let said = read(pairs, Subject::Service);
            let own = all.iter().filter(|(name, _)| name.starts_with(PREFIX)).count();
            prop_assert_eq!(said.is_some(), own > 0);
            let wrong = said.map_or(Box::default(), |said| said.wrong);
            prop_assert!(wrong.len() <= MOST.min(own));
            prop_assert!(wrong.iter().all(|one| one.value.chars().count() <= LENGTH));
        }
    }
}

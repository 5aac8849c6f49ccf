//! The differential diagnosis: for each cause the signs that it needs, what refutes it, and which causes look the same.
//!
//! In: the facts about a client. Out: whether they refute a cause, and the causes that remain beside it. The sections
//! of docs/verdicts.md are made from this table; a test compares them.
//!
//! Invariants: a verdict has all signs of its cause, and nothing that refutes it. If another cause remains, the verdict
//! names it, and its confidence is not high.

use super::context::RuleContext;
use super::{
    answer_limit, dns_answers, evenness, expired_answer, failing_endpoint, intended, never_re_resolved,
    pinned, port_mismatch, seeks_role, slow_endpoint, stale_endpoint, uneven_load, zone_aware,
};
use crate::expose::snapshot::Cause;

/// A statement about the facts, in words and as a test.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sign {
    /// A sentence.
    pub(super) says: &'static str,
    /// Whether the facts show it.
    pub(super) holds: fn(&RuleContext<'_>) -> bool,
}

/// A cause that would look the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookalike {
    pub(super) cause: Cause,
    /// The condition under which both remain.
    pub(super) remains: Sign,
}

/// The knowledge about one cause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Diagnosis {
    /// All of these.
    pub(super) needs: &'static [Sign],
    /// Any of these.
    pub(super) refuted_by: &'static [Sign],
    pub(super) looks_like: &'static [Lookalike],
}

impl Diagnosis {
    /// Whether the cause has all its signs, and nothing refutes it.
    pub(super) fn is_possible(&self, scene: &RuleContext<'_>) -> bool {
        self.needs.iter().all(|sign| (sign.holds)(scene))
            && !self.refuted_by.iter().any(|sign| (sign.holds)(scene))
    }

    /// The other causes that remain.
    pub(super) fn alternatives(&self, scene: &RuleContext<'_>) -> Vec<Cause> {
        let remaining = self.looks_like.iter().filter(|other| (other.remains.holds)(scene));
        remaining.map(|other| other.cause).collect()
    }
}

/// The time at which the facts that show `cause` may also show `other`, in a sentence.
pub(super) fn both_remain(cause: Cause, other: Cause) -> Option<&'static str> {
    let mut looks_like = of(cause).looks_like.iter();
    looks_like.find(|known| known.cause == other).map(|known| known.remains.says)
}

/// The diagnosis of a cause.
pub(super) const fn of(cause: Cause) -> Diagnosis {
    let (needs, refuted_by, looks_like): (&[Sign], &[Sign], &[Lookalike]) = match cause {
        Cause::PortMismatch => (
            &[Sign {
                says: "Connections and attempts to a port that the endpoint does not have are 1 % or more of all, and more \
                 than half of them are in vain: they fail, or the other side accepts them and ends them within 5 s \
                 without a byte, as a mesh's proxy does.",
                holds: port_mismatch::dials_in_vain,
            }],
            &[],
            &[Lookalike {
                cause: Cause::CannotConnect,
                remains: Sign {
                    says: "Other clients connect to that port.",
                    holds: port_mismatch::others_connect_there,
                },
            }],
        ),
        Cause::IpReused => (
            &[Sign {
                says: "A connection went to an address that was the Service's and now belongs to another pod. The address \
                 of a node, which several pods share, is another pod's only at that pod's ports. Without a DNS answer, only \
                 of a client that connected to the former endpoint, and to no other endpoint of the Service that has the \
                 address now.",
                holds: stale_endpoint::reaches_stranger,
            }],
            &[],
            &[],
        ),
        Cause::DialsNotReady => (
            &[Sign {
                says: "Connections and attempts to endpoints that were `not_ready` for longer than the grace are 1 % or \
                 more of all.",
                holds: stale_endpoint::reaches_not_ready,
            }],
            &[
                Sign {
                    says: "The Service asks for such endpoints (`publishNotReadyAddresses`), and connections there \
                     succeed, or the failures are over.",
                    holds: stale_endpoint::is_asked_for,
                },
                Sign {
                    says: "The Service does not ask for them, and at least half of the connections used answers from \
                     after the change: the DNS server is behind.",
                    holds: stale_endpoint::was_told_of_not_ready,
                },
            ],
            &[],
        ),
        Cause::DnsStale => (
            &[Sign {
                says: "Connections used answers that came after the endpoint had left, or was not ready, and the grace had \
                 passed (a Service with `publishNotReadyAddresses` asks for such endpoints); or a tenth of the answers, \
                 and at least three, lack endpoints or deny that there are any, and this client never received the \
                 address of an endpoint that was ready before its last answer.",
                holds: |scene| stale_endpoint::was_told_of_left(scene) || dns_answers::lacks_endpoints(scene),
            }],
            &[Sign {
                says: "All answers have the same number of addresses, and together they list more endpoints than each: \
                 the server has a limit.",
                holds: |scene| {
                    !stale_endpoint::was_told_of_left(scene) && answer_limit::limit(scene).is_some()
                },
            }],
            &[Lookalike {
                cause: Cause::AnswerLimit,
                remains: Sign {
                    says: "All answers have the same number of addresses, and the endpoints that they lack are as old as \
                     the observation.",
                    holds: |scene| {
                        !stale_endpoint::was_told_of_left(scene) && answer_limit::may_be_limit(scene)
                    },
                },
            }],
        ),
        Cause::StaleCache => (
            &[Sign {
                says: "Connections to endpoints that have left used answers from before that and are 1 % or more of all; \
                 or more than half of at least 10 connections are past the TTL of their answer (5 s at least), and \
                 they are uneven beyond chance, and each selection led to one endpoint.",
                holds: |scene| stale_endpoint::kept_left(scene) || expired_answer::is_uneven_by_age(scene),
            }],
            &[],
            &[Lookalike {
                cause: Cause::DnsStale,
                remains: Sign {
                    says: "All of the connections to endpoints that have left were within the TTL of their answer: a cache \
                     between client and server may have kept it.",
                    holds: stale_endpoint::is_within_ttl,
                },
            }],
        ),
        Cause::FailingEndpoint => (
            &[Sign {
                says: "At least 5 attempts, and more than half, fail at a ready endpoint; of at least 5 attempts at the \
                 others by the last failure, and of those after it, at most a tenth fail, and random choice does not \
                 explain the difference. An attempt fails if it is not established, or if the endpoint ends it within \
                 5 s without a byte. Failures do not count once the client has connected there again, so often that it \
                 is no luck, nor if the endpoint became ready after the last attempt.",
                holds: failing_endpoint::some_fail,
            }],
            &[Sign {
                says: "Other clients connect to the same endpoint.",
                holds: failing_endpoint::others_connect_there,
            }],
            &[Lookalike {
                cause: Cause::GivesUpEarly,
                remains: Sign {
                    says: "The client itself ended most of the failed attempts, or the hook cannot see who did.",
                    holds: failing_endpoint::may_have_given_up,
                },
            }],
        ),
        Cause::GivesUpEarly => (
            &[Sign {
                says: "The client itself ended at least 5 attempts, a fifth or more of all, and they are most of its \
                 failures; at several endpoints, or at one to which it or others connect.",
                holds: failing_endpoint::gives_up,
            }],
            &[],
            &[
                Lookalike {
                    cause: Cause::FailingEndpoint,
                    remains: Sign {
                        says: "No client connects to the endpoints where this one gives up.",
                        holds: failing_endpoint::nobody_connects_there,
                    },
                },
                Lookalike {
                    cause: Cause::CannotConnect,
                    remains: Sign {
                        says: "At some endpoint only other clients connect.",
                        holds: failing_endpoint::only_others_connect_there,
                    },
                },
            ],
        ),
        Cause::CannotConnect => (
            &[Sign {
                says: "More than half of the attempts fail, or more than half at an endpoint to which other clients \
                 connect. Failures do not count once the client has connected again, so often that it is no luck.",
                holds: failing_endpoint::cannot,
            }],
            &[],
            &[Lookalike {
                cause: Cause::FailingEndpoint,
                remains: Sign {
                    says: "No other client connects to the endpoints where the attempts fail.",
                    holds: failing_endpoint::nobody_else_connects_there,
                },
            }],
        ),
        Cause::AnswerLimit => (
            &[Sign {
                says: "All answers to all clients have the same number of addresses, fewer than there are endpoints, none \
                 is truncated, and together they list more endpoints than each. The client's own answers leave some \
                 out, and its connections are uneven beyond chance for that reason, not among those that they list.",
                holds: answer_limit::is_limited,
            }],
            &[],
            &[Lookalike {
                cause: Cause::StaleCache,
                remains: Sign {
                    says: "More than half of the connections are past the TTL of their answer.",
                    holds: expired_answer::uses_expired,
                },
            }],
        ),
        Cause::TruncatedAnswer => (
            &[Sign {
                says: "A tenth or more of the connections used an answer with TC set, and the smallest answer has fewer \
                 addresses than there are endpoints.",
                holds: dns_answers::uses_truncated,
            }],
            &[],
            &[],
        ),
        Cause::NeverReResolved => (
            &[Sign {
                says: "A pod of the client is at work (it has an open connection, or it exists and connected) and has \
                 received no answer since an endpoint became ready, and that endpoint has no connection from the \
                 client. Pods that are gone do not count.",
                holds: never_re_resolved::is_unaware,
            }],
            &[Sign {
                says: "The client stays with one of several endpoints that it knows: a new answer would change nothing.",
                holds: never_re_resolved::uses_one_of_several,
            }],
            &[],
        ),
        Cause::SeeksRole => (
            &[Sign {
                says: "All open connections of all pods and processes are to one endpoint, for a minute or longer. Nine \
                 tenths of the connections to others, or more, ended within 5 s; at the one, a tenth at most.",
                holds: seeks_role::is_sought,
            }],
            &[],
            &[Lookalike {
                cause: Cause::Pinned,
                remains: Sign {
                    says: "Fewer than three connections to others were seen.",
                    holds: seeks_role::few_were_tried,
                },
            }],
        ),
        Cause::AddressSort => (
            &[Sign {
                says: "Nine tenths or more of the selections took the nearest address, beyond chance. Fewer than nine \
                 tenths took the first address, and the busiest endpoint has more than 1.5 times its share.",
                holds: dns_answers::takes_nearest,
            }],
            &[],
            &[],
        ),
        Cause::ClientCap => (
            &[Sign {
                says: "Random choice would have exceeded the highest position in all but 1 of 10,000 windows, and the \
                 answers are longer. The client uses at least 3 positions, with 5 connections or more per position, \
                 and none of them far more often than the others.",
                holds: dns_answers::stays_below_cap,
            }],
            &[Sign {
                says: "The client seems to prefer the endpoints of its own zone ([zone_aware](#zone_aware)), so that chance is \
                 less than 1 in 100: who takes the first of them never needs the last positions.",
                holds: zone_aware::may_prefer_own_zone,
            }],
            &[],
        ),
        Cause::AnswerOrder => (
            &[Sign {
                says: "Nine tenths or more of the selections took the first address, beyond chance. The busiest endpoint \
                 is first in more than 1.5 times its share of the answers, and the client is uneven beyond chance.",
                holds: dns_answers::takes_first,
            }],
            &[],
            &[],
        ),
        Cause::ZoneAware => (
            &[
                Sign {
                    says: "The client is uneven over all endpoints, beyond chance.",
                    holds: evenness::is_uneven,
                },
                Sign {
                    says: "Nine tenths or more of its connections, and so many selections that it is no chance, went to \
                     endpoints of the zone in which the client is. The zones of all endpoints are known, the answers \
                     listed those of other zones, too, and two endpoints or more are in the own one. Of a client in several \
                     zones, each zone is looked at by itself.",
                    holds: zone_aware::prefers_own_zone,
                },
            ],
            &[Sign {
                says: "Within its zone, the client is uneven beyond chance.",
                holds: zone_aware::is_uneven_within,
            }],
            &[Lookalike {
                cause: Cause::Subset,
                remains: Sign {
                    says: "So few endpoints are in its zone, and beside it, that a client which keeps to as many at random \
                     would hit them by luck more often than in 1 of 1,000 cases.",
                    holds: zone_aware::may_be_subset,
                },
            }],
        ),
        Cause::Pinned => (
            &[Sign {
                says: "The open connections of each pod are to one endpoint, for a minute or longer (`--mature-after` if \
                 that is shorter); or all connections of each pod went to one endpoint, and random choice is ruled \
                 out. There is more than one endpoint to choose from.",
                holds: pinned::is_narrow,
            }],
            &[Sign {
                says: "The client is an endpoint of the Service itself: members of a cluster connect to each other once, \
                 from either side.",
                holds: |scene| scene.is_member(),
            }],
            &[
                Lookalike {
                    cause: Cause::SeeksRole,
                    remains: Sign {
                        says: "It never used another endpoint, with so few selections that a driver that looks for a role \
                         may have found it at first.",
                        holds: pinned::may_have_found_role,
                    },
                },
                Lookalike {
                    cause: Cause::ZoneAware,
                    remains: Sign {
                        says: "The endpoint is the only one in the client's own zone, and the client is none of gRPC's.",
                        holds: zone_aware::has_one_of_its_own,
                    },
                },
            ],
        ),
        Cause::Subset => (
            &[Sign {
                says: "Each pod uses few endpoints: it stays with one, or random choice would have reached more. The pods \
                 of this client, or all clients of the Service, are even: \
                 each endpoint is used and none has more than 1.5 times the mean; or there are five pods per \
                 endpoint, at least 10 in all, and they are not uneven beyond chance (each pod counts as one \
                 selection, with all of its connections).",
                holds: |scene| pinned::is_narrow(scene) || pinned::uses_few(scene),
            }],
            &[],
            &[],
        ),
        Cause::SlowEndpoint => (
            &[Sign {
                says: "Half of the client's connections to an endpoint took more than three times as long as those to the \
                 others of its zone, and 5 ms longer, in more than half of at least 12 slots of ten seconds, of all \
                 clients together and at least 3 of the client's own; or the same holds for the least round trips of its \
                 open connections in use, each taken after ten further segments. Random choice does not explain that it is \
                 this endpoint in so many slots.",
                holds: slow_endpoint::is_slow,
            }],
            &[Sign {
                says: "For another client, the same endpoint is as fast as the others, in at least 12 slots: the way from this \
                 client is slow.",
                holds: slow_endpoint::others_are_fast_there,
            }],
            &[],
        ),
        Cause::UnevenLoad => (
            &[Sign {
                says: "In more than half of at least 12 minutes, an endpoint had more than 1.5 times the load that its \
                 connections would have if all were alike, or less than half of it; it has that in all of the stretch, \
                 too, and random choice does not explain that it is this endpoint in so many minutes. The load of a \
                 minute is that of the connections that ended in it; or, of all connections, the smaller direction of \
                 the bytes.",
                holds: uneven_load::is_uneven,
            }],
            &[Sign {
                says: "The connections are uneven themselves, beyond chance.",
                holds: evenness::is_uneven,
            }],
            &[Lookalike {
                cause: Cause::SeeksRole,
                remains: Sign {
                    says: "The load is on connections that stay open, and no other client has its load elsewhere: the \
                     endpoint may have a role, such as a primary that takes the writes, or own the keys that are used \
                     most.",
                    holds: uneven_load::may_be_role,
                },
            }],
        ),
        Cause::Even => (
            &[Sign {
                says: "The connections are not uneven: random choice explains them, or no endpoint has more than 1.5 times \
                 its share or less than half of it.",
                holds: |scene| !evenness::is_uneven(scene),
            }],
            &[Sign {
                says: "Their load is not even ([uneven_load](#uneven_load)).",
                holds: uneven_load::is_uneven,
            }],
            &[],
        ),
        Cause::AsIntended => (
            &[Sign {
                says: "An annotation of the Service, or of all of the client's pods on the node, says that the client is \
                 meant to connect like this, and the client does.",
                holds: intended::is_as_said,
            }],
            &[],
            &[],
        ),
        Cause::TooFew => (
            &[Sign {
                says: "There are fewer than 5 selections per endpoint, or fewer than 10 in all, and they are not uneven.",
                holds: |scene| evenness::missing(scene) > 0 && !evenness::is_uneven(scene),
            }],
            &[],
            &[],
        ),
        Cause::Unexplained => (
            &[Sign {
                says: "The client is uneven beyond chance, and no other cause applies.",
                holds: evenness::is_uneven,
            }],
            &[],
            &[],
        ),
    };
    Diagnosis { needs, refuted_by, looks_like }
}

#[cfg(test)]
mod tests;

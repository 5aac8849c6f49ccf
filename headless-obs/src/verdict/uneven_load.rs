//! Rule about load: the connections are even, and what they carry is not.
//!
//! Chance is counted in minutes, because bytes have heavy tails: one large transfer is most of a sum, and ahead in one
//! minute. There are two views, and each suffices. In minutes in which connections ended, the bytes of a connection are in
//! one minute, whatever it carried. For connections that stay open, only an exchange counts, the smaller direction of the
//! bytes: a transfer is one message that cannot be divided, however many minutes it takes.

use super::context::RuleContext;
use super::evenness;
use super::format::{about, count, thousands};
use super::significance;
use crate::expose::snapshot::{Cause, Client, ClientEndpoint, Confidence, LoadDraws, Verdict};
use crate::spread::draws::{AHEAD, BEHIND};

/// The fewest minutes for any statement.
const LEAST: u64 = 12;
/// The least bytes in a minute, of the whole client, that could do harm.
const HARM: u64 = 10_000;

/// One of the two views of a client's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Ended,
    Exchanged,
}

impl View {
    const ALL: [Self; 2] = [Self::Ended, Self::Exchanged];

    fn draws(self, own: &ClientEndpoint) -> LoadDraws {
        match self {
            Self::Ended => own.load.ended,
            Self::Exchanged => own.load.exchanged,
        }
    }
}

/// An endpoint that is far from its share of the load.
struct Far<'a> {
    own: &'a ClientEndpoint,
    view: View,
    is_ahead: bool,
    /// Its shares of the bytes and of the connections.
    load: f64,
    share: f64,
}

/// The endpoint that is furthest from its share, if chance rules that out; those that are ahead come first.
fn far<'a>(scene: &RuleContext<'a>) -> Option<Far<'a>> {
    let rows: Vec<&ClientEndpoint> = scene.mature().map(|(_, own)| own).collect();
    let carried = bytes(scene);
    let bytes = carried as f64;
    let connections: f64 = rows.iter().map(|own| own.load.connections as f64).sum();
    if bytes <= 0.0 || connections <= 0.0 {
        return None;
    }
    let mut all: Vec<Far<'_>> = Vec::new();
    for view in View::ALL {
        let taking_part = rows.iter().filter(|own| !view.draws(own).is_empty()).count() as u64;
        for own in &rows {
            let draws = view.draws(own);
            if draws.minutes < LEAST || carried < draws.minutes.saturating_mul(HARM) {
                continue;
            }
            let (load, share) = (own.load.bytes as f64 / bytes, own.load.connections as f64 / connections);
            let is_mostly = |hits: u64, by_chance: f64| {
                hits * 2 > draws.minutes
                    && significance::beyond_among(hits, draws.minutes, by_chance, taking_part)
            };
            let is_ahead = load > AHEAD * share && is_mostly(draws.ahead, draws.ahead_by_chance);
            let is_behind = load < BEHIND * share && is_mostly(draws.behind, draws.behind_by_chance);
            if is_ahead || is_behind {
                all.push(Far { own, view, is_ahead, load, share });
            }
        }
    }
    // Evidence from ended connections leaves one reading less.
    let rank = |far: &Far<'_>| {
        (far.is_ahead, far.view == View::Ended, if far.is_ahead { far.load } else { far.share })
    };
    all.into_iter().max_by(|a, b| rank(a).partial_cmp(&rank(b)).unwrap_or(std::cmp::Ordering::Equal))
}

/// The bytes of all of the client's connections.
fn bytes(scene: &RuleContext<'_>) -> u64 {
    scene.mature().map(|(_, own)| own.load.bytes).fold(0, u64::saturating_add)
}

/// The load is far from even by the connections.
pub(super) fn is_uneven(scene: &RuleContext<'_>) -> bool {
    far(scene).is_some()
}

/// The load is on connections that stay open, and no other client shows that any endpoint would do.
pub(super) fn may_be_role(scene: &RuleContext<'_>) -> bool {
    far(scene).is_some_and(|far| far.view == View::Exchanged && !others_differ(scene, &far))
}

/// Another client has enough load, and the endpoint is not far from its share of that.
fn others_differ(scene: &RuleContext<'_>, far: &Far<'_>) -> bool {
    let differs = |other: &Client| {
        let own = other.endpoints.iter().find(|own| own.pod == far.own.pod);
        own.is_some_and(|own| {
            View::ALL.into_iter().map(|view| view.draws(own)).any(|draws| {
                let hits = if far.is_ahead { draws.ahead } else { draws.behind };
                draws.minutes >= LEAST && hits * 2 <= draws.minutes
            })
        })
    };
    scene.others().any(differs)
}

/// Whether the stretch has enough minutes to show that load is uneven, if it is.
pub(super) fn would_show(scene: &RuleContext<'_>) -> bool {
    let rows = || scene.mature().map(|(_, own)| own);
    View::ALL.into_iter().any(|view| {
        let minutes = rows().map(|own| view.draws(own).minutes).max().unwrap_or(0);
        let n = rows().filter(|own| !view.draws(own).is_empty()).count() as u64;
        minutes >= LEAST && significance::same_by_chance_is_ruled_out(minutes, n)
    })
}

/// The connections are even, and their load is not.
pub(super) fn uneven_load(scene: &RuleContext<'_>) -> Option<Verdict> {
    let far = far(scene).filter(|_| !evenness::is_uneven(scene))?;
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let draws = far.view.draws(far.own);
    let (hits, by_chance, what) = if far.is_ahead {
        (draws.ahead, draws.ahead_by_chance, "had more than 1.5 times its share")
    } else {
        (draws.behind, draws.behind_by_chance, "had less than half of its share")
    };
    let load = match far.view {
        View::Ended => "of the bytes of ended connections",
        View::Exchanged => "of what was exchanged",
    };
    let evidence = vec![
        format!(
            "{} has {} of {} bytes, with {} of the connections.",
            far.own.pod,
            percent(far.load),
            thousands(bytes(scene)),
            percent(far.share)
        ),
        format!(
            "In {} of {} it {what} {load}; chance would give about {}.",
            thousands(hits),
            count(draws.minutes, "minute"),
            about(by_chance)
        ),
    ];
    Some(scene.verdict(Cause::UnevenLoad, Confidence::High, evidence))
}

#[cfg(test)]
mod tests;

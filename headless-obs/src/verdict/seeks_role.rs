//! Rule about drivers that look for an endpoint with a role, such as a database's primary: they connect to several
//! endpoints, leave those without the role at once, and stay with the one that has it.

use super::context::RuleContext;
use super::format::{count, list, span};
use super::pinned::HELD;
use crate::expose::snapshot::{Cause, ClientEndpoint, Confidence, Verdict};

/// Attempts elsewhere from which it is a habit.
const TRIES: u64 = 3;

/// The connections that the client keeps, and those that it left at once.
struct Sought<'a> {
    kept: &'a ClientEndpoint,
    left: Vec<&'a ClientEndpoint>,
}

impl Sought<'_> {
    fn tries(&self) -> u64 {
        self.left.iter().map(|own| own.brief).sum()
    }
}

/// All open connections are to one endpoint, those to the others ended at once, and those to the one did not.
fn sought<'a>(scene: &RuleContext<'a>) -> Option<Sought<'a>> {
    let held = &scene.client.open_connections;
    if held.pods == 0 || held.pods_on_one < held.pods || held.seconds < scene.mature_after_seconds.min(HELD) {
        return None;
    }
    let used = scene.rows().map(|(_, own)| own).filter(|own| own.brief + own.lasting + own.active > 0);
    let (kept, left): (Vec<_>, Vec<_>) = used.partition(|own| own.active > 0);
    let [kept] = kept[..] else { return None };
    let is_left = |own: &&ClientEndpoint| own.brief > own.lasting * 9;
    (!left.is_empty() && left.iter().all(is_left) && kept.brief * 9 <= kept.lasting)
        .then_some(Sought { kept, left })
}

pub(super) fn is_sought(scene: &RuleContext<'_>) -> bool {
    sought(scene).is_some()
}

/// So few were tried that they may have been left for another reason.
pub(super) fn few_were_tried(scene: &RuleContext<'_>) -> bool {
    sought(scene).is_some_and(|sought| sought.tries() < TRIES)
}

/// It tries endpoints and stays with one.
pub(super) fn seeks_role(scene: &RuleContext<'_>) -> Option<Verdict> {
    let sought = sought(scene)?;
    let names: Vec<_> = sought.left.iter().map(|own| own.pod.as_str()).collect();
    let held = &scene.client.open_connections;
    let evidence = vec![
        format!(
            "It opened {} to {}, and each ended within 5 s.",
            count(sought.tries(), "connection"),
            list(&names)
        ),
        format!(
            "All {} of {} are to {}, for {} or longer.",
            count(sought.kept.active, "open connection"),
            count(held.pods, "pod"),
            sought.kept.pod,
            span(held.seconds)
        ),
    ];
    Some(scene.verdict(Cause::SeeksRole, Confidence::High, evidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;
    use crate::verdict::judge;
    use crate::verdict::test_fixtures::Facts;

    /// `processes` fill their pools, each by trying the endpoints in random order until the primary is found.
    fn drivers(endpoints: usize, processes: u64, sessions: u64, random: &mut Random) -> Facts {
        let mut tried = vec![0; endpoints];
        let all = processes * sessions;
        for _ in 0..all {
            let mut left: Vec<usize> = (0..endpoints).collect();
            loop {
                let one = left.swap_remove(random.below(left.len()));
                if one == 0 {
                    break;
                }
                tried[one] += 1;
            }
        }
        tried[0] = all;
        let mut facts = Facts::new(&tried);
        for (own, tried) in facts.client.endpoints.iter_mut().zip(&tried).skip(1) {
            (own.brief, own.lasting) = (*tried, 0);
        }
        let client = &mut facts.client;
        client.endpoints[0].active = all;
        client.active = all;
        let open: Vec<u64> = (0..endpoints).map(|place| if place == 0 { all } else { 0 }).collect();
        client.open = crate::spread::of(&open);
        let held = &mut client.open_connections;
        (held.pods, held.pods_on_one, held.seconds) = (1, 1, 66.0);
        (client.selection_pattern.pods, client.selection_pattern.max_endpoints) = (1, endpoints as u64);
        facts
    }

    #[test]
    fn whoever_looks_for_the_primary_is_not_pinned() {
        let mut random = Random::new(10);
        for endpoints in 2..=10 {
            for (processes, sessions) in [(1, 10), (5, 4), (1, 2), (20, 20)] {
                let facts = drivers(endpoints, processes, sessions, &mut random);
                let verdict = judge(&facts.scene()).unwrap();
                let tries: u64 = facts.client.endpoints.iter().map(|own| own.brief).sum();
                let case = format!("{endpoints} endpoints, {processes} processes of {sessions}: {verdict:?}");
                if tries >= TRIES {
                    assert_eq!(
                        (verdict.cause, verdict.confidence),
                        (Cause::SeeksRole, Confidence::High),
                        "{case}"
                    );
                } else if tries > 0 {
                    assert_eq!(verdict.alternatives, [Cause::Pinned], "{case}");
                } else {
                    assert_eq!(verdict.alternatives, [Cause::SeeksRole], "{case}");
                }
            }
        }
    }

    #[test]
    fn a_client_that_stays_for_long_wherever_it_was_looks_for_nothing() {
        let mut random = Random::new(11);
        let mut facts = drivers(3, 1, 10, &mut random);
        for own in &mut facts.client.endpoints {
            (own.brief, own.lasting) = (0, own.counted);
        }
        assert!(!is_sought(&facts.scene()), "connections elsewhere lasted");
        let mut facts = drivers(3, 1, 10, &mut random);
        let kept = &mut facts.client.endpoints[0];
        (kept.brief, kept.lasting) = (kept.counted, 0);
        assert!(!is_sought(&facts.scene()), "those to the one are brief, too");
        let mut facts = drivers(3, 1, 10, &mut random);
        facts.client.endpoints[1].active = 1;
        assert!(!is_sought(&facts.scene()), "it keeps another one");
    }
}

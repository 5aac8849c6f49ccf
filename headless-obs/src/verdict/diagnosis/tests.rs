//! The rules agree with the table, and docs/verdicts.md is made from it.

use std::fmt::Write;

use super::*;
use crate::expose::snapshot::{
    Client, ClientIntent, Confidence, LoadDraws, OtherPort, StaleTarget, ZoneSum, ZoneTraffic, Zones,
};
use crate::expose::test_fixtures::at;
use crate::spread;
use crate::testing::{Random, golden_part};
use crate::verdict::judge;
use crate::verdict::test_fixtures::Facts;

/// Any facts, also impossible ones.
fn facts(random: &mut Random) -> Facts {
    let n = 1 + random.below(6);
    let some = [0, 0, 1, 4, 12, 30, 600];
    let any = |random: &mut Random| some[random.below(some.len())] as u64;
    let yes = |random: &mut Random| random.below(3) == 0;
    let counts: Vec<u64> = (0..n).map(|_| any(random)).collect();
    let mut facts = Facts::new(&counts);
    facts.service.publishes_not_ready = yes(random);
    (facts.service.dns.answers, facts.service.dns.incomplete) = (any(random) + 1, any(random));
    for (endpoint, own) in facts.service.endpoints.iter_mut().zip(&mut facts.client.endpoints) {
        endpoint.ready_since = Some(if yes(random) { at(700) } else { at(0) });
        endpoint.first_answered = (!yes(random)).then(|| at(1));
        own.answered_pods = u64::from(!yes(random));
        own.unaware_pods = u64::from(yes(random));
        own.own_pods = u64::from(random.below(20) == 0);
        own.active = if yes(random) { any(random) } else { 0 };
        (own.brief, own.lasting) = if yes(random) { (own.counted, 0) } else { (0, own.counted) };
        if yes(random) {
            let (refused, aborted, reset) = (any(random), any(random), any(random).min(own.opened));
            own.failed = refused + aborted + reset;
            let named = [("refused", refused), ("aborted", aborted), ("reset", reset)];
            own.reasons = named.map(|(name, count)| (name.to_owned(), count)).into();
        }
    }
    let client = &mut facts.client;
    client.open = spread::of(&client.endpoints.iter().map(|own| own.active).collect::<Vec<_>>());
    if yes(random) {
        let kind = ["removed", "terminating", "not_ready", "ip_reused"][random.below(4)].to_owned();
        let connections = any(random);
        let answered_after = if yes(random) { connections } else { 0 };
        let past_ttl = if yes(random) { connections } else { 0 };
        let pod = format!("pod-{}", random.below(n));
        client.stale =
            vec![StaleTarget { pod, kind, connections, answered_after, past_ttl, ..StaleTarget::default() }];
    }
    if random.below(6) == 0 {
        let (connections, failed) = (any(random), any(random));
        client.other_ports = vec![OtherPort { port: 80, connections, failed, ..OtherPort::default() }];
    }
    let held = &mut client.open_connections;
    (held.pods, held.seconds) = (random.below(3) as u64, 66.0);
    held.pods_on_one = if yes(random) { held.pods } else { 0 };
    let total: u64 = counts.iter().sum();
    let choice = &mut client.selection_pattern;
    (choice.pods, choice.max_endpoints) = (1 + random.below(12) as u64, 1 + random.below(n) as u64);
    choice.pods_on_one = if yes(random) { choice.pods } else { 0 };
    if random.below(6) == 0 {
        // It takes the first address, and that is always the same.
        facts = Facts::new(&[600, 0, 0]);
        facts.client.answers.first_records = [("pod-0".to_owned(), 600)].into();
        let choice = &mut facts.client.selection_pattern;
        (choice.first, choice.first_by_chance) = (600, 200.0);
        return facts;
    }
    if random.below(6) == 0 {
        // It prefers its zone, evenly or not.
        facts = Facts::new(&[600, 600, if yes(random) { 0 } else { 600 }, 0, 0, 0]);
        for (number, endpoint) in facts.service.endpoints.iter_mut().enumerate() {
            endpoint.zone = (random.below(20) > 0).then(|| if number < 3 { "a" } else { "b" }.to_owned());
        }
        let sum = ZoneSum { connections: facts.client.opened, ..ZoneSum::default() };
        let zone = Some(if yes(random) { "b" } else { "a" }.to_owned());
        facts.client.zones = Zones::of([ZoneTraffic { from: zone, to: Some("a".to_owned()), sum }]);
        return facts;
    }
    let choice = &mut client.selection_pattern;
    (choice.first, choice.first_by_chance) = (if yes(random) { total } else { 0 }, total as f64 / n as f64);
    (choice.nearest_candidates, choice.nearest) = (total, if yes(random) { total } else { 0 });
    choice.nearest_by_chance = total as f64 / n as f64;
    (choice.with_known_position, choice.max_position, choice.smallest_answer) =
        (total, random.below(n) as u64, n as u64);
    let answers = &mut client.answers;
    answers.truncated_used = if random.below(8) == 0 { total } else { 0 };
    (answers.smallest, answers.largest) = (1 + random.below(n) as u64, n as u64);
    if yes(random) {
        answers.largest = answers.smallest;
    }
    let age = &mut client.answer_age;
    (age.within_ttl, age.past_ttl) = if yes(random) { (0, total) } else { (total, 0) };
    client.grpc = random.below(8) == 0;
    client.intent = (random.below(8) == 0).then(|| ClientIntent {
        expect: ["pinned", "primary", "subset", "even"][random.below(4)].to_owned(),
        said_by: "pod".to_owned(),
    });
    let draws = |random: &mut Random| LoadDraws {
        minutes: 20,
        ahead: [0, 5, 20][random.below(3)],
        ahead_by_chance: 5.0,
        ..LoadDraws::default()
    };
    for own in &mut client.endpoints {
        own.load.connections = 1;
        own.load.bytes = if yes(random) { 900_000 } else { 9_000 };
        (own.load.ended, own.load.exchanged) = (draws(random), draws(random));
        let times = &mut own.connect_times;
        times.seconds.record(0.02);
        (times.times, times.slow, times.slow_by_chance) =
            (20, if random.below(12) == 0 { 20 } else { 0 }, 20.0 / n as f64);
    }
    if yes(random) {
        let mut other = Client { workload: "other".to_owned(), ..client.clone() };
        for own in &mut other.endpoints {
            own.opened = any(random);
            (own.failed, own.reasons) = (0, [].into());
        }
        facts.service.clients = vec![facts.client.clone(), other];
    }
    facts
}

#[test]
fn every_verdict_has_its_signs_and_names_all_readings() {
    let mut random = Random::new(7);
    let mut seen = std::collections::BTreeMap::new();
    for number in 0..20_000 {
        let facts = facts(&mut random);
        let scene = facts.scene();
        let Ok(verdict) = judge(&scene) else { continue };
        let diagnosis = of(verdict.cause);
        let case = format!("{number}: {verdict:?}");
        assert!(diagnosis.is_possible(&scene), "{case}");
        assert_eq!(verdict.alternatives, diagnosis.alternatives(&scene), "{case}");
        assert!(verdict.alternatives.is_empty() || verdict.confidence < Confidence::High, "{case}");
        *seen.entry(verdict.cause).or_insert(0) += 1;
    }
    let missing: Vec<_> = Cause::ALL.into_iter().filter(|cause| !seen.contains_key(cause)).collect();
    assert_eq!(missing, [], "the facts show every cause: {seen:?}");
}

#[test]
fn causes_that_look_the_same_are_other_causes() {
    for cause in Cause::ALL {
        let diagnosis = of(cause);
        assert!(!diagnosis.needs.is_empty(), "{cause:?}");
        assert!(diagnosis.looks_like.iter().all(|other| other.cause != cause), "{cause:?}");
    }
}

/// The part of a cause's section that the table decides.
fn section(diagnosis: &Diagnosis) -> String {
    let mut text = String::from("\n\n");
    let mut paragraph = |title: &str, lines: Vec<String>| {
        for line in lines {
            let whole = format!("**{title}** {line}");
            let _infallible = writeln!(text, "{}\n", textwrap(&whole));
        }
    };
    paragraph("Needs:", diagnosis.needs.iter().map(|sign| sign.says.to_owned()).collect());
    paragraph("Refuted by:", diagnosis.refuted_by.iter().map(|sign| sign.says.to_owned()).collect());
    let alike = diagnosis.looks_like.iter().map(|other| {
        let name = other.cause.as_str();
        format!("[{name}](#{name}), and the verdict names both: {}", other.remains.says)
    });
    paragraph("Looks the same:", alike.collect());
    text
}

/// Lines of at most 120 characters.
fn textwrap(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().unwrap();
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > 120 {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.join("\n")
}

#[test]
fn the_document_has_the_table() {
    for cause in Cause::ALL {
        let begin = format!("<!-- {}: made from verdict/diagnosis.rs -->", cause.as_str());
        golden_part("../docs/verdicts.md", (&begin, "<!-- end -->"), &section(&of(cause)));
    }
}

//! A line of a trace as text. Pure.

use std::fmt::Write as _;

use super::super::fit_text::{clean, fit_middle, full_name, width};
use crate::expose::snapshot::Cause;
use crate::expose::trace_events::{Connection, DnsAnswer, TraceEvent, What};

/// The look of lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    pub(super) colours: bool,
    /// Columns of the terminal as it is now; nothing where lines may have any length.
    pub(super) width: fn() -> Option<usize>,
}

/// `12:00:00.123  node-1  opened  shop/web → shop/orders  orders-0:5432  service #0  0.4 ms`, the node only where several
/// are followed; on a narrow terminal what follows the names is on lines of its own.
pub(super) fn text(node: Option<&str>, event: &TraceEvent, lines: Lines) -> String {
    let (kind, colour) = match &event.what {
        What::Opened(_) => ("opened", "32"),
        What::Failed(_) => ("failed", "31"),
        What::Closed(_) => ("closed", "2"),
        What::Dns(_) => ("dns   ", "36"),
        What::Verdict(_) => ("verdict", "33"),
    };
    let time = event.time.strftime("%T.%3f").to_string();
    let columns = (lines.width)().unwrap_or(usize::MAX).max(MIN_WIDTH);
    let node =
        node.map(|node| fit_middle(&clean(node), MAX_NODE.min(columns / 5)) + "  ").unwrap_or_default();
    let begin = width(&time) + width(&node) + width(kind) + 4;
    let painted = if lines.colours { format!("\u{1b}[{colour}m{kind}\u{1b}[0m") } else { kind.to_owned() };
    let client = full_name(&event.client.namespace, &event.client.workload);
    let service = event.service.as_ref().map_or("-".to_owned(), |s| full_name(&s.namespace, &s.name));
    let details = match &event.what {
        What::Opened(connection) | What::Failed(connection) | What::Closed(connection) => {
            of_connection(connection)
        }
        What::Dns(answer) => of_answer(answer),
        What::Verdict(verdict) => {
            let name = |cause: Option<Cause>| cause.map_or("none", Cause::as_str);
            let since = verdict.since.strftime("%T");
            vec![
                format!("{} since {since}", name(verdict.verdict)),
                format!("before: {}", name(verdict.before)),
            ]
        }
    };
    let names = format!("{client:<16} → {service:<20}");
    let one_line = format!("{names}  {}", details.join("  "));
    if begin + width(&one_line) <= columns {
        return format!("{time}  {node}{painted}  {one_line}");
    }
    let room = columns - begin - 3;
    let client = fit_middle(&client, (room / 2).max(room.saturating_sub(width(&service))));
    let service = fit_middle(&service, room - width(&client));
    let mut text = format!("{time}  {node}{painted}  {client} → {service}");
    let indent = width(&time) + 2;
    let mut column = columns;
    for detail in details {
        let detail = fit_middle(&detail, columns - indent);
        if column + 2 + width(&detail) <= columns {
            text.push_str("  ");
            column += 2;
        } else {
            let _infallible = write!(text, "\n{:indent$}", "");
            column = indent;
        }
        column += width(&detail);
        text.push_str(&detail);
    }
    text
}

/// Narrower terminals break the lines themselves.
const MIN_WIDTH: usize = 40;
/// The longest name of a node that is shown whole.
const MAX_NODE: usize = 24;

fn of_answer(answer: &DnsAnswer) -> Vec<String> {
    let addresses = if answer.addresses == 1 { "address" } else { "addresses" };
    let (name, qtype) = (clean(&answer.name), clean(&answer.qtype));
    let (rcode, transport) = (clean(&answer.rcode), clean(&answer.transport));
    let truncated = if answer.truncated { ", truncated" } else { "" };
    let outcome = format!("{rcode}, {} {addresses}{truncated} over {transport}", answer.addresses);
    vec![format!("{qtype} {name}"), outcome]
}

fn of_connection(connection: &Connection) -> Vec<String> {
    let place = connection.pod.as_deref().unwrap_or(&connection.address);
    let bracketed = connection.pod.is_none() && place.contains(':');
    let place = if bracketed { format!("[{}]", clean(place)) } else { clean(place) };
    let place = format!("{place}:{}", connection.port);
    let mut details = vec![format!("{place:<16}")];
    let resolution = connection.resolution.as_ref().map(|resolution| format!("by {}", clean(resolution)));
    let position = connection.answer_position.map(|position| format!("#{position}"));
    let resolved = [resolution, position].into_iter().flatten().collect::<Vec<_>>().join(" ");
    details.extend(Some(resolved).filter(|resolved| !resolved.is_empty()));
    details.extend([&connection.reason, &connection.stale].into_iter().flatten().map(|remark| clean(remark)));
    details.extend(connection.duration_ms.map(|milliseconds| format!("{milliseconds:.1} ms")));
    details
}

#[cfg(test)]
mod tests {
    use super::super::super::test_names;
    use super::*;
    use crate::expose::test_fixtures::trace_events;
    use crate::testing::golden;

    #[test]
    fn lines_fit_a_narrow_terminal() {
        let printed = |events: &[TraceEvent], width| {
            let lines = Lines { colours: false, width };
            events.iter().map(|event| text(None, event, lines) + "\n").collect::<String>()
        };
        golden("trace-60.txt", &printed(&trace_events(), || Some(60)));
        golden("trace-80.txt", &printed(&trace_events(), || Some(80)));
        for (length, differ) in test_names::LENGTHS.into_iter().map(|l| (l, test_names::Differ::End)) {
            let mut events = trace_events();
            let name = test_names::name(7, length, differ);
            for event in &mut events {
                event.client.workload = name.clone();
                event.service.iter_mut().for_each(|service| service.name = name.clone());
                if let What::Opened(connection) | What::Failed(connection) = &mut event.what {
                    connection.pod = connection.pod.is_some().then(|| name.clone());
                }
            }
            let whole = printed(&events, || None);
            assert_eq!((whole.lines().count(), whole.contains('…')), (events.len(), false), "{whole}");
            for (columns, width) in
                [(60, (|| Some(60)) as fn() -> Option<usize>), (80, || Some(80)), (120, || Some(120))]
            {
                let text = printed(&events, width);
                test_names::assert_fits(&text, columns, &format!("names of {length}"));
                let is_cut = text.contains(&name[..length / 4]) && text.contains('…');
                assert!(!is_cut || 22 + 2 * length + 13 > columns, "{columns} columns: {text}");
            }
        }
    }

    #[test]
    fn the_node_fits_whatever_its_name_is() {
        for width in [|| Some(40), || Some(60), || Some(100)] as [fn() -> Option<usize>; 3] {
            for node in ["n1", "ip-10-0-137-201.eu-central-1.compute.internal", "n\u{1b}[2J\u{202e}"] {
                let lines = Lines { colours: false, width };
                for event in trace_events() {
                    let text = text(Some(node), &event, lines);
                    assert!(
                        !text.contains('\u{1b}') && text.contains("  n") || text.contains("  ip-"),
                        "{text}"
                    );
                    let columns = width().unwrap();
                    assert!(text.lines().all(|line| super::width(line) <= columns), "{columns}: {text}");
                }
            }
        }
    }
}

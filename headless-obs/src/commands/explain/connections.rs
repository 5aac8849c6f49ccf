//! `explain --connections`: a Service's open connections, one by one.
//!
//! In: a running daemon, or several, or an observation. Out: text or JSON. Invariant: no text of a peer acts on the
//! terminal.

use std::collections::BTreeMap;

use super::super::column_layout::{Column, shown};
use super::super::fit_text::{
    between, bytes, clean, fit, fit_names, full_name, length, plural, thousands, width,
};
use super::super::table::{Look, Paint, cell, indented, push, sentence, table, widths};
use super::super::{Start, one_shot, output};
use crate::cli::{ExplainArgs, Output};
use crate::expose::connection_list::{
    ConnectionList, ConnectionOrder, ConnectionQuery, ConnectionReading, OpenConnection,
};
use crate::messages::paths::time;

/// The most names that are listed below the table.
const NAMES: usize = 5;
/// The longest name of a program that is shown whole; the kernel's have 15 bytes.
const PROGRAM: usize = 16;

pub(super) async fn run(args: ExplainArgs, format: Output, start: impl Start) -> anyhow::Result<()> {
    let ExplainArgs {
        service,
        client,
        sort,
        limit,
        remote,
        duration,
        observe,
        connections: _,
        zone_price: _,
    } = args;
    let query = ConnectionQuery { service, client, order: sort.into(), limit };
    let question = query.clone();
    let answer =
        one_shot::ask(remote, duration, observe, start, async |source| source.connections(question).await);
    let Some(list) = answer.await? else { return Ok(()) };
    if let Some(trouble) = trouble(&list, &query) {
        return Err(trouble);
    }
    let text = match format {
        Output::Table => render(&list, output::look()),
        Output::Json => output::json(&list)? + "\n",
    };
    Ok(output::write(text).await?)
}

/// The reason why there is no list of one Service.
fn trouble(list: &ConnectionList, query: &ConnectionQuery) -> Option<anyhow::Error> {
    let names: Vec<_> = list.services.iter().map(|name| full_name(&name.namespace, &name.name)).collect();
    match &names[..] {
        [] => Some(anyhow::anyhow!(
            "no Service {} is known; `headless-obs report` lists those that are",
            query.service
        )),
        [_] => None,
        _ => Some(super::ambiguous(&names)),
    }
}

/// The list as text.
pub(in crate::commands) fn render(list: &ConnectionList, look: Look) -> String {
    let look = look.clamped();
    let mut text = String::new();
    head(&mut text, list, look);
    if !list.connections.is_empty() {
        text.push('\n');
        rows(&mut text, list, look);
        text.push('\n');
        names(&mut text, &list.connections, look);
    }
    if list.connections.iter().any(|row| row.reading.is_none()) {
        let why = "Bytes and round trips are missing where the kernel does not let the daemon read open connections \
                   (quality.probes.load).";
        sentence(&mut text, why, Some(Paint::Warn), look);
    }
    for node in &list.nodes {
        if let Some(why) = &node.missing {
            let line = format!("{} is missing: {}", clean(&node.node), clean(why));
            sentence(&mut text, &line, Some(Paint::Warn), look);
        }
    }
    text
}

fn head(text: &mut String, list: &ConnectionList, look: Look) {
    let answered = list.nodes.iter().filter(|node| node.missing.is_none()).count();
    let whose = match answered {
        0 | 1 => format!("Node {}", fit(&clean(&list.node), 60)),
        nodes => plural(nodes as u64, "node"),
    };
    let line = format!("{whose}, {}", list.at.strftime("%F %T UTC"));
    sentence(text, &line, Some(Paint::Dim), look);
    let service = list.services.iter().map(|name| full_name(&name.namespace, &name.name)).next();
    let order = match list.order {
        ConnectionOrder::Load => "those with most bytes first",
        ConnectionOrder::Age => "the oldest first",
        ConnectionOrder::Rtt => "those with the longest round trips first",
        ConnectionOrder::Waiting => "those with most waiting bytes first",
    };
    let mut line = format!("{}: {}", service.unwrap_or_default(), plural(list.open, "open connection"));
    if !list.connections.is_empty() {
        line += ", ";
        line += order;
    }
    if list.left_out > 0 {
        line += &format!("; {} more are not listed", thousands(list.left_out));
    }
    sentence(text, &format!("{line}."), Some(Paint::Bold), look);
}

fn rows(text: &mut String, list: &ConnectionList, look: Look) {
    let rows = &list.connections;
    let of = |cell: fn(&OpenConnection) -> String| rows.iter().map(move |row| width(&cell(row)));
    let age = |row: &OpenConnection| age(row, list);
    let clients: Vec<_> = rows.iter().map(client).collect();
    let endpoints: Vec<_> = rows.iter().map(endpoint).collect();
    let nothing_waits = rows.iter().all(|row| row.reading.is_none_or(|reading| waiting(&reading) == 0));
    let nothing_again = rows.iter().all(|row| row.reading.is_none_or(|reading| reading.retransmitted == 0));
    let is_one_node = rows.iter().all(|row| row.node.is_none());
    let columns = [
        Column::name("CLIENT POD", clients.iter().map(|name| width(name))),
        Column::word("NODE", of(node)).needed(0).optional_if(is_one_node, 0),
        Column::word("PROGRAM", of(program)).optional(3),
        Column::name("ENDPOINT", endpoints.iter().map(|name| width(name))),
        Column::figure("AGE", rows.iter().map(|row| width(&age(row)))).needed(5),
        Column::figure("SENT", of(|row| figure(row, |reading| bytes(reading.bytes_sent)))).needed(4),
        Column::figure("RECEIVED", of(|row| figure(row, |reading| bytes(reading.bytes_received)))).needed(3),
        Column::figure("RTT", of(|row| figure(row, rtt))).needed(2),
        Column::figure("WAITING", of(|row| figure(row, |reading| bytes(waiting(reading)))))
            .needed(1)
            .optional_if(nothing_waits, 1),
        Column::figure("SENT AGAIN", of(|row| figure(row, |reading| thousands(reading.retransmitted))))
            .optional(if nothing_again { 0 } else { 2 }),
        Column::word("ANSWER", of(answer)).optional(4),
    ];
    let mut widths = widths(&columns, look);
    if is_one_node {
        widths[1] = None;
    }
    let clients = fit_names(&clients, widths[0].unwrap_or(0));
    let endpoints = fit_names(&endpoints, widths[3].unwrap_or(0));
    let mut table = table(look, &columns, &widths);
    for ((row, client), endpoint) in rows.iter().zip(clients).zip(endpoints) {
        let waits = row.reading.is_some_and(|reading| waiting(&reading) > 0);
        let cells = [
            cell(client, None),
            cell(node(row), None),
            cell(program(row), None),
            cell(endpoint, None),
            cell(age(row), None),
            cell(figure(row, |reading| bytes(reading.bytes_sent)), None),
            cell(figure(row, |reading| bytes(reading.bytes_received)), None),
            cell(figure(row, rtt), None),
            cell(figure(row, |reading| bytes(waiting(reading))), waits.then_some(Paint::Warn)),
            cell(figure(row, |reading| thousands(reading.retransmitted)), None),
            cell(answer(row), None),
        ];
        table.add_row(shown(cells, &widths));
    }
    push(text, &table);
}

/// The names that were asked for, with the number of connections of each.
fn names(text: &mut String, rows: &[OpenConnection], look: Look) {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for answer in rows.iter().filter_map(|row| row.answer.as_ref()) {
        *counts.entry(&answer.name).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (name, count) in counts.iter().take(NAMES) {
        let line = format!("{} from answers for {}", plural(*count, "connection"), clean(name));
        indented(text, &line, Some(Paint::Dim), look);
    }
    if counts.len() > NAMES {
        let more = plural((counts.len() - NAMES) as u64, "more name");
        indented(
            text,
            &format!("… and {more}; -o json has the name of each connection"),
            Some(Paint::Dim),
            look,
        );
    }
}

fn client(row: &OpenConnection) -> String {
    full_name(&row.client.namespace, &row.client_pod)
}

fn node(row: &OpenConnection) -> String {
    row.node.as_deref().map_or_else(|| "-".to_owned(), clean)
}

fn program(row: &OpenConnection) -> String {
    row.program.as_deref().map_or_else(|| "-".to_owned(), |name| fit(&clean(name), PROGRAM))
}

fn endpoint(row: &OpenConnection) -> String {
    let place = row.pod.as_deref().unwrap_or(&row.address);
    let place = if place.contains(':') { format!("[{}]", clean(place)) } else { clean(place) };
    format!("{place}:{}", row.port)
}

fn age(row: &OpenConnection, list: &ConnectionList) -> String {
    row.opened.map_or_else(
        || "older".to_owned(),
        |opened| {
            let age = between(opened, list.at);
            length(if age.as_secs() >= 10 { std::time::Duration::from_secs(age.as_secs()) } else { age })
        },
    )
}

fn figure(row: &OpenConnection, figure: impl Fn(&ConnectionReading) -> String) -> String {
    row.reading.as_ref().map_or_else(|| "-".to_owned(), figure)
}

fn rtt(reading: &ConnectionReading) -> String {
    reading.rtt_us.map_or_else(|| "-".to_owned(), |rtt| time(rtt as f64 / 1e6))
}

fn waiting(reading: &ConnectionReading) -> u64 {
    reading.weight(ConnectionOrder::Waiting)
}

/// `#0 of 3, 12 s before`, or how the address was resolved without an answer.
fn answer(row: &OpenConnection) -> String {
    let Some(answer) = &row.answer else { return fit(&clean(&row.resolution), 16) };
    let place = format!("#{} of {}", answer.position, answer.size);
    match row.opened {
        Some(opened) => format!("{place}, {} before", length(between(answer.at, opened))),
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::test_names;
    use super::*;
    use crate::expose::snapshot::NodeStatus;
    use crate::expose::test_fixtures::{at, connection_list, connection_query};
    use crate::expose::trace_events::ServiceName;
    use crate::testing::golden;

    fn rendered(list: &ConnectionList, width: usize) -> String {
        render(list, Look { width, colours: false })
    }

    #[test]
    fn open_connections() {
        let list = connection_list(&connection_query());
        golden("explain-connections-80.txt", &rendered(&list, 80));
        golden("explain-connections-160.txt", &rendered(&list, 160));
    }

    #[test]
    fn what_is_not_known_is_said() {
        let mut list = connection_list(&connection_query());
        list.connections.iter_mut().for_each(|row| row.reading = None);
        list.nodes = vec![NodeStatus::missing("n3", "it is \u{1b}[2Jaway")];
        list.connections[0].node = Some("n1".into());
        let text = rendered(&list, 120);
        assert!(text.contains("does not let the daemon read open connections"), "{text}");
        assert!(text.contains("n3 is missing: it is \u{fffd}[2Jaway"), "{text}");
        assert!(text.contains("NODE") && text.contains("SENT") && text.contains("-  "), "{text}");
        list.connections.clear();
        (list.open, list.left_out) = (0, 0);
        assert!(rendered(&list, 80).contains("shop/orders: 0 open connections."));
    }

    #[test]
    fn a_list_is_of_one_service() {
        let query = connection_query();
        let mut list = connection_list(&query);
        assert!(trouble(&list, &query).is_none());
        list.services.push(ServiceName { namespace: "x".into(), name: "orders".into() });
        let said = trouble(&list, &query).unwrap().to_string();
        assert!(said.ends_with("give one of them: shop/orders, x/orders"), "{said}");
        list.services.clear();
        let said = trouble(&list, &query).unwrap().to_string();
        assert!(said.starts_with("no Service shop/orders is known"), "{said}");
    }

    #[test]
    fn lines_fit_and_nothing_acts_on_the_terminal_whatever_the_names_are() {
        for (width, length, differ) in test_names::cases() {
            let mut list = connection_list(&connection_query());
            for (number, row) in list.connections.iter_mut().enumerate() {
                row.client_pod = test_names::name(number, length, differ);
                row.pod = Some(test_names::name(number + 10, length, differ));
                row.answer.iter_mut().for_each(|answer| answer.name = test_names::name(7, length, differ));
                row.opened = Some(at(-9_999_999));
            }
            let text = rendered(&list, width);
            test_names::assert_fits(&text, width, &format!("{width} columns, names of {length}"));
        }
    }
}

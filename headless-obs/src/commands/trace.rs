//! `trace`: prints events as they happen.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write as _};

use anyhow::Context;

use super::fit_text::{clean, fit_middle, full_name, width};
use super::progress::begun;
use super::signal::Stop;
use super::{Start, output};
use crate::cli::{Output, TraceArgs};
use crate::expose::object_filter::ObjectFilter;
use crate::expose::snapshot::Cause;
use crate::expose::trace_events::{Connection, DnsAnswer, TraceEvent, What};
use crate::trace_channel::TraceReader;

pub(super) async fn run(args: TraceArgs, format: Output, start: impl Start) -> anyhow::Result<()> {
    let mut stop = Stop::new().context("cannot wait for signals")?;
    let mut observer = start(args.observe.try_into()?).await?;
    if !begun(&mut observer, &mut stop).await? {
        return observer.stop().await;
    }
    let reader = observer.engine.trace().await?;
    output::note("tracing; Ctrl-C stops it");
    let colours = output::look().colours;
    // The reader of standard output may stop reading: a separate thread waits for it, not the engine.
    let printing = tokio::task::spawn_blocking(move || {
        print(reader, args.service.as_ref(), format, Lines { colours, width: output::width }, io::stdout())
    });
    tokio::select! {
        printed = printing => printed.context("printing crashed; please report this")??,
        () = stop.recv() => {}
        error = observer.ended() => return Err(error),
    }
    observer.stop().await
}

/// How lines look.
#[derive(Clone, Copy, Debug)]
struct Lines {
    colours: bool,
    /// Columns of the terminal as it is now; nothing where lines may have any length.
    width: fn() -> Option<usize>,
}

/// Prints until there are no more events, or the reader is gone.
fn print(
    mut reader: TraceReader,
    service: Option<&ObjectFilter>,
    format: Output,
    lines: Lines,
    out: impl io::Write,
) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    while let Some(event) = reader.blocking_next() {
        if concerns(&event, service) {
            match format {
                Output::Table => writeln!(out, "{}", text(&event, lines))?,
                Output::Json => writeln!(out, "{}", output::json(&event)?)?,
            }
        }
        if reader.is_empty() {
            out.flush()?;
        }
        let missed = reader.take_missed();
        if missed > 0 {
            output::note(&format!(
                "{missed} events are missing here, because they came faster than trace printed them"
            ));
        }
    }
    out.flush()
}

fn concerns(event: &TraceEvent, service: Option<&ObjectFilter>) -> bool {
    let Some(filter) = service else { return true };
    event.service.as_ref().is_some_and(|service| filter.matches(&service.namespace, &service.name))
}

/// `12:00:00.123  opened  shop/web → shop/orders  orders-0:5432  service #0  0.4 ms`; on a narrow terminal what
/// follows the names is on lines of its own.
fn text(event: &TraceEvent, lines: Lines) -> String {
    let (kind, colour) = match &event.what {
        What::Opened(_) => ("opened", "32"),
        What::Failed(_) => ("failed", "31"),
        What::Closed(_) => ("closed", "2"),
        What::Dns(_) => ("dns   ", "36"),
        What::Verdict(_) => ("verdict", "33"),
    };
    let time = event.time.strftime("%T.%3f").to_string();
    let begin = width(&time) + width(kind) + 4;
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
    let columns = (lines.width)().unwrap_or(usize::MAX).max(MIN_WIDTH);
    let one_line = format!("{names}  {}", details.join("  "));
    if begin + width(&one_line) <= columns {
        return format!("{time}  {painted}  {one_line}");
    }
    let room = columns - begin - 3;
    let client = fit_middle(&client, (room / 2).max(room.saturating_sub(width(&service))));
    let service = fit_middle(&service, room - width(&client));
    let mut text = format!("{time}  {painted}  {client} → {service}");
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
    use super::super::test_names;
    use super::*;
    use crate::engine_handle::fake;
    use crate::expose::snapshot::Snapshot;
    use crate::expose::test_fixtures;
    use crate::expose::trace_events::{ClientName, ServiceName};
    use crate::testing::golden;

    const ANY_WIDTH: Lines = Lines { colours: false, width: || None };

    fn events() -> Vec<TraceEvent> {
        let event = |seconds, service: Option<&str>, what| TraceEvent {
            time: test_fixtures::at(seconds),
            client: ClientName { namespace: "shop".into(), workload: "web".into() },
            service: service.map(|name| ServiceName { namespace: "shop".into(), name: name.into() }),
            what,
        };
        let connection = Connection {
            pod: Some("orders-0".into()),
            address: "10.0.0.1".into(),
            port: 5432,
            resolution: Some("service".into()),
            answer_position: Some(0),
            duration_ms: Some(0.42),
            ..Connection::default()
        };
        let failed = Connection {
            reason: Some("refused".into()),
            stale: Some("removed".into()),
            ..connection.clone()
        };
        let unknown = Connection {
            address: "fd00::1".into(),
            port: 80,
            reason: Some("no_dns".into()),
            ..Connection::default()
        };
        let answer = DnsAnswer {
            name: "orders.shop.svc.\u{1b}[2Jcluster".into(),
            qtype: "A".into(),
            rcode: "noerror".into(),
            addresses: 40,
            truncated: true,
            transport: "udp".into(),
        };
        vec![
            event(0, Some("orders"), What::Dns(answer)),
            event(1, Some("orders"), What::Opened(connection.clone())),
            event(2, Some("orders"), What::Failed(failed)),
            event(3, Some("sessions"), What::Closed(connection)),
            event(4, None, What::Opened(unknown)),
        ]
    }

    async fn printed(service: Option<&str>, format: Output) -> String {
        let engine = fake::engine(Snapshot { services: Vec::new(), ..test_fixtures::snapshot() }, events());
        let reader = engine.trace().await.unwrap();
        let service = service.map(|service| service.parse().unwrap());
        let printing = tokio::task::spawn_blocking(move || {
            let mut out = Vec::new();
            print(reader, service.as_ref(), format, ANY_WIDTH, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        });
        printing.await.unwrap()
    }

    #[tokio::test]
    async fn lines_of_text() {
        let text = printed(None, Output::Table).await;
        golden("trace.txt", &text);
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn lines_fit_a_narrow_terminal() {
        let printed = |events: &[TraceEvent], width| {
            let lines = Lines { colours: false, width };
            events.iter().map(|event| text(event, lines) + "\n").collect::<String>()
        };
        golden("trace-60.txt", &printed(&events(), || Some(60)));
        golden("trace-80.txt", &printed(&events(), || Some(80)));
        for (length, differ) in test_names::LENGTHS.into_iter().map(|l| (l, test_names::Differ::End)) {
            let mut events = events();
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

    #[tokio::test]
    async fn lines_of_json_can_be_read_back() {
        let text = printed(None, Output::Json).await;
        let read: Vec<TraceEvent> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, events());
        assert!(text.lines().nth(2).unwrap().contains(r#""kind":"failed""#), "{text}");
    }

    #[tokio::test]
    async fn one_service() {
        assert_eq!(printed(Some("shop/orders"), Output::Json).await.lines().count(), 3);
        assert_eq!(printed(Some("x/orders"), Output::Json).await, "");
    }

    #[tokio::test]
    async fn nobody_reads() {
        struct Closed;
        impl io::Write for Closed {
            fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let engine = fake::engine(test_fixtures::snapshot(), events());
        let reader = engine.trace().await.unwrap();
        let printing =
            tokio::task::spawn_blocking(move || print(reader, None, Output::Json, ANY_WIDTH, Closed));
        assert_eq!(printing.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}

//! `trace`: prints events as they happen, on this machine or where daemons run.
//!
//! In: the engine of this process, or running daemons. Out: lines of text or JSON. Invariant: a terminal that does not read
//! delays nobody; events that are not printed because of that are counted, and the count is printed.

use std::io::{self, BufWriter, Write as _};

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;

use super::fit_text::clean;
use super::progress::begun;
use super::signal::Stop;
use super::{Start, output};
use crate::cli::{Output, TraceArgs};
use crate::config::Observe;
use crate::expose::trace_filter::TraceFilter;
use crate::expose::trace_line::{Begin, Remark, TraceLine};
use crate::trace_channel::{OWN_LINES, Reader};

mod follow;
mod line;

use follow::Sources;
use line::{Lines, text};

/// A line, and the node that it comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Followed {
    /// Nothing: this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(flatten)]
    line: TraceLine,
}

impl From<TraceLine> for Followed {
    fn from(line: TraceLine) -> Self {
        Self { node: None, line }
    }
}

pub(super) async fn run(args: TraceArgs, format: Output, start: impl Start) -> anyhow::Result<()> {
    let TraceArgs { service, client, kinds, daemons, observe } = args;
    let filter = TraceFilter { service, client, kinds };
    match Sources::of(daemons, &observe)? {
        Some(sources) => remote(sources, &filter, format).await,
        None => local(observe.try_into()?, filter, format, start).await,
    }
}

async fn local(
    config: Observe,
    filter: TraceFilter,
    format: Output,
    start: impl Start,
) -> anyhow::Result<()> {
    let mut stop = Stop::new().context("cannot wait for signals")?;
    let mut observer = start(config).await?;
    if !begun(&mut observer, &mut stop).await? {
        return observer.stop().await;
    }
    let reader = observer.engine.trace(filter, OWN_LINES).await?;
    output::note("tracing; Ctrl-C stops it");
    tokio::select! {
        printed = printing(reader, false, format) => printed?,
        () = stop.recv() => {}
        error = observer.ended() => return Err(error),
    }
    observer.stop().await
}

/// Follows running daemons until a signal comes.
async fn remote(sources: Sources, filter: &TraceFilter, format: Output) -> anyhow::Result<()> {
    let mut stop = Stop::new().context("cannot wait for signals")?;
    let has_nodes = sources.are_several();
    let followed = tokio::select! {
        followed = sources.follow(filter) => followed?,
        () = stop.recv() => return Ok(()),
    };
    output::note("tracing; Ctrl-C stops it");
    let (reader, mut following) = followed;
    tokio::select! {
        printed = printing(reader, has_nodes, format) => printed,
        () = stop.recv() => Ok(()),
        error = following.ended() => Err(error),
    }
}

/// Prints in a thread of its own: the reader of standard output may stop reading, and the engine must go on.
async fn printing<T: Into<Followed> + Send + 'static>(
    reader: Reader<T>,
    has_nodes: bool,
    format: Output,
) -> anyhow::Result<()> {
    let lines = Lines { colours: output::look().colours, width: output::width };
    let printing = tokio::task::spawn_blocking(move || print(reader, has_nodes, format, lines, io::stdout()));
    Ok(printing.await.context("printing crashed; please report this")??)
}

/// Prints until there are no more events, or the reader is gone.
fn print<T: Into<Followed>>(
    mut reader: Reader<T>,
    has_nodes: bool,
    format: Output,
    lines: Lines,
    out: impl io::Write,
) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    while let Some(followed) = reader.blocking_next() {
        print_line(&followed.into(), has_nodes, format, lines, &mut out)?;
        let events = reader.take_missed();
        if events > 0 {
            let missed = TraceLine::Remark(Remark::Missed { time: Timestamp::now(), events });
            print_line(&missed.into(), has_nodes, format, lines, &mut out)?;
        }
        if reader.is_empty() {
            out.flush()?;
        }
    }
    out.flush()
}

fn print_line(
    followed: &Followed,
    has_nodes: bool,
    format: Output,
    lines: Lines,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let node = followed.node.as_deref();
    match (&followed.line, format) {
        (TraceLine::Remark(remark), _) => {
            if let Some(said) = in_words(remark) {
                output::note(&node.map_or(said.clone(), |node| format!("{}: {said}", clean(node))));
            }
            // On this machine, a trace has no other beginning than that of the command.
            if format == Output::Json && (node.is_some() || matches!(remark, Remark::Missed { .. })) {
                writeln!(out, "{}", output::json(followed)?)?;
            }
            Ok(())
        }
        (TraceLine::Event(event), Output::Table) => {
            writeln!(out, "{}", text(node.filter(|_| has_nodes), event, lines))
        }
        (TraceLine::Event(_), Output::Json) => writeln!(out, "{}", output::json(followed)?),
    }
}

/// The text that is printed of a line.
#[cfg(test)]
pub(super) fn printed(node: Option<&str>, line: TraceLine, format: Output) -> String {
    let mut out = Vec::new();
    let lines = Lines { colours: false, width: || Some(100) };
    let followed = Followed { node: node.map(str::to_owned), line };
    let printed = print_line(&followed, true, format, lines, &mut out);
    assert!(printed.is_ok(), "memory takes everything");
    String::from_utf8_lossy(&out).into_owned()
}

/// The words for a person; none for what is no news.
fn in_words(remark: &Remark) -> Option<String> {
    match remark {
        Remark::Begin(Begin { missing_since: None, .. }) | Remark::Alive { .. } => None,
        Remark::Begin(Begin { missing_since: Some(since), restarted, .. }) => {
            let again = if *restarted { "the daemon has restarted" } else { "connected again" };
            Some(format!("{again}; events since {} are missing", since.strftime("%T.%3f")))
        }
        Remark::Missed { events, .. } => {
            Some(format!("{events} events are missing here, because they came faster than they were read"))
        }
        Remark::Lost { reason, .. } => Some(format!("{}; trying again", clean(reason))),
        Remark::End { reason, .. } => Some(clean(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine_handle::fake;
    use crate::expose::snapshot::Snapshot;
    use crate::expose::test_fixtures::{self, at, trace_events};
    use crate::expose::trace_events::TraceEvent;
    use crate::testing::golden;
    use crate::trace_channel::channel;

    const ANY_WIDTH: Lines = Lines { colours: false, width: || None };

    async fn printed(format: Output) -> String {
        let snapshot = Snapshot { services: Vec::new(), ..test_fixtures::snapshot() };
        let engine = fake::engine(snapshot, trace_events());
        let reader = engine.trace(TraceFilter::default(), OWN_LINES).await.unwrap();
        let printing = tokio::task::spawn_blocking(move || {
            let mut out = Vec::new();
            print(reader, false, format, ANY_WIDTH, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        });
        printing.await.unwrap()
    }

    #[tokio::test]
    async fn lines_of_text() {
        let text = printed(Output::Table).await;
        golden("trace.txt", &text);
        assert!(!text.contains('\u{1b}'));
    }

    #[tokio::test]
    async fn lines_of_json_can_be_read_back() {
        let text = printed(Output::Json).await;
        let read: Vec<TraceEvent> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, trace_events());
        assert!(text.lines().nth(2).unwrap().contains(r#""kind":"failed""#), "{text}");
    }

    #[test]
    fn lines_of_several_nodes_have_their_names_and_what_is_missing_is_counted() {
        let events = trace_events();
        let of = |node: &str, line: TraceLine| Followed { node: Some(node.to_owned()), line };
        let print_all = |format| {
            let (tap, reader) = channel(4);
            assert!(tap.send(of("n1", events[1].clone().into())));
            assert!(tap.send(of("n1", Remark::Missed { time: at(1), events: 7 }.into())));
            assert!(tap.send(of("n2", events[2].clone().into())));
            assert!(tap.send(of("n2", Remark::Lost { time: at(2), reason: "gone".into() }.into())));
            assert!(tap.send(of("n2", events[3].clone().into())), "there is no room for it");
            drop(tap);
            let mut out = Vec::new();
            print(reader, true, format, ANY_WIDTH, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let text = print_all(Output::Table);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.starts_with("00:00:01.000  n1  opened"), "{text}");
        let json = print_all(Output::Json);
        let lines: Vec<serde_json::Value> =
            json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["opened", "missed", "missed", "failed", "lost"], "{json}");
        assert_eq!((&lines[0]["node"], &lines[3]["node"]), (&"n1".into(), &"n2".into()));
        // The second one is of this command itself.
        assert_eq!((&lines[1]["events"], lines[1].get("node").is_none()), (&1.into(), true), "{json}");
        assert_eq!((&lines[2]["events"], &lines[2]["node"]), (&7.into(), &"n1".into()), "{json}");
    }

    #[test]
    fn what_happens_to_a_trace_is_said() {
        let begin = |missing_since, restarted| {
            in_words(&Remark::Begin(Begin { missing_since, restarted, ..Begin::default() }))
        };
        assert_eq!(begin(None, false), None);
        let said = begin(Some(at(7)), true).unwrap();
        assert_eq!(said, "the daemon has restarted; events since 00:00:07.000 are missing");
        assert!(begin(Some(at(7)), false).unwrap().starts_with("connected again; "));
        let lost = in_words(&Remark::Lost { time: at(0), reason: "x\u{1b}[2J".into() }).unwrap();
        assert_eq!(lost, "x\u{fffd}[2J; trying again");
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
        let engine = fake::engine(test_fixtures::snapshot(), trace_events());
        let reader = engine.trace(TraceFilter::default(), OWN_LINES).await.unwrap();
        let printing =
            tokio::task::spawn_blocking(move || print(reader, false, Output::Json, ANY_WIDTH, Closed));
        assert_eq!(printing.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}

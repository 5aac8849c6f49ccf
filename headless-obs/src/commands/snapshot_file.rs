//! A snapshot as text: from a file, from standard input, or from a daemon.
//!
//! In: bytes. Out: a [`Snapshot`], or an error.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;

use super::fit_text::{clean, fit};
use crate::expose::connection_list::ConnectionList;
use crate::expose::snapshot::{SCHEMA, Snapshot};

/// A snapshot of 10,000 endpoints and many clients has a few MiB.
pub(super) const LARGEST: usize = 256 * 1024 * 1024;

/// The reason why bytes are not a snapshot.
#[derive(Debug)]
pub(super) enum NotRead {
    /// They are not a snapshot.
    NoSnapshot(serde_json::Error),
    /// They are a snapshot of another version; its name is clean.
    Schema(String),
}

/// The part of a snapshot that every version has.
#[derive(Deserialize)]
struct Head {
    schema: String,
}

impl Head {
    fn check(&self) -> Result<(), NotRead> {
        if self.schema == SCHEMA { Ok(()) } else { Err(NotRead::Schema(fit(&clean(&self.schema), 60))) }
    }
}

/// A snapshot from its JSON.
pub(super) fn decode(json: &[u8]) -> Result<Snapshot, NotRead> {
    serde_json::from_slice::<Head>(json).map_err(NotRead::NoSnapshot)?.check()?;
    serde_json::from_slice(json).map_err(NotRead::NoSnapshot)
}

/// Snapshots of one daemon over several stretches, from their JSON.
pub(super) fn decode_all(json: &[u8]) -> Result<Vec<Snapshot>, NotRead> {
    let heads: Vec<Head> = serde_json::from_slice(json).map_err(NotRead::NoSnapshot)?;
    heads.iter().try_for_each(Head::check)?;
    serde_json::from_slice(json).map_err(NotRead::NoSnapshot)
}

/// A list of open connections from its JSON.
pub(super) fn decode_connections(json: &[u8]) -> Result<ConnectionList, NotRead> {
    serde_json::from_slice::<Head>(json).map_err(NotRead::NoSnapshot)?.check()?;
    serde_json::from_slice(json).map_err(NotRead::NoSnapshot)
}

/// Whether a path means standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Reads a snapshot. An error says what to do.
pub(super) fn read(path: &Path) -> anyhow::Result<Snapshot> {
    let name = if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() };
    let mut json = Vec::new();
    let limit = u64::try_from(LARGEST).unwrap_or(u64::MAX);
    let read = match is_stdin(path) {
        true => std::io::stdin().lock().take(limit).read_to_end(&mut json),
        false => std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut json)),
    };
    read.with_context(|| format!("cannot read {name}; give a file, or - for standard input"))?;
    understand(&name, &json)
}

/// The snapshot; `name` is the source in an error.
fn understand(name: &str, json: &[u8]) -> anyhow::Result<Snapshot> {
    if json.trim_ascii().is_empty() {
        bail!("{name} is empty; check whether the command that writes it failed");
    }
    decode(json).map_err(|error| match error {
        NotRead::NoSnapshot(error) => {
            anyhow!("{name} is no snapshot: {error}; give the output of `headless-obs report -o json`")
        }
        NotRead::Schema(schema) => {
            anyhow!(
                "{name} has schema {schema:?}, but this program reads {SCHEMA:?}: use the version that wrote it"
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures;

    #[test]
    fn what_is_no_snapshot_is_refused_with_advice() {
        let error_of = |text: &str| understand("a.json", text.as_bytes()).unwrap_err().to_string();
        for (text, hint) in [
            ("", "is empty"),
            ("<html>", "give the output of `headless-obs report -o json`"),
            (r#"{"schema":"headless-obs/v1","service":{}}"#, "missing field"),
            (r#"{"schema":"other/2"}"#, "has schema \"other/2\""),
        ] {
            let error = error_of(text);
            assert!(error.contains(hint) && error.contains("a.json"), "{text}: {error}");
        }
        let one = serde_json::to_string(&test_fixtures::snapshot()).unwrap();
        assert!(error_of(&format!("{one}\n{one}")).contains("trailing"), "two are not one");
        assert_eq!(understand("a.json", one.as_bytes()).unwrap(), test_fixtures::snapshot());
        let error = format!("{:#}", read(Path::new("/nowhere/b.json")).unwrap_err());
        assert!(error.contains("b.json") && error.contains("give a file"), "{error}");
    }
}

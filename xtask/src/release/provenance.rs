//! The provenance of a release: an in-toto statement with SLSA's predicate, version 1.
//!
//! It names each file, the image and the chart by digest, and the sources and compilers that they come from. It is a
//! claim of the machine that wrote it: a signature says whose machine that was.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Files, Plan};
use crate::dist::Made;
use crate::workspace;

/// The statement.
pub(super) fn statement(plan: &Plan, files: &Files, made: &Made) -> Result<String> {
    let lock = fs::read(workspace::root().join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let compilers = made.programs.iter().map(|(one, _)| Ok((one.name().to_owned(), json!(one.compiler()?))));
    let compilers = compilers.collect::<Result<serde_json::Map<String, Value>>>()?;
    let value = with(plan, files, &image::digest(&lock), compilers);
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

fn with(plan: &Plan, files: &Files, lock: &str, compilers: serde_json::Map<String, Value>) -> Value {
    let subject = |(name, digest): (&str, &str)| json!({"name": name, "digest": {"sha256": digest.trim_start_matches("sha256:")}});
    let published = files.published.iter().map(|(name, digest)| (name.as_str(), digest.as_str()));
    let subjects: Vec<Value> = files.digests().chain(published).map(subject).collect();
    let mut sources =
        vec![json!({"name": "Cargo.lock", "digest": {"sha256": lock.trim_start_matches("sha256:")}})];
    if let Some(hash) = &plan.commit.hash {
        sources.push(json!({"name": "sources", "digest": {"gitCommit": hash}}));
    }
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:headless-obs:cargo-xtask-release:1",
                "externalParameters": {
                    "version": plan.version,
                    "registry": plan.registry,
                    "downloads": plan.downloads,
                    "profile": plan.profile,
                },
                "internalParameters": {"compilers": compilers, "sourcesDiffer": plan.commit.is_dirty},
                "resolvedDependencies": sources,
            },
            "runDetails": {"builder": {"id": plan.builder}},
        },
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::commit::Commit;

    #[test]
    fn it_names_what_was_published_and_what_it_is_made_from() {
        let mut plan = Plan::of_test("localhost", "dev").unwrap();
        plan.commit = Commit { hash: Some("12".to_owned()), is_dirty: true, time: 0 };
        let mut files = Files::new(Path::new("/"));
        files.published = vec![("r/headless-obs".to_owned(), "sha256:34".to_owned())];
        let made = with(&plan, &files, "sha256:56", serde_json::Map::new());
        assert_eq!(made["subject"], json!([{"name": "r/headless-obs", "digest": {"sha256": "34"}}]));
        let definition = &made["predicate"]["buildDefinition"];
        assert_eq!(definition["resolvedDependencies"][1]["digest"]["gitCommit"], "12");
        assert_eq!(definition["resolvedDependencies"][0]["digest"]["sha256"], "56");
        assert_eq!(definition["internalParameters"]["sourcesDiffer"], true);
    }
}

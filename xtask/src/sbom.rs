//! A bill of materials of the shipped program in CycloneDX format, which scanners read.
//!
//! In: cargo's resolved dependencies of the daemon and, with their own target, of the kernel programs inside it;
//! Cargo.lock. Out: `headless-obs-VERSION.cdx.json`, which is the same for the same sources. Every component has its
//! licence and, unless it belongs to the project, the checksum of its archive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::toolchain::BPF_TARGET;
use crate::{process, workspace};

/// A component and its dependencies, all by name and version.
#[derive(Debug, Default, PartialEq, Eq)]
struct Component {
    licence: String,
    needs: BTreeSet<Id>,
}

type Id = (String, String);

/// Writes it into a folder, for a program of this target.
pub(crate) fn write(folder: &Path, target: &str) -> Result<()> {
    let mut components = BTreeMap::new();
    let daemon = read(&tree(&["--package", "headless-obs"], target)?, &mut components)?;
    let kernel = read(
        &tree(&["--package", "headless-obs-ebpf", "--features", "kernel"], BPF_TARGET)?,
        &mut components,
    )?;
    // The daemon contains the kernel programs.
    components.entry(daemon.clone()).or_default().needs.insert(kernel);
    let lock = fs::read_to_string(workspace::root().join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let bill = bill(&components, &daemon, &checksums(&lock))?;
    let path = folder.join(format!("headless-obs-{}.cdx.json", daemon.1));
    let text = serde_json::to_string_pretty(&bill)? + "\n";
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The resolved dependencies of a package: one a line, each with its depth before it.
fn tree(package: &[&str], target: &str) -> Result<String> {
    let mut cargo = process::cargo();
    cargo.args(["tree", "--locked", "--edges", "normal", "--prefix", "depth", "--target", target]);
    process::output(cargo.args(["--format", "|{p}|{l}"]).args(package))
}

/// Reads the lines; returns the first component, which depends on all others.
fn read(tree: &str, components: &mut BTreeMap<Id, Component>) -> Result<Id> {
    let mut above: Vec<Id> = Vec::new();
    for line in tree.lines() {
        let mut parts = line.split('|');
        let mut part = || parts.next().with_context(|| format!("cargo tree printed {line:?}"));
        let (depth, package, licence): (usize, _, _) = (part()?.parse()?, part()?, part()?);
        let mut words = package.split(' ');
        let (name, version) = (words.next(), words.next().and_then(|word| word.strip_prefix('v')));
        let id = (name.unwrap_or_default().to_owned(), version.unwrap_or_default().to_owned());
        above.truncate(depth);
        if let Some(parent) = above.last() {
            components.entry(parent.clone()).or_default().needs.insert(id.clone());
        }
        // A trailing `(*)` means that its dependencies are listed above.
        let licence = licence.trim_end_matches(" (*)").trim();
        if licence.is_empty() {
            bail!("{package} names no licence");
        }
        licence.clone_into(&mut components.entry(id.clone()).or_default().licence);
        above.push(id);
    }
    above.into_iter().next().context("cargo tree printed nothing")
}

/// Checksums of archives, from Cargo.lock.
fn checksums(lock: &str) -> BTreeMap<Id, &str> {
    let packages = lock.split("[[package]]").skip(1);
    packages
        .filter_map(|package| {
            let field = |name: &str| {
                let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""))?;
                line.strip_suffix('"')
            };
            Some(((field("name")?.to_owned(), field("version")?.to_owned()), field("checksum")?))
        })
        .collect()
}

fn bill(components: &BTreeMap<Id, Component>, daemon: &Id, checksums: &BTreeMap<Id, &str>) -> Result<Value> {
    let url = |(name, version): &Id| format!("pkg:cargo/{name}@{version}");
    let describe = |id: &Id, component: &Component| {
        let mut value = json!({
            "type": if id == daemon { "application" } else { "library" },
            "bom-ref": url(id),
            "name": id.0,
            "version": id.1,
            "purl": url(id),
            // Old manifests separate alternatives by a slash.
            "licenses": [{"expression": component.licence.replace('/', " OR ")}],
        });
        match checksums.get(id) {
            Some(checksum) => value["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]),
            None if id.0.starts_with("headless-obs") => {}
            None => bail!("Cargo.lock has no checksum of {} {}", id.0, id.1),
        }
        Ok(value)
    };
    let main = components.get(daemon).context("the daemon is not among its components")?;
    let others = components.iter().filter(|(id, _)| *id != daemon);
    let others: Vec<Value> = others.map(|(id, component)| describe(id, component)).collect::<Result<_>>()?;
    let needs = components.iter().map(|(id, component)| {
        json!({"ref": url(id), "dependsOn": component.needs.iter().map(url).collect::<Vec<_>>()})
    });
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": describe(daemon, main)?},
        "components": others,
        "dependencies": needs.collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0|a v0.1.0 (/w/a)|MIT\n1|b v1.0.0|MIT/Apache-2.0\n2|c v2.0.0|BSD-3-Clause\n\
                        1|c v2.0.0|BSD-3-Clause (*)\n";
    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"b\"\n\
                        version = \"1.0.0\"\nsource = \"x\"\nchecksum = \"0b\"\n\n[[package]]\nname = \"c\"\n\
                        version = \"2.0.0\"\nchecksum = \"0c\"\n";

    fn id(name: &str, version: &str) -> Id {
        (name.to_owned(), version.to_owned())
    }

    #[test]
    fn the_tree_becomes_a_graph() {
        let mut components = BTreeMap::new();
        assert_eq!(read(TREE, &mut components).unwrap(), id("a", "0.1.0"));
        let needs = |name, version| components[&id(name, version)].needs.clone();
        assert_eq!(needs("a", "0.1.0"), BTreeSet::from([id("b", "1.0.0"), id("c", "2.0.0")]));
        assert_eq!(needs("b", "1.0.0"), BTreeSet::from([id("c", "2.0.0")]));
        assert_eq!(components[&id("c", "2.0.0")].licence, "BSD-3-Clause");
        assert!(read("0|a v1|\n", &mut components).is_err(), "no licence");
    }

    #[test]
    fn what_is_from_elsewhere_has_a_checksum() {
        assert_eq!(checksums(LOCK), BTreeMap::from([(id("b", "1.0.0"), "0b"), (id("c", "2.0.0"), "0c")]));
        let own = (id("headless-obs", "0.1.0"), Component::default());
        let other =
            (id("b", "1.0.0"), Component { licence: "MIT/Apache-2.0".to_owned(), ..Component::default() });
        let components = BTreeMap::from([own, other]);
        let made = bill(&components, &id("headless-obs", "0.1.0"), &checksums(LOCK)).unwrap();
        assert_eq!(made["components"][0]["hashes"][0]["content"], "0b");
        assert_eq!(made["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        let error = bill(&components, &id("headless-obs", "0.1.0"), &BTreeMap::new()).unwrap_err();
        assert!(error.to_string().contains("no checksum of b"), "{error}");
    }

    /// Components of this workspace: the daemon and the kernel programs' library, but nothing of the tests.
    #[test]
    fn it_lists_what_is_shipped() {
        let folder = std::env::temp_dir().join(format!("xtask-sbom-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let written = write(&folder, "x86_64-unknown-linux-gnu");
        let file = folder.join(format!("headless-obs-{}.cdx.json", env!("CARGO_PKG_VERSION")));
        let text = fs::read_to_string(file);
        fs::remove_dir_all(&folder).unwrap();
        written.unwrap();
        let bill: Value = serde_json::from_str(&text.unwrap()).unwrap();
        let has = |name: &str| bill["components"].as_array().unwrap().iter().any(|part| part["name"] == name);
        assert!(["aya", "aya-ebpf", "kube", "headless-obs-ebpf"].iter().all(|name| has(name)));
        assert!(["proptest", "criterion", "rtnetlink", "xtask"].iter().all(|name| !has(name)));
    }
}

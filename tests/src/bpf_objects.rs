//! BPF objects of the kernel: all loaded ones, and those that a process holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use aya::maps::loaded_maps;
use aya::programs::{loaded_links, loaded_programs};

/// `prog 7`, `map 7` or `link 7` → the object's name; links have none.
#[must_use]
pub fn loaded() -> BTreeMap<String, String> {
    // An object that disappears meanwhile gives an error, which does not matter.
    let programs = loaded_programs().flatten().map(|program| {
        (format!("prog {}", program.id()), program.name_as_str().unwrap_or_default().to_owned())
    });
    let maps = loaded_maps()
        .flatten()
        .map(|map| (format!("map {}", map.id()), map.name_as_str().unwrap_or_default().to_owned()));
    let links = loaded_links().flatten().map(|link| (format!("link {}", link.id()), String::new()));
    programs.chain(maps).chain(links).collect()
}

/// The objects that a process holds by descriptors.
pub fn held_by(pid: u32) -> Result<BTreeSet<String>> {
    let mut held = BTreeSet::new();
    let folder = format!("/proc/{pid}/fdinfo");
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))?.flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        for (key, value) in text.lines().filter_map(|line| line.split_once(":\t")) {
            if let Some(kind) = key.strip_suffix("_id").filter(|kind| ["prog", "map", "link"].contains(kind))
            {
                held.insert(format!("{kind} {}", value.trim()));
            }
        }
    }
    Ok(held)
}

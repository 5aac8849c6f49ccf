//! Writes the archive that a kernel unpacks as its first file system: cpio in the format `newc`.
//!
//! In: path → entry. Out: the archive's bytes; parent folders are created, and root owns everything.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

/// An entry of the archive.
pub(super) enum Entry {
    /// An executable file.
    Program(Vec<u8>),
    /// Another file.
    File(Vec<u8>),
    /// An empty folder.
    Folder,
}

/// File type and permissions of a folder, a program, a file.
const MODES: [u32; 3] = [0o040_755, 0o100_755, 0o100_644];

/// Writes the archive. Paths begin without a slash.
pub(super) fn archive(entries: &BTreeMap<String, Entry>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut folders = BTreeSet::new();
    let mut number = 0;
    for (path, entry) in entries {
        ensure!(!path.starts_with('/'), "{path} begins with a slash");
        for (end, _) in path.match_indices('/') {
            if folders.insert(&path[..end]) {
                number += 1;
                append(&mut out, number, &path[..end], MODES[0], &[])?;
            }
        }
        let (mode, bytes) = match entry {
            Entry::Folder if !folders.insert(path) => continue,
            Entry::Folder => (MODES[0], &[][..]),
            Entry::Program(bytes) => (MODES[1], bytes.as_slice()),
            Entry::File(bytes) => (MODES[2], bytes.as_slice()),
        };
        number += 1;
        append(&mut out, number, path, mode, bytes)?;
    }
    append(&mut out, 0, "TRAILER!!!", 0, &[])?;
    Ok(out)
}

fn append(out: &mut Vec<u8>, number: u32, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let size = u32::try_from(bytes.len())?;
    let name = u32::try_from(path.len() + 1)?;
    // Number, mode, owner, group, links, time, size, two devices of two numbers each, length of the name, checksum.
    let fields = [number, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name, 0];
    out.extend_from_slice(b"070701");
    fields.iter().for_each(|field| out.extend_from_slice(format!("{field:08x}").as_bytes()));
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(bytes);
    pad(out);
    Ok(())
}

/// Every entry begins at a multiple of four.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_what_is_in_them_and_everything_is_aligned() {
        let entries = BTreeMap::from([
            ("a/b/run".to_owned(), Entry::Program(b"12345".to_vec())),
            ("a/b".to_owned(), Entry::Folder),
            ("init".to_owned(), Entry::File(Vec::new())),
        ]);
        let bytes = archive(&entries).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8(bytes).unwrap();
        let names: Vec<&str> = text.split("070701").skip(1).map(|entry| &entry[104..]).collect();
        let names: Vec<&str> = names.iter().map(|rest| rest.split('\0').next().unwrap()).collect();
        assert_eq!(names, ["a", "a/b", "a/b/run", "init", "TRAILER!!!"]);
        assert!(text.contains("a/b/run\0\0\0") && text.contains("12345\0\0\0"));
        assert!(text.starts_with("0707010000000100004"), "{}", &text[..40]);
        assert!(archive(&BTreeMap::from([("/a".to_owned(), Entry::Folder)])).is_err());
    }
}

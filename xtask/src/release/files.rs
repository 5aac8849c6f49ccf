//! The files of a release, and their checksums.
//!
//! Invariant: `SHA256SUMS` names every other file, apart from the signature of `SHA256SUMS` itself, in the format of
//! `sha256sum --check`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

/// The file with the checksums.
pub(super) const SUMS: &str = "SHA256SUMS";

/// The file with the digests of image and chart, one a line after its name.
pub(super) const PUBLISHED: &str = "PUBLISHED";

/// The files.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    /// Name → size and SHA-256.
    all: BTreeMap<String, (usize, String)>,
    /// Names in the registry, without tags, and digests.
    pub(super) published: Vec<(String, String)>,
}

impl Files {
    /// No files yet.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), all: BTreeMap::new(), published: Vec::new() }
    }

    /// Writes one.
    pub(super) fn add(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        self.all.insert(name.to_owned(), (bytes.len(), sha256(bytes)));
        Ok(())
    }

    /// Writes one of text.
    pub(super) fn add_text(&mut self, name: &str, text: &str) -> Result<()> {
        self.add(name, text.as_bytes())
    }

    /// Copies one.
    pub(super) fn add_copy(&mut self, name: &str, from: &Path) -> Result<()> {
        self.add(name, &read(from)?)
    }

    /// Writes the checksums, at the end.
    pub(super) fn write_sums(&mut self) -> Result<()> {
        let lines: Vec<String> = self.digests().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
        self.add_text(SUMS, &lines.concat())
    }

    /// Each file's name and SHA-256.
    pub(super) fn digests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all.iter().map(|(name, (_, sum))| (name.as_str(), sum.as_str()))
    }

    /// One file's SHA-256.
    pub(super) fn sha256(&self, name: &str) -> Option<&str> {
        self.all.get(name).map(|(_, sum)| sum.as_str())
    }

    /// A table for people: name, size, digest.
    pub(super) fn table(&self) -> String {
        let rows = self.all.iter().map(|(name, (size, sum))| (name.clone(), size.to_string(), sum.clone()));
        let published = self.published.iter().map(|(name, digest)| {
            (name.clone(), String::new(), digest.trim_start_matches("sha256:").to_owned())
        });
        let head = ("ARTEFACT".to_owned(), "BYTES".to_owned(), "SHA-256".to_owned());
        let rows: Vec<_> = std::iter::once(head).chain(rows).chain(published).collect();
        let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
        let line =
            |(name, size, sum): &(String, String, String)| format!("{name:width$}  {size:>10}  {sum}\n");
        rows.iter().map(line).collect::<String>().trim_end().to_owned()
    }
}

/// An error unless a folder may be emptied for a release: it is absent, empty, or an earlier release.
pub(super) fn refuse_other_files(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let mut entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    ensure!(
        entries.next().is_none() || folder.join(SUMS).is_file(),
        "{} has files and is no release, and would be emptied: name another folder with --folder",
        folder.display()
    );
    Ok(())
}

/// An error unless each file in a folder is the one that `SHA256SUMS` names.
pub(super) fn verify(folder: &Path) -> Result<()> {
    let sums = String::from_utf8(read(&folder.join(SUMS))?).context("SHA256SUMS is no text")?;
    ensure!(!sums.is_empty(), "SHA256SUMS is empty");
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").context("a line of SHA256SUMS has no two spaces")?;
        if sha256(&read(&folder.join(name))?) != sum {
            bail!("{name} in {} is not the file that SHA256SUMS names", folder.display());
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn sha256(bytes: &[u8]) -> String {
    image::digest(bytes).trim_start_matches("sha256:").to_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::process;

    #[test]
    fn a_changed_byte_is_found() {
        let folder = std::env::temp_dir().join(format!("xtask-release-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut files = Files::new(&folder);
        files.add("a.tar.gz", b"archive").unwrap();
        files.add_text("b.yaml", "a: b\n").unwrap();
        files.write_sums().unwrap();
        verify(&folder).unwrap();
        let check = || {
            process::output(Command::new("sha256sum").args(["--check", "--quiet", SUMS]).current_dir(&folder))
        };
        check().unwrap();
        fs::write(folder.join("a.tar.gz"), b"brchive").unwrap();
        let error = verify(&folder).unwrap_err().to_string();
        let checked = check();
        fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains("a.tar.gz"), "{error}");
        assert!(checked.is_err());
    }

    #[test]
    fn a_folder_with_other_files_is_not_emptied() {
        let folder = std::env::temp_dir().join(format!("xtask-release-other-{}", std::process::id()));
        refuse_other_files(&folder).unwrap();
        fs::create_dir_all(&folder).unwrap();
        refuse_other_files(&folder).unwrap();
        fs::write(folder.join("thesis"), "").unwrap();
        let refused = refuse_other_files(&folder);
        fs::write(folder.join(SUMS), "").unwrap();
        let earlier = refuse_other_files(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert!(refused.unwrap_err().to_string().contains("--folder"));
        earlier.unwrap();
    }

    #[test]
    fn the_table_has_files_and_what_goes_to_the_registry() {
        let mut files = Files::new(Path::new("/"));
        files.all.insert("a".to_owned(), (12, "34".to_owned()));
        files.published = vec![("r/x".to_owned(), "sha256:56".to_owned())];
        let lines = ["ARTEFACT       BYTES  SHA-256", "a                 12  34", "r/x                   56"];
        assert_eq!(files.table(), lines.join("\n"));
    }
}

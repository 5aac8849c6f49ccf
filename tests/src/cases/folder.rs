//! The folders of cases: `tests/cases/NAME/case.yaml`, or any folder that the user names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::case::{self, Case};

/// The file of a case.
const FILE: &str = "case.yaml";
/// The folder of all cases, from the package.
const CASES: &str = "cases";

/// A case with the name of its folder.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) case: Case,
}

/// These cases, or all; in the order of their names.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<Named>> {
    let all = cases();
    let mut folders: Vec<PathBuf> = if names.is_empty() {
        let entries = fs::read_dir(&all).with_context(|| format!("cannot read {}", all.display()))?;
        entries.flatten().map(|entry| entry.path()).filter(|path| path.join(FILE).is_file()).collect()
    } else {
        names.iter().map(|name| find(&all, name)).collect::<Result<_>>()?
    };
    ensure!(!folders.is_empty(), "{} has no case", all.display());
    folders.sort();
    folders.iter().map(|folder| load(folder)).collect()
}

fn find(all: &Path, name: &str) -> Result<PathBuf> {
    for folder in [all.join(name), PathBuf::from(name)] {
        if folder.join(FILE).is_file() {
            return Ok(folder);
        }
    }
    bail!("there is no case {name}: neither {} nor {name} has a file {FILE}", all.join(name).display())
}

fn load(folder: &Path) -> Result<Named> {
    let path = folder.join(FILE);
    let read =
        |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let case = case::read(&read(&path)?, |file| read(&folder.join(file)))
        .with_context(|| path.display().to_string())?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(Named { name: name.unwrap_or_else(|| folder.display().to_string()), case })
}

/// `tests/cases` of the repository in which this was built.
fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(CASES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cases_of_the_repository_can_be_read() {
        let all = chosen(&[]).unwrap();
        assert!(all.iter().any(|case| case.name == "fair"));
    }

    #[test]
    fn a_case_that_is_not_there_is_an_error_that_names_both_places() {
        let error = chosen(&["nowhere".to_owned()]).map(drop).unwrap_err().to_string();
        assert!(error.contains("no case nowhere") && error.contains("cases/nowhere"), "{error}");
    }
}

//! Packages of any Debian release: apt fetches them with separate lists, and they are unpacked, not installed.
//!
//! In: a folder for lists and packages, releases. Out: files. The machine's installed packages and apt's own state stay
//! unchanged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// Debian's archive keys.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One of Debian's two archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Archive {
    /// Releases.
    Main,
    /// Their security updates.
    Security,
}

/// A release's packages for one architecture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suite {
    /// Its archive.
    pub(crate) archive: Archive,
    /// Its name in the archive.
    pub(crate) name: &'static str,
    /// Debian's name of the architecture.
    pub(crate) architecture: &'static str,
}

/// apt with the lists of these suites only.
pub(crate) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Fetches the lists into a separate folder.
    pub(crate) fn of(folder: &Path, suites: &[Suite]) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        for part in ["lists/partial", "cache/archives/partial"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let folder = fs::canonicalize(folder).with_context(|| format!("cannot find {}", folder.display()))?;
        let known = known_archives()?;
        let lines = suites.iter().map(|suite| line(suite, &known)).collect::<Result<Vec<_>>>()?;
        let apt = Self { folder };
        apt.write("apt.conf", &apt.configuration())?;
        apt.write("sources.list", &lines.concat())?;
        process::run(apt.command("apt-get").args(["--quiet", "update"]))?;
        Ok(apt)
    }

    /// The lists' data of a package: its versions, the newest first.
    pub(crate) fn show(&self, package: &str) -> Result<String> {
        process::output(self.command("apt-cache").args(["show", package]))
    }

    /// Fetches packages, unpacks all of them into one folder, and removes lists and packages.
    pub(crate) fn unpack(self, packages: &[String], folder: &Path) -> Result<()> {
        let fetched = self.at("packages");
        fs::create_dir_all(&fetched).with_context(|| format!("cannot make {}", fetched.display()))?;
        let mut download = self.command("apt-get");
        process::run(download.current_dir(&fetched).args(["--quiet", "download"]).args(packages))?;
        for entry in fs::read_dir(&fetched).context("apt fetched no package")?.flatten() {
            process::run(Command::new("dpkg").arg("-x").arg(entry.path()).arg(folder))?;
        }
        // The lists are much larger than the packages, and will be outdated next time.
        fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.at(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn configuration(&self) -> String {
        let at = |name: &str| self.at(name).display().to_string();
        format!(
            "Dir::Etc::SourceList \"{}\";\nDir::Etc::SourceParts \"/dev/null\";\nDir::State::Lists \"{}\";\n\
             Dir::State::Status \"/dev/null\";\nDir::Cache \"{}\";\nAcquire::Languages \"none\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\nAPT::Sandbox::User \"root\";\n",
            at("sources.list"),
            at("lists"),
            at("cache"),
        )
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.at("apt.conf")).env("LC_ALL", "C");
        command
    }
}

/// This machine's Debian mirrors; they have other releases, too.
fn known_archives() -> Result<String> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]);
    process::output(&mut command).context("apt on this machine knows no archive of Debian")
}

/// A suite's line in a sources file.
fn line(suite: &Suite, known: &str) -> Result<String> {
    let Suite { archive, name, architecture } = suite;
    let end = match archive {
        Archive::Main => "/debian",
        Archive::Security => "/debian-security",
    };
    let found = known.lines().map(|line| line.trim_end_matches('/')).find(|line| line.ends_with(end));
    let Some(found) = found else {
        bail!(
            "apt on this machine knows no archive that ends in {end}: add one of Debian's to its sources, any \
             release, and run `apt-get update`"
        );
    };
    Ok(format!("deb [arch={architecture} signed-by={KEYS}] {found} {name} main\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_where_the_machine_has_its_own_from() {
        let known = "http://m/debian-security/\nhttp://m/debian/\nhttp://m/debian/\n";
        let of = |archive| line(&Suite { archive, name: "sid", architecture: "arm64" }, known).unwrap();
        let rest = format!("deb [arch=arm64 signed-by={KEYS}] http://m/debian");
        assert_eq!(of(Archive::Main), format!("{rest} sid main\n"));
        assert_eq!(of(Archive::Security), format!("{rest}-security sid main\n"));
        let suite = Suite { archive: Archive::Main, name: "sid", architecture: "amd64" };
        assert!(line(&suite, "http://m/ubuntu\n").is_err());
    }
}

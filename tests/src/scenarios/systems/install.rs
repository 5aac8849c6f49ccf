//! Installs real systems: Debian's packages, and jars of Maven Central.
//!
//! In: names and versions. Out: paths. Packages are installed if their programs are missing, and start no service. Jars
//! and the classes compiled against them are kept in `target/scenarios`, by version.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::real_pods::run;

/// Debian's packages run this script to learn whether they may start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// The variable with the folder of jars and classes.
const CACHE: &str = "HEADLESS_OBS_SCENARIOS";

/// Installs the packages of missing programs.
pub(crate) fn debian(packages: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|(program, _)| !Path::new(program).exists())
        .map(|&(_, package)| package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let _policy = Policy::new()?;
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], &missing[..]].concat())
        .with_context(|| format!("cannot install {}", missing.join(", ")))
}

fn apt(words: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args(["-q", "-o", "DPkg::Lock::Timeout=300"])
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut command)
}

/// While this exists, no package starts a service.
struct Policy {
    is_ours: bool,
}

impl Policy {
    fn new() -> Result<Self> {
        let is_ours = !Path::new(POLICY).exists();
        if is_ours {
            fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("cannot write {POLICY}"))?;
            fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { is_ours })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.is_ours {
            // Without it packages may start services again, which does not disturb this run.
            let _left = fs::remove_file(POLICY);
        }
    }
}

/// The jars of a system.
pub(crate) struct Jars {
    folder: PathBuf,
}

impl Jars {
    /// Fetches each `GROUP:ARTIFACT:VERSION` with all dependencies; `name` should contain the version.
    pub(crate) fn new(name: &str, artifacts: &[&str]) -> Result<Self> {
        debian(&[("/usr/bin/javac", "default-jdk-headless"), ("/usr/bin/mvn", "maven")])?;
        let folder = cache()?.join(name);
        let pom = pom(artifacts);
        let kept = folder.join("pom.xml");
        if fs::read_to_string(&kept).is_ok_and(|kept| kept == pom) {
            return Ok(Self { folder });
        }
        let draft = cache()?.join(format!(".{name}"));
        remove(&draft)?;
        fs::create_dir_all(&draft).with_context(|| format!("cannot make {}", draft.display()))?;
        fs::write(draft.join("pom.xml"), pom)?;
        let mut maven = Command::new("timeout");
        maven.args(["600", "mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
        run(maven.arg("-DoutputDirectory=lib").current_dir(&draft))
            .with_context(|| format!("Maven cannot fetch {name}"))?;
        remove(&folder)?;
        fs::rename(&draft, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Compiles a source against them; returns the class path.
    pub(crate) fn compile(&self, file: &str, source: &str) -> Result<String> {
        let mut hash = DefaultHasher::new();
        source.hash(&mut hash);
        let name = format!("{file}-{:016x}", hash.finish());
        let (classes, draft) = (self.folder.join(&name), self.folder.join(format!(".{name}")));
        if !classes.is_dir() {
            remove(&draft)?;
            fs::create_dir_all(&draft)?;
            let path = draft.join(file);
            fs::write(&path, source)?;
            let mut javac = Command::new("javac");
            run(javac.arg("-cp").arg(self.folder.join("lib/*")).arg("-d").arg(&draft).arg(&path))?;
            fs::rename(&draft, &classes).with_context(|| format!("cannot make {}", classes.display()))?;
        }
        Ok(format!(
            "{}:{}",
            self.class_path()?,
            classes.to_str().context("the path of the target folder is not UTF-8")?
        ))
    }

    /// The class path of the jars alone.
    pub(crate) fn class_path(&self) -> Result<String> {
        Ok(format!("{}/lib/*", self.folder.to_str().context("the path of the target folder is not UTF-8")?))
    }
}

/// The folder of jars and classes, which the task that starts this program names.
fn cache() -> Result<PathBuf> {
    let folder = env::var_os(CACHE).with_context(|| format!("{CACHE} is not set: `cargo xtask` sets it"))?;
    Ok(folder.into())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn pom(artifacts: &[&str]) -> String {
    let dependency = |artifact: &&str| {
        let mut parts = artifact.split(':');
        let mut part = || parts.next().unwrap_or_default();
        format!(
            "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>\n",
            part(),
            part(),
            part()
        )
    };
    let dependencies: String = artifacts.iter().map(dependency).collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n<modelVersion>4.0.0</modelVersion>\n\
         <groupId>scenarios</groupId><artifactId>system</artifactId><version>1</version>\n\
         <dependencies>\n{dependencies}</dependencies>\n</project>\n"
    )
}

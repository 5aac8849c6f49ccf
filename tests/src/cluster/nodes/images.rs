//! Images that the lab loads into its nodes as archives, so that no node needs a registry.
//!
//! In: programs of this machine. Out: the pause container and the agent as images, and the path of the daemon's image.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use image::{Entry, Image};

use crate::agent_process::agent_path;

/// The image of every pod's first container.
pub(super) const PAUSE: &str = "localhost/pause:lab";
/// The image of servers and clients. Its program is the agent, under each name that probes and pods call.
pub const AGENT: &str = "localhost/agent:lab";

/// Archives of these two images.
const FILES: [&str; 2] = ["pause.tar", "agent.tar"];

/// The agent's path in its image.
pub const AGENT_PROGRAM: &str = "/lab-agent";

/// Writes the lab's own images into a folder; returns their paths and the path of the daemon's image.
pub(super) fn make(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = agent()?;
    let image = |name: &str, role: &[&str]| Image {
        name: name.to_owned(),
        architecture: image::architecture().to_owned(),
        entrypoint: [AGENT_PROGRAM].iter().chain(role).map(|&word| word.to_owned()).collect(),
        entries: entries.clone(),
        labels: BTreeMap::new(),
    };
    fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    write(folder, FILES[0], &image(PAUSE, &["pause"]))?;
    write(folder, FILES[1], &image(AGENT, &[]))?;
    made(folder)
}

/// The result of [`make`], without making them again.
pub(super) fn made(folder: &Path) -> Result<Vec<PathBuf>> {
    let own = FILES.iter().map(|file| folder.join(file));
    Ok(own.chain([daemon()?]).collect())
}

fn write(folder: &Path, name: &str, image: &Image) -> Result<()> {
    let path = folder.join(name);
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    image.write(BufWriter::new(file)).map(drop)
}

/// The archive of `cargo xtask dist`: `HEADLESS_OBS_IMAGE`, else the one in this program's build directory.
fn daemon() -> Result<PathBuf> {
    if let Some(path) = env::var_os("HEADLESS_OBS_IMAGE") {
        return Ok(path.into());
    }
    let this = env::current_exe().context("cannot find this program's own path")?;
    let folders = this.ancestors().map(|folder| folder.join("dist")).find(|folder| folder.is_dir());
    let files = folders.into_iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
    let mut images = files.map(|file| file.path()).filter(|path| path.extension() == Some(OsStr::new("tar")));
    images.next().context("there is no image of the daemon; run `cargo xtask dist`")
}

/// The agent and its libraries: its lookups must be those of a real C library.
fn agent() -> Result<BTreeMap<String, Entry>> {
    let program = agent_path()?;
    let listed = Command::new("ldd").arg(&program).output().context("cannot start ldd")?;
    ensure!(listed.status.success(), "ldd cannot read {}", program.display());
    let mut entries = BTreeMap::from([
        (AGENT_PROGRAM.to_owned(), Entry::Program(read(&program)?)),
        ("/tmp".to_owned(), Entry::Shared),
        // The C library looks names up in files, then in DNS.
        ("/etc/nsswitch.conf".to_owned(), Entry::File(b"hosts: files dns\n".to_vec())),
    ]);
    // ldd prints `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, and the linker without an arrow.
    let text = String::from_utf8_lossy(&listed.stdout);
    for path in text.split_whitespace().filter(|word| word.starts_with('/')) {
        entries.insert(path.to_owned(), Entry::Program(read(Path::new(path))?));
    }
    Ok(entries)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

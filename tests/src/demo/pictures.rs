//! Pictures of the daemon's page, in both colour schemes.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use lab::Observer;
use lab::browser::Browser;

/// The pictures: a name, an element to scroll to, width and height.
const PICTURES: [(&str, &str, u32, u32); 3] = [
    ("page", "#overview", 1_160, 740),
    ("endpoints", "#s0 table.over", 1_160, 420),
    ("matrix", "#s0 table.matrix", 1_160, 660),
];
/// Maximum size of a file, because every clone of the repository has them.
const LARGEST: usize = 200_000;

/// Writes `NAME-light.png` and `NAME-dark.png`.
pub(crate) fn take(observer: &Observer, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let owner = fs::metadata(folder.parent().context("there is no folder for pictures")?)?;
    chown(folder, Some(owner.uid()), Some(owner.gid()))?;
    let profile = std::env::temp_dir().join(format!("headless-obs-pictures-{}", std::process::id()));
    let mut browser = Browser::start(&profile)?;
    browser.open(&format!("http://{}/", observer.address()))?;
    for (name, part, width, height) in PICTURES {
        for scheme in ["light", "dark"] {
            browser.prefer(scheme, "screen")?;
            browser.resize(width, height)?;
            let above = "document.querySelector('PART').closest('.wide, body').getBoundingClientRect().top";
            let scroll = format!("scrollBy(0, {} - 48)", above.replace("PART", part));
            browser.ask(&scroll)?;
            let picture = browser.picture()?;
            let path = folder.join(format!("{name}-{scheme}.png"));
            ensure!(
                picture.len() <= LARGEST,
                "{} has {} bytes, which is too large for the repository",
                path.display(),
                picture.len()
            );
            fs::write(&path, picture).with_context(|| format!("cannot write {}", path.display()))?;
            // The user who runs this may not be root.
            chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(())
}

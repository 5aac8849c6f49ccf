//! Where things are: the paths of the workspace that tasks read and write.

use std::path::PathBuf;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    // Cargo tells it at run time, which stays right when the build directory was copied from elsewhere.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map(PathBuf::from).unwrap_or(xtask)
}

/// The build directory. Fixed, whatever `CARGO_TARGET_DIR` says, for the daemon's build script looks there.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// Cargo's build directory for the BPF target.
pub(crate) fn ebpf_dir() -> PathBuf {
    target().join("ebpf")
}

/// The object that the daemon embeds.
pub(crate) fn ebpf_object() -> PathBuf {
    ebpf_dir().join("headless-obs.bpf.o")
}

/// Where `setup` keeps tools and its notes.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

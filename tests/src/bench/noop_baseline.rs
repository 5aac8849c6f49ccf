//! The baseline: empty programs on the hooks that the daemon uses.
//!
//! In: the object of `headless-obs-ebpf/src/bench_noop.rs`, at the path in `HEADLESS_OBS_NOOP`. Dropping it detaches
//! the programs.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use aya::programs::{BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType};
use aya::{Btf, Ebpf};

use crate::bpf::Hook;

/// The attached empty programs.
pub(crate) struct NoopBaseline {
    _ebpf: Ebpf,
}

impl NoopBaseline {
    /// Attaches one to each of the hooks; `root` is the root cgroup.
    pub(crate) fn attach(hooks: &BTreeSet<Hook>, root: &Path) -> Result<Self> {
        let path = std::env::var_os("HEADLESS_OBS_NOOP")
            .context("HEADLESS_OBS_NOOP is not set; run `cargo xtask bench`")?;
        let mut ebpf = Ebpf::load_file(&path).with_context(|| format!("cannot load {}", path.display()))?;
        let root = File::open(root).with_context(|| format!("cannot open {}", root.display()))?;
        for hook in hooks {
            match hook {
                Hook::Ingress => packets(&mut ebpf, "noop_ingress", &root, CgroupSkbAttachType::Ingress)?,
                Hook::Egress => packets(&mut ebpf, "noop_egress", &root, CgroupSkbAttachType::Egress)?,
                Hook::TcpState => {
                    let program =
                        ebpf.program_mut("noop_tcp").context("the object has no program noop_tcp")?;
                    let program: &mut BtfTracePoint = program.try_into()?;
                    program.load("inet_sock_set_state", &Btf::from_sys_fs()?)?;
                    program.attach()?;
                }
            }
        }
        Ok(Self { _ebpf: ebpf })
    }
}

fn packets(ebpf: &mut Ebpf, name: &str, root: &File, attach_type: CgroupSkbAttachType) -> Result<()> {
    let program = ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
    let program: &mut CgroupSkb = program.try_into()?;
    program.load()?;
    // A link with `Single` still allows programs of others.
    program.attach(root, attach_type, CgroupAttachMode::Single)?;
    Ok(())
}

//! A socket-level load balancer, as Cilium and Calico have one: a program at `connect()` sends sockets elsewhere.
//!
//! In: a cgroup, frontends and their backends. Out: sockets below the cgroup that dial a frontend connect to one of the
//! backends. Dropping it detaches the programs. The object is that of `headless-obs-ebpf/src/socket_balancer.rs`, which
//! `cargo xtask build-ebpf` builds; its path can be given in `HEADLESS_OBS_BALANCER`.

use std::env;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::maps::{HashMap, MapData};
use aya::programs::{CgroupAttachMode, CgroupSockAddr};

/// The object, from this package's folder.
const OBJECT: &str = "../target/ebpf/bpfel-unknown-none/release/socket-balancer";
/// Places for a frontend's backends.
const BACKENDS: u8 = 4;

/// The attached programs.
pub struct SocketBalancer {
    _ebpf: Ebpf,
    frontends: HashMap<MapData, [u8; 24], [u8; 24]>,
}

impl SocketBalancer {
    /// Attaches it to a cgroup.
    pub fn attach(cgroup: &Path) -> Result<Self> {
        let given = env::var_os("HEADLESS_OBS_BALANCER").map(PathBuf::from);
        let object = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(OBJECT));
        let mut ebpf =
            Ebpf::load_file(&object).with_context(|| format!("cannot load {}", object.display()))?;
        let cgroup = File::open(cgroup).with_context(|| format!("cannot open {}", cgroup.display()))?;
        for name in ["balancer4", "balancer6"] {
            let program = ebpf.program_mut(name).with_context(|| format!("the object has no {name}"))?;
            let program: &mut CgroupSockAddr = program.try_into()?;
            program.load()?;
            // A link with `Single` still allows programs of others.
            program.attach(&cgroup, CgroupAttachMode::Single)?;
        }
        let frontends = ebpf.take_map("FRONTENDS").context("the object has no FRONTENDS")?.try_into()?;
        Ok(Self { _ebpf: ebpf, frontends })
    }

    /// From now on, sockets that dial `frontend` connect to any of these backends, at most four.
    pub fn forward(&mut self, frontend: SocketAddr, backends: &[SocketAddr]) -> Result<()> {
        for (place, backend) in (0..BACKENDS).zip(backends.iter().cycle()) {
            let mut key = bytes(frontend);
            key[18] = place;
            self.frontends.insert(key, bytes(*backend), 0)?;
        }
        Ok(())
    }
}

/// Address and port as in the programs' map.
fn bytes(of: SocketAddr) -> [u8; 24] {
    let address = match of.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&address.octets());
    bytes[16..18].copy_from_slice(&of.port().to_ne_bytes());
    bytes
}

//! Reads the load of open connections, by an iterator of the kernel over CONNECTIONS.
//!
//! In: nothing, or the link that [`OpenLoads::attach`] makes. Out: [`Reading`]s, in slices, so that the reader can do
//! other work in between.
//!
//! Invariants: a walk needs no capability where reading a map needs none. It may miss an entry whose neighbour in the
//! hash is removed at that moment; the next walk has it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya::maps::Map;
use aya::programs::Iter;
use aya::{Btf, Ebpf};
use headless_obs_ebpf::reading::Reading;
use headless_obs_ebpf::symbols::{CONNECTIONS, ITER_LOADS};

use super::bpf_call::{BPF_LINK_CREATE, descriptor, number};
use super::load::{program, refused};
use super::{ProbeError, record};

/// A command of the system call `bpf`.
const BPF_ITER_CREATE: libc::c_int = 33;
/// The kernel's number for the attachment of iterators.
const BPF_TRACE_ITER: u32 = 28;
/// The kernel's own buffer for a walk: a read fills it once.
const SLICE: usize = 8 * 4096;

/// The kernel's `union bpf_attr` for the link of an iterator.
#[repr(C)]
#[derive(Default)]
struct Link {
    program: u32,
    target: u32,
    hook: u32,
    flags: u32,
    /// The address of a [`Target`], and its length.
    info: u64,
    info_length: u32,
    _pad: u32,
    _more: [u64; 8],
}

/// The kernel's `union bpf_iter_link_info`.
#[repr(C)]
struct Target {
    map: u32,
}

const TARGET_LENGTH: u32 = 4;
const _: () = assert!(size_of::<Target>() == 4);

/// The kernel's `union bpf_attr` for a walk.
#[repr(C)]
#[derive(Default)]
struct Create {
    link: u32,
    flags: u32,
    _more: [u64; 12],
}

/// The attached iterator.
pub struct OpenLoads {
    link: OwnedFd,
}

impl OpenLoads {
    /// Loads the program, and links it to CONNECTIONS.
    pub(super) fn attach(ebpf: &mut Ebpf, btf: &Btf) -> Result<Self, ProbeError> {
        let failed =
            |error: &dyn std::fmt::Display| ProbeError::Refused { what: ITER_LOADS, why: error.to_string() };
        let map = match ebpf.map(CONNECTIONS) {
            Some(Map::HashMap(map)) => map.fd().as_fd().as_raw_fd(),
            _ => return Err(failed(&"CONNECTIONS is no hash map")),
        };
        let program: &mut Iter = program(ebpf, ITER_LOADS)?;
        program.load("bpf_map_elem", btf).map_err(refused(ITER_LOADS))?;
        let program = program.fd().map_err(refused(ITER_LOADS))?.as_fd().as_raw_fd();
        let target = Target { map: number(map) };
        let mut link = Link {
            program: number(program),
            hook: BPF_TRACE_ITER,
            info: (&raw const target).expose_provenance() as u64,
            info_length: TARGET_LENGTH,
            ..Link::default()
        };
        let link = descriptor(BPF_LINK_CREATE, &mut link).map_err(|error| failed(&error))?;
        Ok(Self { link })
    }

    /// Starts a walk over the connections that are open now.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn walk(&self) -> io::Result<Walk> {
        let mut create = Create { link: number(self.link.as_raw_fd()), ..Create::default() };
        let file = File::from(descriptor(BPF_ITER_CREATE, &mut create)?);
        Ok(Walk { file, buffer: vec![0; SLICE], rest: 0 })
    }
}

/// A walk over open connections.
#[derive(Debug)]
pub struct Walk {
    file: File,
    buffer: Vec<u8>,
    /// Bytes of a reading that is not complete, at the buffer's start.
    rest: usize,
}

impl Walk {
    /// The next readings; none at the end.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn slice(&mut self) -> io::Result<Vec<Reading>> {
        let room = self.buffer.get_mut(self.rest..).unwrap_or_default();
        let taken = self.file.read(room)?;
        let filled = self.rest + taken;
        let (readings, used) = record::readings(self.buffer.get(..filled).unwrap_or_default());
        self.buffer.copy_within(used..filled, 0);
        self.rest = filled - used;
        Ok(readings)
    }
}

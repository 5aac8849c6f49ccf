//! The programs at a cgroup, as far as aya does not know them: which ones are attached, in which order they run, and a
//! link with flags.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::bpf_call::{BPF_LINK_CREATE, bpf, descriptor, number};

/// A command of the system call `bpf`.
const BPF_PROG_QUERY: libc::c_int = 16;

/// A query's flag: the programs that run for sockets of this cgroup, in their order, those of parents included.
const EFFECTIVE: u32 = 1;
/// The flag of programs beside which others can be attached.
const ALLOW_MULTI: u32 = 1 << 1;

/// The flags of a link that comes before all others (Linux 6.17 and newer): `BPF_F_PREORDER`, in front of the programs
/// of cgroups below, and `BPF_F_BEFORE`, in front of others with that flag.
pub(super) const FIRST_OF_ALL: u32 = 1 << 6 | 1 << 3;

/// A hook at cgroups, with the kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// `connect()` over IPv4.
    Connect4 = 10,
    /// `connect()` over IPv6.
    Connect6 = 11,
}

/// The most programs at one cgroup; the kernel allows 64.
const MOST: u32 = 64;

/// The programs at a cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attached {
    /// Their ids.
    pub(super) programs: Vec<u32>,
    /// Whether others can be attached beside them, and below.
    pub(super) allows_others: bool,
}

/// The kernel's `union bpf_attr` for a query. The kernel writes into it, newer ones also behind the fields used here.
#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    hook: u32,
    flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    _pad: u32,
    _more: [u64; 12],
}

/// The kernel's `union bpf_attr` for a link.
#[repr(C)]
#[derive(Default)]
struct Link {
    program: u32,
    target: u32,
    hook: u32,
    flags: u32,
    _more: [u64; 12],
}

/// The programs that are attached to this cgroup itself.
pub(super) fn at(cgroup: &Path, hook: Hook) -> io::Result<Attached> {
    query(cgroup, hook, 0)
}

/// The programs that run for sockets of this cgroup, in their order.
pub(super) fn effective_at(cgroup: &Path, hook: Hook) -> io::Result<Vec<u32>> {
    query(cgroup, hook, EFFECTIVE).map(|attached| attached.programs)
}

fn query(cgroup: &Path, hook: Hook, flags: u32) -> io::Result<Attached> {
    let cgroup = File::open(cgroup)?;
    let mut ids = [0_u32; MOST as usize];
    let mut query = Query {
        target: number(cgroup.as_raw_fd()),
        hook: hook as u32,
        flags,
        ids: ids.as_mut_ptr().expose_provenance() as u64,
        count: MOST,
        ..Query::default()
    };
    bpf(BPF_PROG_QUERY, &mut query)?;
    let count = usize::try_from(query.count.min(MOST)).unwrap_or(0);
    Ok(Attached {
        programs: ids.into_iter().take(count).collect(),
        allows_others: query.attach_flags & ALLOW_MULTI != 0,
    })
}

/// Attaches a program to a cgroup, for as long as the result lives.
pub(super) fn link(
    program: BorrowedFd<'_>,
    cgroup: impl AsFd,
    hook: Hook,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut link = Link {
        program: number(program.as_raw_fd()),
        target: number(cgroup.as_fd().as_raw_fd()),
        hook: hook as u32,
        flags,
        ..Link::default()
    };
    descriptor(BPF_LINK_CREATE, &mut link)
}

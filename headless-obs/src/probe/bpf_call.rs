//! The system call `bpf`, for the commands that aya does not know.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Makes a link: attaches a program.
pub(super) const BPF_LINK_CREATE: libc::c_int = 28;

/// The bytes of the attributes that are passed; the rest is room.
const LENGTH: usize = 64;

/// A command with its attributes, the kernel's `union bpf_attr`.
pub(super) fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<RawFd> {
    const { assert!(size_of::<T>() >= LENGTH) };
    // SAFETY: the structure is at least as long as said, and what it points to lives until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, LENGTH) };
    RawFd::try_from(result).ok().filter(|result| *result >= 0).ok_or_else(io::Error::last_os_error)
}

/// A command whose result is a descriptor.
pub(super) fn descriptor<T>(command: libc::c_int, attributes: &mut T) -> io::Result<OwnedFd> {
    let made = bpf(command, attributes)?;
    // SAFETY: the kernel has made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// A descriptor as a field of attributes.
pub(super) fn number(descriptor: RawFd) -> u32 {
    u32::try_from(descriptor).unwrap_or(u32::MAX)
}

//! Changes of state that the kernel did not run the program at.
//!
//! In: what the kernel tells of a program under its descriptor, in /proc. Out: a count. A program at a classic tracepoint
//! is left out while one runs on the same processor already: a packet that comes in just then may change another
//! connection. Linux before 6.7 does not tell.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;

use aya::programs::Program;

/// The runs of one program that were left out.
pub(super) struct RecursionMisses(Option<PathBuf>);

impl RecursionMisses {
    /// Of a program that is loaded, for as long as it is.
    pub(super) fn of(program: Option<&Program>) -> Self {
        let descriptor = program.and_then(|program| program.fd().ok()).map(|fd| fd.as_fd().as_raw_fd());
        Self(descriptor.map(|number| PathBuf::from(format!("/proc/self/fdinfo/{number}"))))
    }

    /// How many so far.
    pub(super) fn count(&self) -> u64 {
        let text = self.0.as_ref().and_then(|path| fs::read_to_string(path).ok());
        text.and_then(|text| misses(&text)).unwrap_or(0)
    }
}

fn misses(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_if_the_kernel_tells_it() {
        let text = "pos:\t0\nprog_type:\t26\nrun_cnt:\t0\nrecursion_misses:\t2388\nverified_insns:\t1\n";
        assert_eq!(misses(text), Some(2_388));
        assert_eq!(misses("prog_type:\t26\nrun_cnt:\t0\n"), None);
    }
}

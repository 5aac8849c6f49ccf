//! Counts the state changes at which the kernel skipped the program.
//!
//! In: the kernel's data about a program's descriptor, in /proc. Out: a count. The kernel skips a program at a classic
//! tracepoint while one runs on the same processor: a packet that arrives just then may change another connection.
//! Linux before 6.7 has no such count.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;

use aya::programs::Program;

/// The skipped runs of one program.
pub(super) struct RecursionMisses(Option<PathBuf>);

impl RecursionMisses {
    /// For a loaded program, while it is loaded.
    pub(super) fn of(program: Option<&Program>) -> Self {
        let descriptor = program.and_then(|program| program.fd().ok()).map(|fd| fd.as_fd().as_raw_fd());
        Self(descriptor.map(|number| PathBuf::from(format!("/proc/self/fdinfo/{number}"))))
    }

    /// The number so far.
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

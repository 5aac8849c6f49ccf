//! The C library's heap: one for all threads, and what is free goes back to the kernel.

/// Lets all threads take their memory from one heap; to be called before there are any. By default each has a heap of its
/// own, and each keeps the most that it ever used.
pub fn share_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the function may be called at any time, by any thread.
    let _whether = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Returns freed memory to the kernel. Reading the kernel's types, ten thousand manifests, or a snapshot of as many
/// endpoints takes tens of MiB for a moment; the C library would keep them.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the function may be called at any time, by any thread.
    let _whether = unsafe { libc::malloc_trim(0) };
}

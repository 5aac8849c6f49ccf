//! Returns freed memory to the kernel.

/// Returns freed memory to the kernel. Reading the kernel's types, ten thousand manifests, or a snapshot of as many
/// endpoints takes tens of MiB for a moment; the C library would keep them.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the function may be called at any time, by any thread.
    let _whether = unsafe { libc::malloc_trim(0) };
}

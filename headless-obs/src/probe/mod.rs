//! The kernel side seen from user space: load, attach, read.

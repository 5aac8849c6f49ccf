//! Who a client is: pod, cgroup or process.

pub mod cgroup;

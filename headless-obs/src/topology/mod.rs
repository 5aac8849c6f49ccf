//! The topology: Services, their endpoints over time, and Pods.

pub mod object;

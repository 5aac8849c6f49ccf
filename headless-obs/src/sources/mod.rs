//! Where the topology comes from.

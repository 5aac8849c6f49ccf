//! DNS message bytes to an [`Answer`](super::Answer).

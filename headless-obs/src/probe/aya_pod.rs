//! The interface's types as values of aya's maps and globals.

use headless_obs_ebpf::connection::Connection;
use headless_obs_ebpf::dns_query::{PendingQuery, QueryKey};
use headless_obs_ebpf::flow::{FlowKey, FlowTotals};
use headless_obs_ebpf::losses::LossKey;
use headless_obs_ebpf::offsets::{SockOffsets, TracepointOffsets};

/// Lets aya copy a type of the interface in and out of maps and globals.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct AsPod<T: Copy>(pub(super) T);

// SAFETY: no padding, any bytes are valid; as the ABI promises for all its types.
unsafe impl aya::Pod for AsPod<FlowKey> {}
// SAFETY: as above.
unsafe impl aya::Pod for AsPod<FlowTotals> {}
// SAFETY: as above.
unsafe impl aya::Pod for AsPod<Connection> {}
// SAFETY: as above.
unsafe impl aya::Pod for AsPod<LossKey> {}
// SAFETY: as above.
unsafe impl aya::Pod for AsPod<QueryKey> {}
// SAFETY: as above.
unsafe impl aya::Pod for AsPod<PendingQuery> {}
// SAFETY: as above.
unsafe impl aya::Pod for AsPod<SockOffsets> {}
// SAFETY: as above.
unsafe impl aya::Pod for AsPod<TracepointOffsets> {}

//! The fields of a socket that `tcp` needs, and the two ways to read them: by BTF offsets, or from the classic
//! tracepoint's record.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_skc_to_tcp_sock};
use aya_ebpf::programs::TracePointContext;
use headless_obs_ebpf::Address;
use headless_obs_ebpf::flow::reason;
use headless_obs_ebpf::offsets::TracepointOffsets;

use crate::maps::TRACEPOINT_OFFSETS;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
pub(crate) const IPPROTO_TCP: u16 = 6;

/// In `sk_shutdown`: the socket sends nothing more, but still receives.
const SEND_SHUTDOWN: u8 = 2;
/// The bit in `sk_flags` that means that the peer's FIN has arrived.
const SOCK_DONE: u32 = 1;

const ENETUNREACH: i32 = 101;
const ECONNRESET: i32 = 104;
const ETIMEDOUT: i32 = 110;
const ECONNREFUSED: i32 = 111;
const EHOSTUNREACH: i32 = 113;

/// Both ends of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Tuple {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    pub(crate) port: u16,
}

/// A socket during a state change.
pub(crate) trait Socket {
    /// Identifies the socket while it lives.
    fn id(&self) -> u64;
    /// The kernel's own number of the socket; 0 if nobody asked for it, or if it cannot be read.
    fn cookie(&self) -> u64;
    /// Source, destination and destination port; `None` if it is not TCP over IP.
    fn tuple(&self) -> Option<Tuple>;
    /// The reason of the failure; [`reason::NONE`] if there is no error.
    fn failure(&self) -> u8;
    /// Whether the program has closed only its sending side and waits for the response.
    fn is_half_closed(&self) -> bool;
    /// Segments that it has sent again so far.
    fn retransmitted(&self) -> u32;
    /// Its load so far. `delivers`: unsent data will still be sent.
    fn load(&self, delivers: bool) -> Load;
}

/// The load of a connection, by the kernel's own counts.
#[derive(Clone, Copy, Default)]
pub(crate) struct Load {
    /// Bytes sent, each once.
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    /// Segments with data.
    pub(crate) segments_sent: u32,
    pub(crate) segments_received: u32,
    pub(crate) retransmitted: u32,
    /// Smoothed, in microseconds.
    pub(crate) rtt: u32,
}

/// A way to read the fields of a kernel structure.
pub(crate) trait Fields: Copy {
    /// The value at this offset.
    fn field<T: Copy + Default>(&self, offset: usize) -> T;
}

/// A pointer whose type the verifier knows.
#[derive(Clone, Copy)]
pub(crate) struct Typed(pub(crate) *const c_void);

impl Fields for Typed {
    #[inline(always)]
    fn field<T: Copy + Default>(&self, offset: usize) -> T {
        let field = self.0.wrapping_byte_add(offset);
        // SAFETY: a kernel pointer with its BTF type; the verifier checks that a field of this size is at this place,
        // and a fault reads as zero.
        unsafe { field.cast::<T>().read_volatile() }
    }
}

/// An address of which the verifier knows nothing. A field that cannot be read is zero.
#[derive(Clone, Copy)]
pub(crate) struct Untyped(pub(crate) u64);

impl Fields for Untyped {
    #[inline(always)]
    fn field<T: Copy + Default>(&self, offset: usize) -> T {
        let mut value = T::default();
        let field = (self.0 as usize).wrapping_add(offset) as *const c_void;
        // SAFETY: the helper writes the bytes of `value`, and fails instead of faulting.
        unsafe { bpf_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, field) };
        value
    }
}

/// Source, destination and destination port of a `struct sock`; `None` if it is not IP.
#[inline(always)]
pub(crate) fn tuple_of(sk: impl Fields) -> Option<Tuple> {
    let family: u16 = sk.field(offset!(family));
    if family != AF_INET && family != AF_INET6 {
        return None;
    }
    let port = u16::from_be(sk.field(offset!(dport)));
    if family == AF_INET6 {
        let low: u64 = sk.field(offset!(v6_daddr));
        let high: u64 = sk.field(offset!(v6_daddr) + 8);
        // An IPv4-mapped destination: only the IPv4 fields are complete at SYN_SENT.
        let is_mapped = low == 0 && (high as u32) == 0xffff_0000_u32;
        if !is_mapped {
            let source = [sk.field(offset!(v6_saddr)), sk.field(offset!(v6_saddr) + 8)];
            return Some(Tuple { source: bytes(source), destination: bytes([low, high]), port });
        }
    }
    let source = bytes(ipv4_mapped(sk.field(offset!(saddr))));
    let destination = bytes(ipv4_mapped(sk.field(offset!(daddr))));
    Some(Tuple { source, destination, port })
}

/// The load of a `struct tcp_sock`, without what is not sent yet. The kernel counts a retransmission in
/// `bytes_retrans` first, so in this order the bytes never count one twice.
#[inline(always)]
pub(crate) fn load_of(tcp: impl Fields) -> Load {
    let sent: u64 = tcp.field(offset!(bytes_sent));
    let again: u64 = tcp.field(offset!(bytes_retrans));
    let rtt: u32 = tcp.field(offset!(srtt));
    Load {
        bytes_sent: sent.saturating_sub(again),
        bytes_received: tcp.field(offset!(bytes_received)),
        segments_sent: tcp.field(offset!(segments_sent)),
        segments_received: tcp.field(offset!(segments_received)),
        retransmitted: tcp.field(offset!(retransmitted)),
        rtt: rtt >> 3,
    }
}

/// Bytes that the program has written and that are not sent yet.
#[inline(always)]
pub(crate) fn unsent(tcp: impl Fields) -> u32 {
    let (end, next): (u32, u32) = (tcp.field(offset!(write_seq)), tcp.field(offset!(snd_nxt)));
    end.wrapping_sub(next)
}

/// 1 if the peer's FIN has arrived, which the kernel counts as a byte.
#[inline(always)]
pub(crate) fn fin(sk: impl Fields) -> u64 {
    let flags: u64 = sk.field(offset!(flags));
    (flags >> SOCK_DONE) & 1
}

/// The address of one field of [`SOCK_OFFSETS`]. Each field is read by itself, so each is a constant to the verifier,
/// and a load through it is a plain load of a field of `struct sock`.
macro_rules! offset {
    ($field:ident) => {{
        let offsets =
            (&raw const $crate::maps::SOCK_OFFSETS).cast::<::headless_obs_ebpf::offsets::SockOffsets>();
        // SAFETY: `Global` is transparent, so this is the live global; it is read-only while programs run.
        unsafe { (&raw const (*offsets).$field).read_volatile() as usize }
    }};
}
pub(crate) use offset;

/// Loads a field of a kernel structure whose type the verifier knows; the use decides on the type of the value.
macro_rules! load {
    ($base:expr, $field:ident $(+ $more:literal)?) => {{
        let field = $base.wrapping_byte_add($crate::socket::offset!($field) $(+ $more)?);
        // SAFETY: the base is a kernel pointer with its BTF type; the verifier checks that a field of this size is at
        // this place, and a fault reads as zero.
        unsafe { core::ptr::read_volatile(field.cast()) }
    }};
}
pub(crate) use load;

/// IPv4 (bytes as in the packet) as IPv4-mapped IPv6, in words: single bytes would cost four times as much.
#[inline(always)]
pub(crate) fn ipv4_mapped(address: u32) -> [u64; 2] {
    [0, (u64::from(address) << 32) | 0xffff_0000]
}

/// Bytes of two words in memory order.
#[inline(always)]
pub(crate) fn bytes(words: [u64; 2]) -> [u8; 16] {
    // SAFETY: both are sixteen plain bytes.
    unsafe { core::mem::transmute(words) }
}

/// The words of sixteen bytes in memory order.
#[inline(always)]
pub(crate) fn words(bytes: [u8; 16]) -> [u64; 2] {
    // SAFETY: both are sixteen plain bytes.
    unsafe { core::mem::transmute(bytes) }
}

/// A `struct sock *` whose type the verifier knows.
pub(crate) struct BtfSocket {
    sk: *const c_void,
}

impl BtfSocket {
    #[inline(always)]
    pub(crate) fn new(sk: *const c_void) -> Self {
        Self { sk }
    }

    /// The kernel's socket state.
    #[inline(always)]
    pub(crate) fn state(&self) -> u8 {
        load!(self.sk, state)
    }

    /// The same socket as a `struct tcp_sock`.
    #[inline(always)]
    fn tcp(&self) -> Option<Typed> {
        // SAFETY: the helper checks that the pointer is a full TCP socket.
        let tcp = unsafe { bpf_skc_to_tcp_sock(self.sk.cast_mut()) }.cast::<c_void>();
        (!tcp.is_null()).then_some(Typed(tcp))
    }

    /// Local port.
    #[inline(always)]
    pub(crate) fn source_port(&self) -> u16 {
        load!(self.sk, sport)
    }
}

impl Socket for BtfSocket {
    #[inline(always)]
    fn id(&self) -> u64 {
        self.sk as u64
    }

    #[inline(always)]
    fn cookie(&self) -> u64 {
        load!(self.sk, cookie)
    }

    #[inline(always)]
    fn tuple(&self) -> Option<Tuple> {
        let protocol: u16 = load!(self.sk, protocol);
        if protocol == IPPROTO_TCP { tuple_of(Typed(self.sk)) } else { None }
    }

    #[inline(always)]
    fn failure(&self) -> u8 {
        let err: i32 = load!(self.sk, err);
        match err {
            0 => reason::NONE,
            ECONNREFUSED => reason::REFUSED,
            ETIMEDOUT => reason::TIMEOUT,
            EHOSTUNREACH | ENETUNREACH => reason::UNREACHABLE,
            ECONNRESET => reason::RESET,
            _ => reason::OTHER,
        }
    }

    #[inline(always)]
    fn is_half_closed(&self) -> bool {
        let shutdown: u8 = load!(self.sk, shutdown);
        shutdown == SEND_SHUTDOWN
    }

    #[inline(always)]
    fn retransmitted(&self) -> u32 {
        self.tcp().map_or(0, |tcp| tcp.field(offset!(retransmitted)))
    }

    #[inline(always)]
    fn load(&self, delivers: bool) -> Load {
        let Some(tcp) = self.tcp() else { return Load::default() };
        let load = load_of(tcp);
        Load {
            bytes_sent: load.bytes_sent + if delivers { u64::from(unsent(tcp)) } else { 0 },
            bytes_received: load.bytes_received.saturating_sub(fin(Typed(self.sk))),
            ..load
        }
    }
}

/// The record of the classic tracepoint.
pub(crate) struct ClassicSocket<'a> {
    ctx: &'a TracePointContext,
}

/// One field of the classic record, at the offset that user space read from its format.
macro_rules! record {
    ($self:ident, $field:ident, $type:ty) => {{
        let offsets = (&raw const TRACEPOINT_OFFSETS).cast::<TracepointOffsets>();
        // SAFETY: `Global` is transparent, so this is the live global; it is read-only while programs run.
        let offset = unsafe { (&raw const (*offsets).$field).read_volatile() as usize };
        // SAFETY: the kernel checks the read and fails it instead of faulting.
        unsafe { $self.ctx.read_at::<$type>(offset) }
    }};
}

impl<'a> ClassicSocket<'a> {
    #[inline(always)]
    pub(crate) fn new(ctx: &'a TracePointContext) -> Self {
        Self { ctx }
    }

    /// Old and new state.
    #[inline(always)]
    pub(crate) fn states(&self) -> Option<(i32, i32)> {
        Some((record!(self, oldstate, i32).ok()?, record!(self, newstate, i32).ok()?))
    }
}

impl Socket for ClassicSocket<'_> {
    #[inline(always)]
    fn id(&self) -> u64 {
        record!(self, skaddr, u64).unwrap_or(0)
    }

    #[inline(always)]
    fn cookie(&self) -> u64 {
        let (socket, at) = (self.id(), offset!(cookie));
        if at == 0 {
            return 0;
        }
        let mut cookie = 0_u64;
        let field = (socket as usize).wrapping_add(at) as *const c_void;
        // SAFETY: the helper writes the eight bytes of `cookie`, and fails instead of faulting.
        unsafe { bpf_probe_read_kernel((&raw mut cookie).cast(), 8, field) };
        cookie
    }

    #[inline(always)]
    fn tuple(&self) -> Option<Tuple> {
        let family = record!(self, family, u16).ok()?;
        let protocol = record!(self, protocol, u16).ok()?;
        if protocol != IPPROTO_TCP || (family != AF_INET && family != AF_INET6) {
            return None;
        }
        Some(Tuple {
            source: record!(self, saddr_v6, Address).ok()?,
            destination: record!(self, daddr_v6, Address).ok()?,
            port: record!(self, dport, u16).ok()?,
        })
    }

    /// The record does not have the socket's error.
    #[inline(always)]
    fn failure(&self) -> u8 {
        reason::OTHER
    }

    #[inline(always)]
    fn is_half_closed(&self) -> bool {
        false
    }

    #[inline(always)]
    fn retransmitted(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn load(&self, _delivers: bool) -> Load {
        Load::default()
    }
}

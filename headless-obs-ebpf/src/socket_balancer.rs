//! A socket-level load balancer in small: at `connect()`, it replaces a destination by another one. Only tests load it;
//! it is never shipped.

#![no_std]
#![no_main]
#![expect(clippy::cast_possible_truncation, reason = "halves of words")]

use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use aya_ebpf::macros::{cgroup_sock_addr, map};
use aya_ebpf::maps::HashMap;
use aya_ebpf::programs::SockAddrContext;
use headless_obs_ebpf::dialled::Dialled;

/// Verdict: let the socket connect.
const PASS: i32 = 1;

/// Backends of a frontend.
const BACKENDS: u32 = 4;

/// Frontend, and in `_pad[0]` the number of a backend → backend.
#[map]
static FRONTENDS: HashMap<Dialled, Dialled> = HashMap::with_max_entries(64, 0);

/// A field of the context. Each is accessed by itself: the kernel permits only whole fields.
macro_rules! field {
    ($ctx:expr, $field:ident $([$index:literal])?) => {{
        // SAFETY: the context is valid for the program's run.
        unsafe { &raw mut (*$ctx.sock_addr).$field $([$index])? }
    }};
    (load $ctx:expr, $field:ident $([$index:literal])?) => {{
        let field = field!($ctx, $field $([$index])?);
        // SAFETY: as above.
        unsafe { field.read_volatile() }
    }};
    (store $ctx:expr, $field:ident $([$index:literal])?, $value:expr) => {{
        let field = field!($ctx, $field $([$index])?);
        // SAFETY: as above.
        unsafe { field.write_volatile($value) }
    }};
}

/// IPv4.
#[cgroup_sock_addr(connect4)]
fn balancer4(ctx: SockAddrContext) -> i32 {
    let dialled = [0, 0, 0xffff_0000, field!(load ctx, user_ip4)];
    if let Some([_, _, _, address]) = backend(&ctx, dialled) {
        field!(store ctx, user_ip4, address);
    }
    PASS
}

/// IPv6, and IPv4-mapped addresses.
#[cgroup_sock_addr(connect6)]
fn balancer6(ctx: SockAddrContext) -> i32 {
    let dialled = [
        field!(load ctx, user_ip6[0]),
        field!(load ctx, user_ip6[1]),
        field!(load ctx, user_ip6[2]),
        field!(load ctx, user_ip6[3]),
    ];
    if let Some([a, b, c, d]) = backend(&ctx, dialled) {
        field!(store ctx, user_ip6[0], a);
        field!(store ctx, user_ip6[1], b);
        field!(store ctx, user_ip6[2], c);
        field!(store ctx, user_ip6[3], d);
    }
    PASS
}

/// The address of any of the destination's backends; the port is replaced already.
#[inline(always)]
fn backend(ctx: &SockAddrContext, address: [u32; 4]) -> Option<[u32; 4]> {
    // SAFETY: helper without arguments.
    let number = unsafe { bpf_get_prandom_u32() } % BACKENDS;
    let key = Dialled {
        // SAFETY: both are sixteen plain bytes.
        address: unsafe { core::mem::transmute::<[u32; 4], [u8; 16]>(address) },
        port: u16::from_be(field!(load ctx, user_port) as u16),
        _pad: [number as u8, 0, 0, 0, 0, 0],
    };
    let backend = FRONTENDS.get_ptr(key)?;
    // SAFETY: a live, aligned value of the map.
    let Dialled { address, port, .. } = unsafe { backend.read() };
    field!(store ctx, user_port, u32::from(port.to_be()));
    // SAFETY: both are sixteen plain bytes.
    Some(unsafe { core::mem::transmute::<[u8; 16], [u32; 4]>(address) })
}

/// The verifier proves that no program reaches this: an endless loop is rejected.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The same licence as the daemon's programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

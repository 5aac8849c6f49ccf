//! Programs that do nothing, at each hook that the daemon may use: the baseline of measurements. Only
//! `cargo xtask bench` loads them; they are never shipped.

#![no_std]
#![no_main]

use aya_ebpf::macros::{btf_tracepoint, cgroup_skb};
use aya_ebpf::programs::{BtfTracePointContext, SkBuffContext};

/// `cgroup_skb` verdict: let the packet pass.
const PASS: i32 = 1;

/// Every packet that a socket below the attached cgroup receives.
#[cgroup_skb(ingress)]
fn noop_ingress(_ctx: SkBuffContext) -> i32 {
    PASS
}

/// Every packet that a socket below the attached cgroup sends.
#[cgroup_skb(egress)]
fn noop_egress(_ctx: SkBuffContext) -> i32 {
    PASS
}

/// Every state change of every TCP socket.
#[btf_tracepoint(function = "inet_sock_set_state")]
fn noop_tcp(_ctx: BtfTracePointContext) -> i32 {
    0
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

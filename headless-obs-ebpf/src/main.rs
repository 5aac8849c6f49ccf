//! The kernel programs. Entry points only: read the context, call, return.
//!
//! Invariants: no program ever drops or delays a packet. Every program ends early for irrelevant events. Every loss is
//! counted (`counters`). The ring record is submitted before totals are updated.

#![no_std]
#![no_main]
// Inline assembly for BPF; aya-ebpf needs an unstable compiler anyway.
#![feature(asm_experimental_arch)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "a checked conversion is a branch that the verifier walks; what is cast is a length of a packet, a half of \
              a word, or cut down on purpose"
)]

mod atomic;
mod dialled;
mod dns;
mod iter_loads;
mod iter_sockets;
mod losses;
mod maps;
mod ring_wakeup;
mod socket;
mod tcp;

use aya_ebpf::macros::{btf_tracepoint, cgroup_skb, cgroup_sock_addr, tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, SkBuffContext, SockAddrContext, TracePointContext};

/// Verdict of programs at cgroups: let the packet pass, or the socket connect or send.
const PASS: i32 = 1;

/// Every packet that a socket below the attached cgroup receives.
#[cgroup_skb(ingress)]
fn dns_ingress(ctx: SkBuffContext) -> i32 {
    dns::ingress(&ctx);
    PASS
}

/// Every packet that a socket below the attached cgroup sends.
#[cgroup_skb(egress)]
fn dns_egress(ctx: SkBuffContext) -> i32 {
    dns::egress(&ctx);
    PASS
}

/// Every state change of every TCP socket, with the kernel's own types.
#[btf_tracepoint(function = "inet_sock_set_state")]
fn tcp_state(ctx: BtfTracePointContext) -> i32 {
    tcp::on_state_change(&ctx, &socket::BtfSocket::new(ctx.arg(0)), ctx.arg(1), ctx.arg(2));
    0
}

/// The same changes, after the program above: handles those for which the kernel skipped it.
#[btf_tracepoint(function = "inet_sock_set_state")]
fn tcp_state_fallback(ctx: BtfTracePointContext) -> i32 {
    tcp::on_state_change_fallback(&ctx, &socket::BtfSocket::new(ctx.arg(0)), ctx.arg(1), ctx.arg(2));
    0
}

/// The same from the classic tracepoint, for kernels without BTF: no socket error, no bytes.
#[tracepoint]
fn tcp_state_classic(ctx: TracePointContext) -> u32 {
    let socket = socket::ClassicSocket::new(&ctx);
    if let Some((old, new)) = socket.states() {
        tcp::handle_transition(&ctx, &socket, old, new, false);
    }
    0
}

/// Every `connect()` over IPv4 of a socket below the attached cgroup. By its name, a second daemon knows it.
#[cgroup_sock_addr(connect4)]
fn headless_conn4(ctx: SockAddrContext) -> i32 {
    dialled::connect(&ctx, dialled::v4(&ctx));
    PASS
}

/// The same over IPv6.
#[cgroup_sock_addr(connect6)]
fn headless_conn6(ctx: SockAddrContext) -> i32 {
    dialled::connect(&ctx, dialled::v6(&ctx));
    PASS
}

/// Every datagram over IPv4 to an address that the socket names in the call.
#[cgroup_sock_addr(sendmsg4)]
fn headless_send4(ctx: SockAddrContext) -> i32 {
    dialled::send(&ctx, dialled::v4(&ctx));
    PASS
}

/// The same over IPv6.
#[cgroup_sock_addr(sendmsg6)]
fn headless_send6(ctx: SockAddrContext) -> i32 {
    dialled::send(&ctx, dialled::v6(&ctx));
    PASS
}

/// The verifier proves that no program reaches this: it rejects an endless loop.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Some helpers are only for GPL programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

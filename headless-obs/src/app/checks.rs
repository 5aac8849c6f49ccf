//! What only the probes can find out about this machine: whether the kernel takes and attaches them.

use crate::config::Observe;
use crate::expose::check::Check;
use crate::probe::{self, Loaded, Options, ProbeError, TcpHook};

/// Loads and attaches the probes each way, for a moment. Must be called within a tokio runtime.
pub fn checks(observe: &Observe) -> Vec<Check> {
    let options = Options { kernel_log: false, ..super::probe_options(observe) };
    let with = |tcp_hook| probe::load(&Options { tcp_hook, ..options.clone() });
    let best = with(TcpHook::TpBtf);
    let fallback = with(TcpHook::Tracepoint);
    let is_one_enough = best.is_ok() || fallback.is_ok();
    let mut checks = vec![
        hook("probes with tp_btf", &best, is_one_enough),
        hook("probes with the classic tracepoint", &fallback, is_one_enough),
    ];
    if let Ok(loaded) = best.or(fallback) {
        checks.push(questions(&loaded));
        checks.push(existing(&loaded));
    }
    checks
}

fn hook(name: &str, loaded: &Result<Loaded, ProbeError>, is_one_enough: bool) -> Check {
    match loaded {
        Ok(loaded) => {
            let hooks: Vec<_> = loaded.hooks.iter().map(|(probe, hook)| format!("{probe}: {hook}")).collect();
            Check::ok(name, format!("attached ({})", hooks.join(", ")))
        }
        Err(error) if is_one_enough => Check::warn(
            name,
            error.to_string(),
            "nothing, unless the other one is missing something you need",
        ),
        Err(error) => {
            Check::fail(name, error.to_string(), "do what the message says; one of the two must work")
        }
    }
}

fn questions(loaded: &Loaded) -> Check {
    let name = "questions to DNS servers";
    match loaded.hooks.get("questions").map(String::as_str) {
        Some("none") | None => Check::warn(
            name,
            "cannot be seen, so that answers nobody asked for are believed as well",
            "start `headless-obs run`, whose log says why; a program that was attached to the cgroup root's egress without \
             sharing it must go",
        ),
        Some(_) => Check::ok(name, "seen: an answer counts where it was asked for"),
    }
}

fn existing(loaded: &Loaded) -> Check {
    let name = "connections that are open already";
    match loaded.hooks.get("existing").map(String::as_str) {
        Some("none") | None if probe::sees_itself_alone() => Check::warn(
            name,
            "only those of this container can be listed",
            "let it see the node's processes: hostPID: true, or docker's --pid=host",
        ),
        Some("none") | None => Check::warn(
            name,
            "cannot be listed",
            "use Linux 5.11 or newer with BTF to have them counted; new connections are seen either way",
        ),
        Some(_) => Check::ok(name, format!("{} client sockets", loaded.existing.len())),
    }
}

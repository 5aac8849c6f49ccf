//! The checks that need the probes: whether the kernel accepts and attaches them.

use crate::config::Observe;
use crate::expose::doctor_check::Check;
use crate::probe::{self, Dialled, Loaded, Options, ProbeError, TcpHook};

/// Loads and attaches the probes in each way, for a moment. Must be called within a tokio runtime.
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
        checks.push(queries(&loaded));
        checks.push(existing(&loaded));
        checks.push(load(&loaded));
        checks.push(balancers(loaded.dialled.as_ref()));
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
            "nothing is needed, unless you need something that the other hook lacks",
        ),
        Err(error) => {
            Check::fail(name, error.to_string(), "follow the error above; one of the two hooks must work")
        }
    }
}

fn queries(loaded: &Loaded) -> Check {
    let name = "queries to DNS servers";
    match loaded.hooks.get("queries").map(String::as_str) {
        Some("none") | None => Check::warn(
            name,
            "headless-obs cannot see them, so it also accepts unsolicited answers",
            "start `headless-obs run`, whose log gives the reason; if another program is attached to the cgroup root's \
             egress exclusively, detach it",
        ),
        Some(_) => Check::ok(name, "seen: an answer counts if the client queried for it"),
    }
}

fn existing(loaded: &Loaded) -> Check {
    let name = "connections that are open already";
    match loaded.hooks.get("existing").map(String::as_str) {
        Some("none") | None if probe::sees_only_own_processes() => Check::warn(
            name,
            "headless-obs can list only those of this container",
            "let it see the node's processes: hostPID: true, or docker's --pid=host",
        ),
        Some("none") | None => Check::warn(
            name,
            "headless-obs cannot list them",
            "to count them, use Linux 5.11 or newer with BTF; headless-obs sees new connections either way",
        ),
        Some(_) => Check::ok(name, format!("{} client sockets", loaded.existing.len())),
    }
}

fn load(loaded: &Loaded) -> Check {
    let name = "load of open connections";
    let read = loaded.loads.as_ref().map(|loads| loads.walk().and_then(|mut walk| walk.slice()));
    match read {
        Some(Ok(_)) => Check::ok(name, "the kernel's own counts can be read"),
        Some(Err(error)) => Check::warn(
            name,
            format!("the kernel's own counts cannot be read: {error}"),
            "bytes count when a connection ends; use Linux 5.10 or newer with BTF",
        ),
        None => Check::warn(
            name,
            "headless-obs cannot read the kernel's own counts",
            "bytes count when a connection ends; to see them before, use Linux 5.10 or newer with BTF",
        ),
    }
}

fn balancers(dialled: Option<&Dialled>) -> Check {
    /// The most names in one list.
    const NAMED: usize = 3;
    let name = "socket-level load balancers";
    let Some(dialled) = dialled else { return Check::ok(name, "none: nobody has a program at connect()") };
    let some = |all: Vec<String>| {
        let more = all.len().checked_sub(NAMED).filter(|more| *more > 0);
        let more = more.map_or(String::new(), |more| format!(" and {more} more"));
        all.into_iter().take(NAMED).collect::<Vec<_>>().join(", ") + &more
    };
    let others = some(dialled.others.iter().cloned().collect());
    if dialled.hook() == "cgroup/connect" {
        return Check::ok(name, format!("{others} at connect(); headless-obs sees what clients dial before"));
    }
    let behind = some(dialled.behind.iter().map(|path| path.display().to_string()).collect());
    Check::warn(
        name,
        format!("{others} at connect(), and headless-obs cannot see what clients dial before in: {behind}"),
        "with Linux 6.17 or newer it can, unless a program allows no others beside it; until then connections of these \
         cgroups to a ClusterIP may count as connections to a headless Service of the same pods",
    )
}

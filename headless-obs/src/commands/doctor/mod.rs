//! `doctor`: checks the machine, reports what is missing, and says what to do.

use std::fmt::Write;
use std::fs;
use std::process::ExitCode;

use serde_json::json;

use super::fit_text::{clean, width, wrap};
use super::output;
use super::table::{Look, Paint, paint};
use crate::cli::{DoctorArgs, Output};
use crate::config::{Observe, Topology};
use crate::expose::doctor_check::{Check, Status};
use crate::probe;
use crate::sources::kubernetes;

mod kernel;
mod machine;

pub(super) async fn run(
    args: DoctorArgs,
    format: Output,
    probe_checks: impl FnOnce(&Observe) -> Vec<Check>,
) -> anyhow::Result<ExitCode> {
    let listen = args.listen;
    let config: Observe = args.observe.try_into()?;
    let mut checks = look_around(&config);
    if let Topology::Kubernetes(options) = &config.topology {
        checks.extend(kubernetes::checks(options, &config.node).await);
    }
    checks.push(machine::port(listen));
    checks.extend(probe_checks(&config));
    let failed = checks.iter().any(|check| check.status == Status::Fail);
    let text = match format {
        Output::Table => render(&checks, output::look()),
        Output::Json => output::json(&json!({"ok": !failed, "checks": checks}))? + "\n",
    };
    output::write(text).await?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All checks that load nothing into the kernel.
fn look_around(config: &Observe) -> Vec<Check> {
    // An unreadable file counts as missing; each check says what that means.
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mounts = read("/proc/self/mountinfo");
    let filesystems = read("/proc/filesystems");
    let btf = fs::File::open(kernel::BTF).map_err(|error| error.kind());
    let cgroup = probe::widest_cgroup2(&mounts);
    let mut checks = vec![
        kernel::privileges(&read("/proc/self/status")),
        kernel::version(&release),
        kernel::btf(btf.map(drop), config.tcp_hook),
        kernel::tracepoint(
            kernel::FORMATS.iter().any(|path| fs::File::open(path).is_ok()),
            &filesystems,
            config.tcp_hook,
        ),
        kernel::lockdown(&read("/sys/kernel/security/lockdown")),
        match &config.cgroup {
            Some(path) => machine::given_cgroup(path),
            None => {
                let view = cgroup.as_ref().map(|view| (view, probe::is_own_container(view)));
                kernel::cgroup(view, &mounts, &filesystems)
            }
        },
        machine::memlock(&release),
        machine::source(&config.topology),
    ];
    checks.extend(machine::annotations(&config.topology));
    checks.extend(config.cgroup.clone().or(cgroup.map(|view| view.point)).map(|root| machine::pods(&root)));
    checks
}

/// Columns that the findings take at least.
const MIN_FOUND: usize = 36;

/// A line per check, and below it what to do.
fn render(checks: &[Check], look: Look) -> String {
    let widest = checks.iter().map(|check| width(&check.name)).max().unwrap_or(0);
    // On a narrow terminal the findings are not in a column of their own.
    let is_narrow = look.width < widest + 8 + MIN_FOUND;
    let names = if is_narrow { 0 } else { widest };
    let indent = " ".repeat(if is_narrow { 6 } else { names + 8 });
    let columns = look.width.saturating_sub(indent.len()).max(20);
    let mut text = String::new();
    for check in checks {
        let (status, colour) = match check.status {
            Status::Ok => ("ok  ", Paint::Good),
            Status::Warn => ("warn", Paint::Warn),
            Status::Fail => ("FAIL", Paint::Bad),
        };
        let name = clean(&check.name);
        let found = clean(&check.found);
        let lines =
            if is_narrow { wrap(&format!("{name}: {found}"), columns) } else { wrap(&found, columns) };
        let lines = lines.join(&format!("\n{indent}"));
        let name = if is_narrow { String::new() } else { format!("{name:names$}  ") };
        let _infallible = writeln!(text, "{}  {name}{lines}", paint(status, colour, look));
        for (number, line) in
            check.remedy.iter().flat_map(|remedy| wrap(&clean(remedy), columns - 2)).enumerate()
        {
            let arrow = if number == 0 { "→ " } else { "  " };
            let _infallible =
                writeln!(text, "{indent}{}", paint(&format!("{arrow}{line}"), Paint::Bold, look));
        }
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let _infallible = match (count(Status::Fail), count(Status::Warn)) {
        (0, 0) => writeln!(text, "\nAll checks passed. `sudo headless-obs report` shows the connections."),
        (0, warnings) => writeln!(
            text,
            "\nheadless-obs works here, with warnings from {warnings} of {} checks.",
            checks.len()
        ),
        (failures, _) => {
            writeln!(text, "\nheadless-obs does not work here: {failures} of {} checks failed.", checks.len())
        }
    };
    text
}

#[cfg(test)]
mod tests {
    use super::super::test_names;
    use super::*;
    use crate::testing::golden;

    #[test]
    fn findings_with_remedies() {
        let checks = [
            Check::ok("kernel", "6.18.44"),
            Check::warn(
                "BTF",
                "not found",
                "use a kernel with CONFIG_DEBUG_INFO_BTF=y; until then headless-obs uses the classic tracepoint, which does \
                 not show why a connection failed",
            ),
            Check::fail("privileges", "missing: CAP_BPF", "run headless-obs with sudo"),
        ];
        let look = Look { width: 80, colours: false };
        golden("doctor.txt", &render(&checks, look));
        let long = [Check::ok("probes with the classic tracepoint", "attached"), checks[1].clone()];
        for width in [60, 70, 80] {
            let text = render(&long, Look { width, colours: false });
            test_names::assert_fits(&text, width, "doctor");
            assert!(!text.contains('…') && text.lines().count() < 11, "{text}");
        }
        assert!(render(&checks[..1], look).contains("All checks passed"));
        assert!(render(&checks[..2], look).contains("works here, with warnings from 1 of 2 checks"));
    }
}

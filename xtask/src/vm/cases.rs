//! The test matrix: kernels, their machines, the tests, and known differences.
//!
//! Pure tables. A kernel is named by its series, not by a version: Debian's archive has only the newest version of each
//! series, so an exact version would disappear with the next security update. docs/kernels.md has the version of each
//! result.

use crate::debian::{Archive, Suite};
use crate::target_arch::TargetArch;

/// A Debian kernel for cloud machines.
pub(super) struct Kernel {
    /// Its name here.
    pub(super) name: &'static str,
    /// Prefix of its versions.
    pub(super) series: &'static str,
    /// Its archive; the suite also depends on the architecture.
    pub(super) archive: Archive,
    /// The Debian release.
    pub(super) release: &'static str,
    /// Its architecture.
    pub(super) processor: TargetArch,
    /// The machines to run it on.
    pub(super) machines: &'static [Machine],
}

impl Kernel {
    /// The suite of its package.
    pub(super) fn suite(&self) -> Suite {
        Suite { archive: self.archive, name: self.release, architecture: self.processor.name() }
    }
}

const fn amd64(name: &'static str, series: &'static str, archive: Archive, release: &'static str) -> Kernel {
    Kernel { name, series, archive, release, processor: TargetArch::Amd64, machines: &Machine::ALL }
}

/// cgroups, BTF and lockdown have the same code on every architecture, so arm64 has only the usual machine.
const fn arm64(name: &'static str, series: &'static str, release: &'static str) -> Kernel {
    let (archive, processor) = (Archive::Security, TargetArch::Arm64);
    Kernel { name, series, archive, release, processor, machines: &[Machine::Unified] }
}

/// The oldest supported kernel, two widely used ones, and the newest one; the widely used ones also on the other
/// architecture.
pub(super) const KERNELS: [Kernel; 6] = [
    amd64("5.10", "5.10.", Archive::Security, "bullseye-security"),
    amd64("6.1", "6.1.", Archive::Security, "bookworm-security"),
    amd64("6.12", "6.12.", Archive::Security, "trixie-security"),
    amd64("7.2", "7.2.", Archive::Main, "forky"),
    arm64("6.1-arm64", "6.1.", "bookworm-security"),
    arm64("6.12-arm64", "6.12.", "trixie-security"),
];

/// The suite of the guests' shell, a static program.
pub(super) const fn busybox(processor: TargetArch) -> Suite {
    Suite { archive: Archive::Main, name: "bookworm", architecture: processor.name() }
}

/// A machine's configuration apart from its kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    /// Only cgroup2, the default of distributions since 2021.
    Unified,
    /// Controllers of version 1, and cgroup2.
    Hybrid,
    /// Only version 1: cgroup2 is not mounted.
    Version1,
    /// The kernel's types (BTF) are not readable.
    NoBtf,
    /// lockdown=integrity, as with secure boot.
    Lockdown,
}

impl Machine {
    pub(super) const ALL: [Self; 5] =
        [Self::Unified, Self::Hybrid, Self::Version1, Self::NoBtf, Self::Lockdown];

    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unified => "v2",
            Self::Hybrid => "hybrid",
            Self::Version1 => "v1",
            Self::NoBtf => "no-btf",
            Self::Lockdown => "lockdown",
        }
    }

    /// Its name in the document.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Unified => "cgroup v2",
            Self::Hybrid => "cgroup v1 and v2",
            Self::Version1 => "cgroup v1 alone",
            Self::NoBtf => "without BTF",
            Self::Lockdown => "lockdown=integrity",
        }
    }

    /// Whether a transcript fits this machine, by its mounted hierarchies and the kernel's lockdown mode.
    pub(super) fn is(self, cgroups: &str, lockdown: &str) -> bool {
        let has = |kind: &str| cgroups.split_whitespace().any(|word| word == kind);
        let wanted = match self {
            Self::Unified | Self::NoBtf | Self::Lockdown => (false, true),
            Self::Hybrid => (true, true),
            Self::Version1 => (true, false),
        };
        (has("cgroup"), has("cgroup2")) == wanted
            && lockdown.contains("[integrity]") == (self == Self::Lockdown)
    }

    /// The kernel's command line.
    pub(super) fn parameters(self) -> &'static str {
        match self {
            Self::Unified => "vm.cgroup=v2",
            Self::Hybrid => "vm.cgroup=hybrid",
            Self::Version1 => "vm.cgroup=v1",
            Self::NoBtf => "vm.cgroup=v2 vm.btf=hidden",
            Self::Lockdown => "vm.cgroup=v2 lockdown=integrity",
        }
    }
}

/// A test program, and the prefixes of the tests that run in a guest, with exceptions.
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) tests: &'static [&'static str],
    pub(super) without: &'static [&'static str],
}

/// The test programs of a guest.
pub(super) const PROGRAMS: [&str; 3] = ["kernel", "lab", "node"];

/// Tests that decide whether the daemon works on a kernel, and that need no programs outside of the guest and no high
/// speed. The verifier test is not included, because its numbers belong to one kernel; of the tests of loads, those that
/// ask `ss` are not. The packet tests include a ring
/// that overflows; the daemon's own test of that makes a hundred thousand connections, which would exceed a client's
/// timeout here.
const ALL: [Program; 3] = [
    Program {
        name: "kernel",
        tests: &[],
        without: &["verifier_looks", "readings_are_what", "thousands_of_connections_are_read"],
    },
    Program { name: "lab", tests: &["outcomes::"], without: &[] },
    Program {
        name: "node",
        tests: &[
            "attribution::",
            "balancer::",
            "dns::what_does_not_fit",
            "dns::messages_of_every_form",
            "failures::",
            "families::",
            "identity::pods_on_the_hosts_network",
            "refusals::without_btf",
            "refusals::without_cgroup2",
            "refusals::without_tracefs",
            "restart::",
            "totals::ten_thousand",
        ],
        without: &[],
    },
];

/// Tests with DNS answers, which show that the DNS programs load and are attached in the right places.
const ANSWERS: Program =
    Program { name: "kernel", tests: &["packets::answers_arrive_whatever_carries_them"], without: &[] };

/// The kernel is that of the machine on which all tests run. The position of cgroup2 differs. So these tests show
/// whether the programs see all sockets, whether a cgroup identifies its client, and whether the daemon can mount a
/// hierarchy.
const BY_HIERARCHY: [Program; 2] = [
    ANSWERS,
    Program {
        name: "node",
        tests: &[
            "attribution::of_two_services",
            "identity::pods_on_the_hosts_network",
            "refusals::without_cgroup2",
            "restart::",
            "totals::ten_thousand",
        ],
        without: &[],
    },
];

/// The source of a connection's fields differs. So these tests cover each result of an attempt, totals, and older
/// connections. Tests that use each hook in turn are left out, because one of the hooks is not available.
const BY_TYPES: [Program; 2] = [
    ANSWERS,
    Program {
        name: "node",
        tests: &[
            "attribution::of_two_services",
            "failures::the_classic_tracepoint",
            "refusals::without_btf",
            "restart::connections_older",
        ],
        without: &[],
    },
];

/// The rights of root differ: to load programs, read kernel memory, mount, and use tracefs.
const BY_RIGHTS: [Program; 2] = [
    ANSWERS,
    Program {
        name: "node",
        tests: &[
            "attribution::of_two_services",
            "failures::every_way_to_fail",
            "refusals::without_cgroup2",
            "refusals::without_tracefs",
            "restart::",
            "totals::ten_thousand",
        ],
        without: &[],
    },
];

/// The kernel's sources and the programs' instructions are the same as on the machine on which all tests run. The
/// layout of the kernel's structures, the memory order, the system calls and the cross-compiled daemon differ.
const BY_PROCESSOR: [Program; 2] = [
    Program { name: "kernel", tests: &["pending_queries::", "packets::", "sockets::"], without: &[] },
    Program {
        name: "node",
        tests: &[
            "attribution::of_two_services",
            "failures::every_way_to_fail",
            "families::ipv4_by_way_of_ipv6",
            "refusals::without_btf",
            "restart::",
            "totals::ten_thousand",
        ],
        without: &[],
    },
];

/// The tests for a machine. On slow emulated ones, only tests whose result the machine can change.
pub(super) fn programs(processor: TargetArch, machine: Machine) -> &'static [Program] {
    match machine {
        Machine::Unified if processor == TargetArch::Arm64 => &BY_PROCESSOR,
        Machine::Unified => &ALL,
        Machine::Hybrid | Machine::Version1 => &BY_HIERARCHY,
        Machine::NoBtf => &BY_TYPES,
        Machine::Lockdown => &BY_RIGHTS,
    }
}

/// An expected failure on some machines. If such a test passes there, that is an error, too.
pub(super) struct Difference {
    pub(super) kernels: &'static [&'static str],
    pub(super) machines: &'static [Machine],
    pub(super) test: &'static str,
    pub(super) reason: &'static str,
}

const WITH_TYPES: [Machine; 4] = [Machine::Unified, Machine::Hybrid, Machine::Version1, Machine::Lockdown];

const OLDER: &str = "restart::connections_older_than_the_daemon_are_counted_down";

pub(super) const DIFFERENCES: [Difference; 3] = [
    // The kernel rejects the program that lists open connections.
    Difference {
        kernels: &["5.10"],
        machines: &Machine::ALL,
        test: OLDER,
        reason: "connections older than the daemon stay unknown: `bpf_sock_from_file` is of 5.11",
    },
    Difference {
        kernels: &["5.10"],
        machines: &WITH_TYPES,
        test: "restart::a_killed_daemon_leaves_nothing_and_the_next_one_finds_the_connections",
        reason: "connections older than the daemon stay unknown: `bpf_sock_from_file` is of 5.11",
    },
    // Its hook is found by the kernel's types.
    Difference {
        kernels: &["6.1", "6.12", "7.2"],
        machines: &[Machine::NoBtf],
        test: OLDER,
        reason: "connections older than the daemon stay unknown: the program that lists them needs BTF",
    },
];

/// The expected failures there.
pub(super) fn differences(kernel: &str, machine: Machine) -> impl Iterator<Item = &'static Difference> {
    DIFFERENCES.iter().filter(move |row| row.kernels.contains(&kernel) && row.machines.contains(&machine))
}

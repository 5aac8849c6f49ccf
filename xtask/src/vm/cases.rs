//! What the matrix consists of: kernels, the machines that they are started as, the tests, and what is known to differ.
//!
//! Pure tables. A kernel is named by its series, not by one version: Debian's archive keeps only the newest of each, so
//! an exact version would be gone after the next security update. Which one a result is of, docs/kernels.md says.

use crate::debian::{Archive, Suite};
use crate::target_arch::TargetArch;

/// A kernel of Debian's, as cloud machines have it.
pub(super) struct Kernel {
    /// Its name here.
    pub(super) name: &'static str,
    /// What its versions begin with.
    pub(super) series: &'static str,
    /// Where it comes from, but for the processor.
    pub(super) archive: Archive,
    /// Debian's release.
    pub(super) release: &'static str,
    /// What it runs on.
    pub(super) processor: TargetArch,
    /// The machines that are tried with it.
    pub(super) machines: &'static [Machine],
}

impl Kernel {
    /// Where its package is.
    pub(super) fn suite(&self) -> Suite {
        Suite { archive: self.archive, name: self.release, architecture: self.processor.name() }
    }
}

const fn amd64(name: &'static str, series: &'static str, archive: Archive, release: &'static str) -> Kernel {
    Kernel { name, series, archive, release, processor: TargetArch::Amd64, machines: &Machine::ALL }
}

/// cgroups, BTF and lockdown are the same code on every processor: there the usual machine is tried alone.
const fn arm64(name: &'static str, series: &'static str, release: &'static str) -> Kernel {
    let (archive, processor) = (Archive::Security, TargetArch::Arm64);
    Kernel { name, series, archive, release, processor, machines: &[Machine::Unified] }
}

/// The oldest that is supported, two that are widely used, and the newest there is; of those that are widely used also
/// on the other processor.
pub(super) const KERNELS: [Kernel; 6] = [
    amd64("5.10", "5.10.", Archive::Security, "bullseye-security"),
    amd64("6.1", "6.1.", Archive::Security, "bookworm-security"),
    amd64("6.12", "6.12.", Archive::Security, "trixie-security"),
    amd64("7.2", "7.2.", Archive::Main, "forky"),
    arm64("6.1-arm64", "6.1.", "bookworm-security"),
    arm64("6.12-arm64", "6.12.", "trixie-security"),
];

/// Where the guests' shell comes from, a static program.
pub(super) const fn busybox(processor: TargetArch) -> Suite {
    Suite { archive: Archive::Main, name: "bookworm", architecture: processor.name() }
}

/// What a machine is like beside its kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    /// cgroup2 alone, as distributions have it since 2021.
    Unified,
    /// Controllers of version 1, cgroup2 beside them.
    Hybrid,
    /// Version 1 alone: cgroup2 is mounted nowhere.
    Version1,
    /// The kernel's types cannot be read.
    NoBtf,
    /// lockdown=integrity, as with secure boot.
    Lockdown,
}

impl Machine {
    pub(super) const ALL: [Self; 5] =
        [Self::Unified, Self::Hybrid, Self::Version1, Self::NoBtf, Self::Lockdown];

    /// Its name, for the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unified => "v2",
            Self::Hybrid => "hybrid",
            Self::Version1 => "v1",
            Self::NoBtf => "no-btf",
            Self::Lockdown => "lockdown",
        }
    }

    /// Its name, for readers.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Unified => "cgroup v2",
            Self::Hybrid => "cgroup v1 and v2",
            Self::Version1 => "cgroup v1 alone",
            Self::NoBtf => "without BTF",
            Self::Lockdown => "lockdown=integrity",
        }
    }

    /// Whether a machine is like this, by the hierarchies that are mounted and the kernel's lockdown, as they are in the
    /// transcript.
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

    /// What the kernel is started with.
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

/// A test program, and which of its tests run in a guest: those whose names begin so, without some.
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) tests: &'static [&'static str],
    pub(super) without: &'static [&'static str],
}

/// The test programs of a guest.
pub(super) const PROGRAMS: [&str; 3] = ["kernel", "lab", "node"];

/// What decides whether it works on a kernel, and needs neither other programs than the guest has nor more speed than an
/// emulated machine. The verifier's figures are those of one kernel. A ring that overflows is among the packets; the
/// daemon's test of it makes a hundred thousand connections, for which a client's patience here is too short.
const ALL: [Program; 3] = [
    Program { name: "kernel", tests: &[], without: &["verifier_looks"] },
    Program { name: "lab", tests: &["outcomes::"], without: &[] },
    Program {
        name: "node",
        tests: &[
            "attribution::",
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

/// The DNS programs get packets and tell of answers: that they load and are attached where they have to be.
const ANSWERS: Program =
    Program { name: "kernel", tests: &["packets::answers_arrive_whatever_carries_them"], without: &[] };

/// The kernel is the same as that of the machine that all tests run on. What differs is where cgroup2 is, so: whether
/// the programs see all sockets, who a client is by its cgroup, and a hierarchy that the daemon has to mount.
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

/// What differs is where the fields of a connection come from, so: each outcome, totals, and what was open before. Tests that
/// ask for each hook in turn can do nothing here: one of the hooks is not to be had.
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

/// What differs is what the kernel lets root do: load, read its memory, mount, see tracefs.
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

/// The kernel's sources are the same as those that all tests run on, and so are the programs' instructions. What differs is
/// what they were made of: how the kernel's structures are laid out, in which order memory is written, what a system call is,
/// and the daemon itself, cross-built.
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

/// The tests that run on a machine: where an emulated one is slow, those of which it can change the result.
pub(super) fn programs(processor: TargetArch, machine: Machine) -> &'static [Program] {
    match machine {
        Machine::Unified if processor == TargetArch::Arm64 => &BY_PROCESSOR,
        Machine::Unified => &ALL,
        Machine::Hybrid | Machine::Version1 => &BY_HIERARCHY,
        Machine::NoBtf => &BY_TYPES,
        Machine::Lockdown => &BY_RIGHTS,
    }
}

/// What fails on some machines, and has to: a test of it that passes there is as wrong as another one that fails.
pub(super) struct Difference {
    pub(super) kernels: &'static [&'static str],
    pub(super) machines: &'static [Machine],
    pub(super) test: &'static str,
    pub(super) reason: &'static str,
}

const WITH_TYPES: [Machine; 4] = [Machine::Unified, Machine::Hybrid, Machine::Version1, Machine::Lockdown];

const OLDER: &str = "restart::connections_older_than_the_daemon_are_counted_down";

pub(super) const DIFFERENCES: [Difference; 3] = [
    // The kernel does not take the program that lists open connections.
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
    // What it is attached to is found by the kernel's types.
    Difference {
        kernels: &["6.1", "6.12", "7.2"],
        machines: &[Machine::NoBtf],
        test: OLDER,
        reason: "connections older than the daemon stay unknown: the program that lists them needs BTF",
    },
];

/// What has to fail there.
pub(super) fn differences(kernel: &str, machine: Machine) -> impl Iterator<Item = &'static Difference> {
    DIFFERENCES.iter().filter(move |row| row.kernels.contains(&kernel) && row.machines.contains(&machine))
}

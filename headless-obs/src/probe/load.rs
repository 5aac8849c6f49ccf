//! Loads and attaches each feature; reports and leaves out what cannot be attached.

use std::collections::BTreeMap;

use aya::programs::{
    BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSockAddr, ProgramError, TracePoint,
};
use aya::{Btf, Ebpf, EbpfError, EbpfLoader};
use aya_log::EbpfLogger;
use headless_obs_ebpf::offsets::{SockOffsets, TracepointOffsets};
use headless_obs_ebpf::ring_record::SocketRecord;
use headless_obs_ebpf::symbols::{
    CONNECTIONS, DNS_EGRESS, DNS_INGRESS, DNS_PORTS, EVENTS, FLOWS, IGNORED_DESTS, KNOWS_DIALLED,
    MAX_DNS_PORTS, RING_WATERMARK, SENDS, SOCK_OFFSETS, TCP_STATE, TCP_STATE_CLASSIC, TCP_STATE_FALLBACK,
    TRACEPOINT_OFFSETS,
};
use tracing::{info, warn};

use super::aya_pod::AsPod;
use super::dialled::{Dialled, Survey};
use super::iter_loads::OpenLoads;
use super::privilege_check::{not_permitted, sees_only_own_processes};
use super::recursion_misses::RecursionMisses;
use super::{CgroupRoot, Hooks, Maps, Options, ProbeError, Ring, TcpHook, btf, iter_sockets, tracefs};

/// The kernel object, embedded at build time; empty if it was left out.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/headless-obs.bpf.o"));

/// The kernel object's bytes.
pub fn object() -> &'static [u8] {
    OBJECT
}

/// The attached programs, with access to their data. Dropping it detaches them.
pub struct Loaded {
    /// The ring of records.
    pub ring: Ring,
    /// The maps.
    pub maps: Maps,
    /// The cgroup hierarchy.
    pub cgroups: CgroupRoot,
    /// Connections that were open before the start.
    pub existing: Vec<SocketRecord>,
    /// Probe → hook.
    pub hooks: Hooks,
    /// The destinations that clients dial, if programs of others may replace it.
    pub dialled: Option<Dialled>,
    /// The load of open connections, if the kernel allows to read it.
    pub loads: Option<OpenLoads>,
    /// Counts skipped runs.
    recursion_misses: RecursionMisses,
    /// Holds programs and links.
    _ebpf: Ebpf,
}

impl Loaded {
    /// The kernel's counters by name: those of the programs, and `tcp_skipped`, which the kernel itself keeps.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        let mut counters = self.maps.counters();
        counters.insert("tcp_skipped", self.recursion_misses.count());
        counters
    }
}

/// Offsets for both hooks for connections; those of the unused hook are zero.
struct Offsets {
    sock: SockOffsets,
    tracepoint: TracepointOffsets,
}

/// The place to which programs are attached.
struct Place {
    cgroups: CgroupRoot,
    survey: Survey,
}

/// Loads and attaches. Must be called within a tokio runtime.
///
/// # Errors
/// BPF cannot be used at all, or neither DNS answers nor connections can be observed: both are needed for any result.
pub fn load(options: &Options) -> Result<Loaded, ProbeError> {
    if OBJECT.is_empty() {
        return Err(ProbeError::NoObject);
    }
    let cgroups = CgroupRoot::find(options.cgroup.as_deref())?;
    let place = Place { survey: Survey::of(&cgroups), cgroups };
    let kernel_btf = Btf::from_sys_fs().map_err(|_| ProbeError::NoBtf);
    let sock = kernel_btf.as_ref().map_err(|_| ProbeError::NoBtf).and_then(|_| btf::sock_offsets());
    match (options.tcp_hook, sock, kernel_btf) {
        (TcpHook::Auto | TcpHook::TpBtf, Ok(sock), Ok(kernel_btf)) => {
            let offsets = Offsets { sock, tracepoint: TracepointOffsets::default() };
            let mut ebpf = open(options, &offsets, &place)?;
            match attach_tp_btf(&mut ebpf, &kernel_btf) {
                Ok(()) => finish(ebpf, options, place, "tp_btf", Some(&kernel_btf)),
                Err(error) if options.tcp_hook == TcpHook::TpBtf => Err(error),
                Err(error) => {
                    warn!(%error, "tp_btf does not work here: using the classic tracepoint, without failure reasons");
                    load_classic(options, place, sock, Some(&kernel_btf))
                }
            }
        }
        (TcpHook::TpBtf, Err(error), _) => Err(error),
        (TcpHook::Auto, Err(error), kernel_btf) => {
            warn!(%error, "using the classic tracepoint, without failure reasons and bytes");
            load_classic(options, place, SockOffsets::default(), kernel_btf.ok().as_ref())
        }
        (_, sock, kernel_btf) => {
            load_classic(options, place, sock.unwrap_or_default(), kernel_btf.ok().as_ref())
        }
    }
}

fn load_classic(
    options: &Options,
    place: Place,
    sock: SockOffsets,
    kernel_btf: Option<&Btf>,
) -> Result<Loaded, ProbeError> {
    let ebpf = tracefs::with_tracefs(|| {
        let offsets = Offsets { sock, tracepoint: tracefs::offsets()? };
        let mut ebpf = open(options, &offsets, &place)?;
        attach_classic(&mut ebpf)?;
        Ok(ebpf)
    })?;
    finish(ebpf, options, place, "tracepoint", kernel_btf.filter(|_| sock != SockOffsets::default()))
}

/// Creates the maps and sets the globals; no program is loaded yet.
fn open(options: &Options, offsets: &Offsets, place: &Place) -> Result<Ebpf, ProbeError> {
    let mut ports = [0_u16; MAX_DNS_PORTS];
    for (place, port) in ports.iter_mut().zip(&options.dns_ports) {
        *place = *port;
    }
    let (sock, tracepoint) = (AsPod(offsets.sock), AsPod(offsets.tracepoint));
    let watermark = options.ring_bytes / 4;
    let log_level = u8::from(options.kernel_log).saturating_mul(DEBUG);
    EbpfLoader::new()
        .override_global(DNS_PORTS, &ports, true)
        .override_global(RING_WATERMARK, &watermark, true)
        .override_global(KNOWS_DIALLED, &u32::from(place.survey.has_others()), true)
        .override_global(SOCK_OFFSETS, &sock, true)
        .override_global(TRACEPOINT_OFFSETS, &tracepoint, true)
        .override_global(aya_log::LEVEL, &log_level, false)
        .map_max_entries(EVENTS, options.ring_bytes)
        .map_max_entries(FLOWS, options.max_flows)
        .map_max_entries(CONNECTIONS, options.max_connections)
        .map_max_entries(IGNORED_DESTS, options.max_ignored)
        .load(OBJECT)
        .map_err(explain)
}

/// aya-log's number for debug, the level the programs log at.
const DEBUG: u8 = 4;

/// The rest after the attachment of connections: DNS, maps, ring, and open connections.
fn finish(
    mut ebpf: Ebpf,
    options: &Options,
    place: Place,
    tcp: &str,
    kernel_btf: Option<&Btf>,
) -> Result<Loaded, ProbeError> {
    let Place { cgroups, survey } = place;
    let loads = match kernel_btf {
        None => Err(ProbeError::NoBtf),
        Some(kernel_btf) => OpenLoads::attach(&mut ebpf, kernel_btf),
    };
    let mut maps = Maps::take(&mut ebpf, options)?;
    // Queries first: their responses may arrive as soon as the program for responses is attached.
    let watched = attach_skb(&mut ebpf, DNS_EGRESS, &cgroups, CgroupSkbAttachType::Egress)
        .and_then(|()| maps.require_queries());
    attach_skb(&mut ebpf, DNS_INGRESS, &cgroups, CgroupSkbAttachType::Ingress)?;
    let mut hooks = Hooks::from([
        ("dns".to_owned(), "cgroup_skb".to_owned()),
        ("queries".to_owned(), "none".to_owned()),
        ("tcp".to_owned(), tcp.to_owned()),
        ("existing".to_owned(), "none".to_owned()),
        ("load".to_owned(), "none".to_owned()),
        ("servers".to_owned(), "none".to_owned()),
    ]);
    match watched {
        Ok(()) => {
            hooks.insert("queries".to_owned(), "cgroup_skb/egress".to_owned());
            match SENDS.into_iter().try_for_each(|name| attach_sends(&mut ebpf, name, &cgroups)) {
                Ok(()) => drop(hooks.insert("servers".to_owned(), "cgroup/sendmsg".to_owned())),
                Err(error) => warn!(
                    %error,
                    "cannot see which server an unconnected socket asks, so headless-obs refuses its answers where the \
                     pod's own network translates the server's address"
                ),
            }
        }
        Err(error) => {
            hooks.remove("servers");
            warn!(%error, "cannot see DNS queries, so headless-obs accepts every DNS response, even unsolicited ones");
        }
    }
    let loads = loads
        .inspect_err(|error| {
            warn!(%error, "cannot read what open connections have carried, so their bytes count when they end");
        })
        .ok();
    if loads.is_some() {
        hooks.insert("load".to_owned(), "iter/bpf_map_elem".to_owned());
    }
    let adopted = match kernel_btf {
        None => Err(ProbeError::NoBtf),
        Some(_) if sees_only_own_processes() => Err(ProbeError::OwnProcesses),
        Some(kernel_btf) => iter_sockets::import(&mut ebpf, kernel_btf, &mut maps),
    };
    let existing = match adopted {
        Ok(existing) => {
            hooks.insert("existing".to_owned(), "iter/task_file".to_owned());
            existing
        }
        Err(error) => {
            warn!(%error, "cannot list connections that are already open, so counts of open connections start at zero");
            Vec::new()
        }
    };
    let dialled = survey.has_others().then(|| match kernel_btf {
        Some(_) => survey.attach(&mut ebpf),
        None => Err(ProbeError::NoBtf),
    });
    let dialled = dialled.map(|attached| {
        hooks.insert("connects".to_owned(), attached.as_ref().map_or("none", Dialled::hook).to_owned());
        attached.unwrap_or_else(|error| {
            warn!(%error, "cannot see what clients dial behind a socket-level load balancer");
            Dialled::default()
        })
    });
    if options.kernel_log {
        forward_log(&mut ebpf);
    }
    // With tp_btf the second program sees the changes at which the kernel skips the first one.
    let recursion_misses = RecursionMisses::of(ebpf.program(TCP_STATE_CLASSIC).filter(|_| tcp != "tp_btf"));
    let ring = ebpf
        .take_map(EVENTS)
        .ok_or(ProbeError::Refused { what: EVENTS, why: "not in the kernel object".to_owned() })?
        .try_into()
        .map_err(|error: aya::maps::MapError| ProbeError::Refused { what: EVENTS, why: error.to_string() })?;
    let (path, how) = cgroups.describe();
    info!(tcp, cgroup = %path.display(), how, existing = existing.len(), "probes attached");
    Ok(Loaded {
        ring: Ring::new(ring)?,
        maps,
        cgroups,
        existing,
        hooks,
        dialled,
        loads,
        recursion_misses,
        _ebpf: ebpf,
    })
}

fn attach_skb(
    ebpf: &mut Ebpf,
    name: &'static str,
    cgroups: &CgroupRoot,
    direction: CgroupSkbAttachType,
) -> Result<(), ProbeError> {
    let program: &mut CgroupSkb = program(ebpf, name)?;
    let attached = program.load().and_then(|()| {
        // `Single` passes no flags, which for links means: next to other programs. The kernel refuses the other modes.
        program.attach(cgroups.fd(), direction, CgroupAttachMode::Single)
    });
    attached.map(drop).map_err(refused(name))
}

/// After those of others, so that the program sees where a socket-level load balancer sends a query.
fn attach_sends(ebpf: &mut Ebpf, name: &'static str, cgroups: &CgroupRoot) -> Result<(), ProbeError> {
    let program: &mut CgroupSockAddr = program(ebpf, name)?;
    let attached = program.load().and_then(|()| program.attach(cgroups.fd(), CgroupAttachMode::Single));
    attached.map(drop).map_err(refused(name))
}

fn attach_tp_btf(ebpf: &mut Ebpf, kernel_btf: &Btf) -> Result<(), ProbeError> {
    // The kernel runs programs in the order of attachment.
    for name in [TCP_STATE, TCP_STATE_FALLBACK] {
        let program: &mut BtfTracePoint = program(ebpf, name)?;
        let attached = program.load("inet_sock_set_state", kernel_btf).and_then(|()| program.attach());
        attached.map(drop).map_err(refused(name))?;
    }
    Ok(())
}

fn attach_classic(ebpf: &mut Ebpf) -> Result<(), ProbeError> {
    let program: &mut TracePoint = program(ebpf, TCP_STATE_CLASSIC)?;
    let attached = program.load().and_then(|()| program.attach("sock", "inet_sock_set_state"));
    attached.map(drop).map_err(refused(TCP_STATE_CLASSIC))
}

pub(super) fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, ProbeError>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    ebpf.program_mut(name)
        .ok_or(ProbeError::Refused { what: name, why: "not in the kernel object".to_owned() })?
        .try_into()
        .map_err(refused(name))
}

/// The kernel's refusal of a program, with the complete reason.
pub(super) fn refused(what: &'static str) -> impl Fn(ProgramError) -> ProbeError {
    move |error| match &error {
        ProgramError::SyscallError(syscall) if is_permission(&syscall.io_error) => {
            not_permitted(format!("{what}: {}", chain(&error)))
        }
        // The verifier's own refusals have another error number, and a log.
        ProgramError::LoadError { io_error, .. } if io_error.raw_os_error() == Some(libc::EPERM) => {
            not_permitted(format!("{what}: {io_error}"))
        }
        _ => ProbeError::Refused { what, why: chain(&error) },
    }
}

fn explain(error: EbpfError) -> ProbeError {
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(cause) = source {
        if cause.downcast_ref::<std::io::Error>().is_some_and(is_permission) {
            return not_permitted(chain(&error));
        }
        source = cause.source();
    }
    ProbeError::Refused { what: "kernel object", why: chain(&error) }
}

fn is_permission(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied
}

/// An error and its causes, in one line. Some errors include their cause already.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let why = cause.to_string();
        if !text.contains(&why) {
            text = format!("{text}: {why}");
        }
        source = cause.source();
    }
    text
}

/// Forwards the programs' diagnostics to the log.
fn forward_log(ebpf: &mut Ebpf) {
    match EbpfLogger::init(ebpf) {
        Ok(logger) => {
            tokio::spawn(super::ring::forward(logger));
        }
        Err(error) => warn!(%error, "cannot read diagnostics of the kernel programs"),
    }
}

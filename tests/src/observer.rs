//! The daemon under test: a child process outside all pods, with HTTP on loopback.
//!
//! In: its program (`HEADLESS_OBS_BIN`, else in this program's folder) and options. Out: readiness, snapshots, metrics,
//! its log. It ends with the lab in any case.

use std::env;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::lab::Lab;
use crate::pod_exec::{Log, Program};

const POLL: Duration = Duration::from_millis(20);

/// The spec of a daemon.
#[derive(Clone, Debug, Default)]
pub struct ObserverSpec {
    /// Its program; if empty, [`program`] finds it.
    pub program: PathBuf,
    /// Options of `run`, without `--listen`.
    pub options: Vec<String>,
    /// A command before the program, such as `setpriv --no-new-privs`.
    pub wrapper: Vec<String>,
    /// Time limit for its start.
    pub patience: Option<Duration>,
}

impl ObserverSpec {
    /// The daemon with these options of `run`. Without other values, endpoints are mature at once and stale connections
    /// have no grace period, because tests know the true state.
    #[must_use]
    pub fn new(options: &[&str]) -> Self {
        let unset = [("--mature-after", "0s"), ("--stale-grace", "0s")].into_iter();
        let unset =
            unset.filter(|(option, _)| !options.contains(option)).flat_map(|(option, value)| [option, value]);
        let options = options.iter().copied().chain(unset);
        Self { options: options.map(str::to_owned).collect(), ..Self::default() }
    }
}

/// The program under test: `HEADLESS_OBS_BIN`, else `headless-obs` in cargo's output folder.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = env::var_os("HEADLESS_OBS_BIN") {
        return Ok(path.into());
    }
    let this = env::current_exe().context("cannot find this program's own path")?;
    let mut candidates = this.ancestors().skip(1).take(2).map(|folder| folder.join("headless-obs"));
    candidates
        .find(|path| path.is_file())
        .context("there is no headless-obs: build it or set HEADLESS_OBS_BIN")
}

/// Factor for all time limits, for slow machines such as an emulated one.
const SLOWNESS: &str = "HEADLESS_OBS_LAB_SLOWNESS";

/// A time limit for this machine: that of a test, or the timeout of a client.
pub fn stretched(patience: Duration) -> Duration {
    let times = env::var(SLOWNESS).ok().and_then(|times| times.parse().ok());
    patience.saturating_mul(times.unwrap_or(1))
}

/// A running daemon; it is killed when this is dropped.
pub struct Observer {
    program: Program,
    address: SocketAddr,
    log: Log,
}

impl Observer {
    /// Starts it and waits until it is ready.
    pub fn start(lab: &Lab, spec: &ObserverSpec) -> Result<Self> {
        let mut observer = Self::launch(lab, spec)?;
        observer.wait_ready(spec.patience.unwrap_or(Duration::from_secs(60)))?;
        Ok(observer)
    }

    /// Starts it without waiting until it is ready.
    pub fn launch(lab: &Lab, spec: &ObserverSpec) -> Result<Self> {
        let path = if spec.program.as_os_str().is_empty() { program()? } else { spec.program.clone() };
        let path = path.to_str().context("the daemon's path is not text")?;
        let address = free_port()?;
        let listen = address.to_string();
        let mut arguments: Vec<&str> = spec.wrapper.iter().map(String::as_str).collect();
        arguments.extend([path, "run", "--listen", &listen]);
        arguments.extend(spec.options.iter().map(String::as_str));
        let mut program = lab.exec(&arguments)?;
        let log = Log::of(&mut program);
        Ok(Self { program, address, log })
    }

    /// Waits until it is ready.
    pub fn wait_ready(&mut self, patience: Duration) -> Result<()> {
        let patience = stretched(patience);
        let end = Instant::now() + patience;
        loop {
            if matches!(self.get("/readyz"), Ok((200, _))) {
                return Ok(());
            }
            if let Some(status) = self.program.try_wait()? {
                bail!("the daemon ended before it was ready ({status}):\n{}", self.log.whole());
            }
            if Instant::now() > end {
                bail!("the daemon is not ready after {patience:?}:\n{}", self.log());
            }
            thread::sleep(POLL);
        }
    }

    /// Its listening address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Its output to stdout and stderr.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Its exit status, if it has ended.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        self.program.try_wait()
    }

    /// Gets a page; returns status and body.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        get(self.address, path)
    }

    /// Gets a snapshot.
    pub fn snapshot(&self) -> Result<Value> {
        match self.get("/api/v1/snapshot?last=all")? {
            (200, body) => serde_json::from_str(&body).context("the snapshot is not JSON"),
            (status, body) => bail!("no snapshot: HTTP {status}: {body}"),
        }
    }

    /// Gets the metrics.
    pub fn metrics(&self) -> Result<String> {
        match self.get("/metrics")? {
            (200, body) => Ok(body),
            (status, body) => bail!("no metrics: HTTP {status}: {body}"),
        }
    }

    /// Takes snapshots until one satisfies `wanted`; after `patience` the error has the last one.
    pub fn snapshot_when(&self, patience: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let patience = stretched(patience);
        let end = Instant::now() + patience;
        loop {
            let snapshot = self.snapshot()?;
            if wanted(&snapshot) {
                return Ok(snapshot);
            }
            if Instant::now() > end {
                bail!("no snapshot met the condition within {patience:?}; the last one:\n{snapshot:#}");
            }
            thread::sleep(POLL);
        }
    }

    /// Stops it by SIGTERM and waits; returns its status and log.
    pub fn stop(mut self) -> Result<(ExitStatus, String)> {
        let pid =
            i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("the daemon has no process id")?;
        kill_process(pid, Signal::TERM).context("cannot signal the daemon")?;
        let end = Instant::now() + stretched(Duration::from_secs(60));
        loop {
            if let Some(status) = self.program.try_wait()? {
                return Ok((status, self.log.whole()));
            }
            if Instant::now() > end {
                bail!("the daemon did not end after SIGTERM:\n{}", self.log());
            }
            thread::sleep(POLL);
        }
    }

    /// Ends it by SIGKILL.
    pub fn kill(mut self) {
        self.program.kill();
    }
}

/// A free port on loopback.
pub(crate) fn free_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
    listener.local_addr().context("no free port on loopback")
}

/// Gets a page by HTTP/1.0, in which the end of the connection is the end of the body; returns status and body.
pub fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let timeout = stretched(Duration::from_secs(30));
    let mut stream = TcpStream::connect_timeout(&address, timeout)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .with_context(|| format!("{address}{path}: cannot read the response"))?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .with_context(|| format!("{address}{path}: the response is not HTTP"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((
        status.with_context(|| format!("{address}{path}: the response has no HTTP status"))?,
        body.to_owned(),
    ))
}

//! Makes, uses and closes one connection as [`Dial`] says.
//!
//! In: addresses to try, [`Dial`]. Out: the result of each attempt, and the connection if the client keeps it.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, SocketAddrV6, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::client::{Dial, Outcomes, Receive};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// The result of one attempt.
pub(crate) struct Attempt {
    pub(crate) address: IpAddr,
    pub(crate) outcomes: Outcomes,
    /// An unusual error.
    pub(crate) error: Option<String>,
}

/// The attempts of one call, and the connection if the client keeps it.
#[derive(Default)]
pub(crate) struct Dialled {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) kept: Option<TcpStream>,
}

impl Dialled {
    pub(crate) fn connected(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.outcomes.connected > 0)
    }

    fn note(&mut self, to: SocketAddr, error: Option<&std::io::Error>) {
        let mut outcomes = Outcomes::default();
        let mut unusual = None;
        match error {
            None => outcomes.connected = 1,
            Some(error) => {
                *reason(&mut outcomes, error, &mut unusual) = 1;
                // A reset means that the connection was established. A RST in answer to the first packet counts as a
                // refusal.
                outcomes.connected = outcomes.reset;
            }
        }
        self.attempts.push(Attempt { address: to.ip(), outcomes, error: unusual });
    }
}

/// The counter for an error. A timeout of the client is an error without a number.
fn reason<'a>(
    outcomes: &'a mut Outcomes,
    error: &std::io::Error,
    unusual: &mut Option<String>,
) -> &'a mut u64 {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        None if error.kind() == ErrorKind::TimedOut => &mut outcomes.aborted,
        Some(Errno::CONNREFUSED) => &mut outcomes.refused,
        Some(Errno::TIMEDOUT) => &mut outcomes.timeout,
        Some(Errno::HOSTUNREACH | Errno::NETUNREACH) => &mut outcomes.unreachable,
        Some(Errno::CONNRESET | Errno::PIPE) => &mut outcomes.reset,
        _ => {
            *unusual = Some(error.to_string());
            &mut outcomes.other
        }
    }
}

/// Connects to one target and uses the connection as `how` says.
pub(crate) fn dial(to: SocketAddr, how: &Dial) -> Dialled {
    let mut dialled = Dialled::default();
    match connect(to, how) {
        Ok(socket) => {
            dialled.note(to, None);
            use_connection(&mut dialled, to, socket, how);
        }
        Err(error) => dialled.note(to, Some(&error)),
    }
    dialled
}

/// Connects to `first` and, if that takes longer than the head start, `second` as well; the first to connect wins.
pub(crate) fn race(first: SocketAddr, second: SocketAddr, head_start: Duration, how: &Dial) -> Dialled {
    let mut dialled = Dialled::default();
    let mut running: Vec<(SocketAddr, Socket)> = Vec::new();
    let limit = how.give_up_ms.map(|limit| Instant::now() + Duration::from_millis(limit));
    let mut waiting = vec![second, first];
    while let Some(to) = waiting.pop() {
        match begin(to, how) {
            Ok(socket) => running.push((to, socket)),
            Err(error) => dialled.note(to, Some(&error)),
        }
        let until = if waiting.is_empty() { limit } else { Some(Instant::now() + head_start) };
        while !running.is_empty() {
            let Some(place) = first_settled(&running, until) else { break };
            let (to, socket) = running.swap_remove(place);
            match settled(&socket) {
                Ok(()) => {
                    for (loser, socket) in running {
                        drop(socket);
                        let outcomes = Outcomes { superseded: 1, ..Outcomes::default() };
                        dialled.attempts.push(Attempt { address: loser.ip(), outcomes, error: None });
                    }
                    dialled.note(to, None);
                    use_connection(&mut dialled, to, socket, how);
                    return dialled;
                }
                Err(error) => dialled.note(to, Some(&error)),
            }
        }
    }
    for (to, _socket) in running {
        dialled.note(to, Some(&gave_up()));
    }
    dialled
}

fn gave_up() -> std::io::Error {
    std::io::Error::new(ErrorKind::TimedOut, "the client gave up")
}

/// A socket for a target, and the address to give to `connect`.
fn socket(to: SocketAddr, how: &Dial) -> std::io::Result<(Socket, SocketAddr)> {
    let to = match to.ip() {
        IpAddr::V4(ip) if how.mapped => SocketAddrV6::new(ip.to_ipv6_mapped(), to.port(), 0, 0).into(),
        _ => to,
    };
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    if how.mapped {
        socket.set_only_v6(false)?;
    }
    if let Some(limit) = how.user_timeout_ms {
        socket.set_tcp_user_timeout(Some(Duration::from_millis(limit.into())))?;
    }
    if how.reset_on_close {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    Ok((socket, to))
}

fn connect(to: SocketAddr, how: &Dial) -> std::io::Result<Socket> {
    if !how.nonblocking && how.give_up_ms.is_none() {
        let (socket, to) = socket(to, how)?;
        socket.connect(&to.into())?;
        return Ok(socket);
    }
    let running = [(to, begin(to, how)?)];
    let limit = how.give_up_ms.map(|limit| Instant::now() + Duration::from_millis(limit));
    first_settled(&running, limit).ok_or_else(gave_up)?;
    let [(_, socket)] = running;
    settled(&socket)?;
    Ok(socket)
}

/// Begins a non-blocking connect.
fn begin(to: SocketAddr, how: &Dial) -> std::io::Result<Socket> {
    let (socket, to) = socket(to, how)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(socket),
    }
}

/// Waits until one of the connects has succeeded or failed; `None` if `until` passes first.
fn first_settled(running: &[(SocketAddr, Socket)], until: Option<Instant>) -> Option<usize> {
    let mut fds: Vec<_> =
        running.iter().map(|(_, socket)| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)).collect();
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return None,
            Ok(_) => return fds.iter().position(|fd| !fd.revents().is_empty()),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// The result of a connect that has ended.
fn settled(socket: &Socket) -> std::io::Result<()> {
    socket.take_error()?.map_or(Ok(()), Err)?;
    socket.set_nonblocking(false)
}

/// Sends, receives and waits; then closes or keeps the connection.
fn use_connection(dialled: &mut Dialled, to: SocketAddr, socket: Socket, how: &Dial) {
    let mut stream = TcpStream::from(socket);
    if let Err(error) = talk(&mut stream, how)
        && let Some(attempt) = dialled.attempts.iter_mut().find(|attempt| attempt.address == to.ip())
    {
        *reason(&mut attempt.outcomes, &error, &mut attempt.error) += 1;
        return;
    }
    if how.keep {
        dialled.kept = Some(stream);
    } else if how.hold_ms > 0 {
        thread::sleep(Duration::from_millis(how.hold_ms));
    }
}

fn talk(stream: &mut TcpStream, how: &Dial) -> std::io::Result<()> {
    if how.send > 0 {
        stream.write_all(&vec![b'x'; how.send])?;
    }
    match how.receive {
        Receive::Nothing => Ok(()),
        Receive::Bytes(length) => stream.read_exact(&mut vec![0; length]),
        Receive::Close => {
            // If the server has sent a reset already, the read below shows it.
            let _reset = stream.shutdown(Shutdown::Write);
            std::io::copy(stream, &mut std::io::sink()).map(|_| ())
        }
    }
}

/// Closes a kept connection as `how` says.
pub(crate) fn close(stream: TcpStream, how: &Dial) -> Result<()> {
    if how.reset_on_close {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).context("cannot close by reset")?;
    }
    drop(stream);
    Ok(())
}

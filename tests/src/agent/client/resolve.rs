//! Lookups by a stub resolver over UDP and TCP, by the C library, or none at all.
//!
//! In: a [`ClientSpec`]. Out: a [`Lookup`]: addresses with ports in the order of the answer.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::client::{ClientSpec, Exchange, Lookup, Resolver};

/// Looks up a name as a spec says.
pub(crate) fn look_up(spec: &ClientSpec, name: &str) -> Result<Lookup> {
    match &spec.resolver {
        Resolver::Stub(stub) => stub.look_up(&mut Sockets, name, spec.port),
        Resolver::Libc => {
            let found = (name, spec.port).to_socket_addrs();
            let targets = found.with_context(|| format!("getaddrinfo of {name}"))?.collect();
            Ok(Lookup { targets, ..Lookup::default() })
        }
        Resolver::Fixed(addresses) => {
            let targets = addresses.iter().map(|&address| SocketAddr::new(address, spec.port)).collect();
            Ok(Lookup { targets, ..Lookup::default() })
        }
    }
}

/// The kernel's sockets, a new one for each query.
struct Sockets;

impl Exchange for Sockets {
    fn udp(&mut self, server: SocketAddr, query: &[u8], timeout: Duration) -> Result<Vec<u8>> {
        let any: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).context("cannot open a UDP socket")?;
        socket.connect(server).context("the DNS server is unreachable")?;
        socket.set_read_timeout(Some(timeout))?;
        socket.send(query).context("cannot send the query to the DNS server")?;
        let mut buffer = vec![0; 65535];
        let end = Instant::now() + timeout;
        loop {
            let length = socket.recv(&mut buffer).context("no answer from the DNS server over UDP")?;
            if buffer[..length].get(..2) == query.get(..2) {
                buffer.truncate(length);
                return Ok(buffer);
            }
            if Instant::now() > end {
                bail!("no answer from the DNS server over UDP");
            }
        }
    }

    fn tcp(&mut self, server: SocketAddr, query: &[u8], timeout: Duration) -> Result<(Vec<u8>, u64)> {
        let mut stream =
            TcpStream::connect_timeout(&server, timeout).context("the DNS server is unreachable over TCP")?;
        stream.set_read_timeout(Some(timeout))?;
        let mut bytes = u16::try_from(query.len())?.to_be_bytes().to_vec();
        bytes.extend(query);
        stream.write_all(&bytes)?;
        let (mut received, mut reads) = (Vec::new(), 0);
        let mut buffer = [0; 65536];
        while expected(&received).is_none_or(|length| received.len() < length) {
            let length = stream.read(&mut buffer).context("no answer from the DNS server over TCP")?;
            if length == 0 {
                bail!("the DNS server closed the connection before its response was complete");
            }
            received.extend(&buffer[..length]);
            reads += 1;
        }
        Ok((received.split_off(2), reads))
    }
}

/// Length of a TCP response with its length prefix; `None` until the prefix has arrived.
fn expected(received: &[u8]) -> Option<usize> {
    let prefix = received.first_chunk::<2>()?;
    Some(2 + usize::from(u16::from_be_bytes(*prefix)))
}

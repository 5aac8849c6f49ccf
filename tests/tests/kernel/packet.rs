//! Packets as sockets receive them, from the IP header on. Checksums are zero, because the kernel has checked them
//! before.

use std::net::IpAddr;

pub(crate) const SYN: u8 = 2;
pub(crate) const ACK: u8 = 16;

/// The transport.
#[derive(Clone, Debug)]
pub(crate) enum Transport {
    Udp,
    /// The length of the options is a multiple of four.
    Tcp {
        sequence: u32,
        flags: u8,
        options: Vec<u8>,
    },
}

/// A packet from a server to a client.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) server: IpAddr,
    pub(crate) client: IpAddr,
    pub(crate) server_port: u16,
    pub(crate) client_port: u16,
    /// IPv4; the length is a multiple of four, up to 40.
    pub(crate) options: Vec<u8>,
    /// IPv6: number and length in bytes (a multiple of eight) of each header.
    pub(crate) extensions: Vec<(u8, usize)>,
    pub(crate) transport: Transport,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    /// A datagram of IPv4.
    pub(crate) fn udp(payload: &[u8]) -> Self {
        Self {
            server: [10, 96, 0, 10].into(),
            client: [10, 244, 1, 7].into(),
            server_port: 53,
            client_port: 40_000,
            options: Vec::new(),
            extensions: Vec::new(),
            transport: Transport::Udp,
            payload: payload.to_vec(),
        }
    }

    /// A segment of IPv4.
    pub(crate) fn tcp(sequence: u32, flags: u8, payload: &[u8]) -> Self {
        Self { transport: Transport::Tcp { sequence, flags, options: Vec::new() }, ..Self::udp(payload) }
    }

    /// The same over IPv6.
    pub(crate) fn v6(self) -> Self {
        let address = |last| IpAddr::from([0xfd00, 0x10, 0x244, 1, 0, 0, 0, last]);
        Self { server: address(0x53), client: address(7), ..self }
    }

    pub(crate) fn is_v6(&self) -> bool {
        self.server.is_ipv6()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let transport = self.transport_bytes();
        match (self.server, self.client) {
            (IpAddr::V4(server), IpAddr::V4(client)) => {
                let words = 5 + self.options.len() / 4;
                let length = u16::try_from(words * 4 + transport.len()).unwrap_or(u16::MAX);
                let mut bytes = vec![0x40 | u8::try_from(words).unwrap(), 0];
                bytes.extend(length.to_be_bytes());
                bytes.extend([0, 0, 0x40, 0, 64, self.protocol(), 0, 0]);
                bytes.extend(server.octets());
                bytes.extend(client.octets());
                bytes.extend(&self.options);
                bytes.extend(transport);
                bytes
            }
            (IpAddr::V6(server), IpAddr::V6(client)) => {
                let extensions = self.extension_bytes();
                let length = u16::try_from(extensions.len() + transport.len()).unwrap_or(u16::MAX);
                let first = self.extensions.first().map_or(self.protocol(), |(number, _)| *number);
                let mut bytes = vec![0x60, 0, 0, 0];
                bytes.extend(length.to_be_bytes());
                bytes.extend([first, 64]);
                bytes.extend(server.octets());
                bytes.extend(client.octets());
                bytes.extend(extensions);
                bytes.extend(transport);
                bytes
            }
            _ => panic!("two families in one packet"),
        }
    }

    fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Udp => 17,
            Transport::Tcp { .. } => 6,
        }
    }

    /// Each header names the next one.
    fn extension_bytes(&self) -> Vec<u8> {
        let following = self.extensions.iter().skip(1).map(|(number, _)| *number).chain([self.protocol()]);
        let header = |((_, length), next): (&(u8, usize), u8)| {
            let mut bytes = vec![0; *length];
            (bytes[0], bytes[1]) = (next, u8::try_from(length / 8 - 1).unwrap());
            bytes
        };
        self.extensions.iter().zip(following).flat_map(header).collect()
    }

    fn transport_bytes(&self) -> Vec<u8> {
        let ports = [self.server_port.to_be_bytes(), self.client_port.to_be_bytes()].concat();
        let head = match &self.transport {
            Transport::Udp => {
                let length = u16::try_from(8 + self.payload.len()).unwrap_or(u16::MAX);
                [&length.to_be_bytes()[..], &[0; 2]].concat()
            }
            Transport::Tcp { sequence, flags, options } => {
                let words = u8::try_from(5 + options.len() / 4).unwrap();
                [&sequence.to_be_bytes()[..], &[0; 4], &[words << 4, *flags], &[0; 6], options].concat()
            }
        };
        [ports, head, self.payload.clone()].concat()
    }
}

//! Queries the cluster's DNS from its node.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::cluster::{Cluster, DNS};

impl Cluster {
    /// The addresses of both families in DNS; none if the name does not exist.
    pub fn look_up(&self, name: &str) -> Result<BTreeSet<IpAddr>> {
        let name = Name::from_str(&format!("{name}."))?;
        self.node.run(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.connect(SocketAddr::new(DNS, 53))?;
            socket.set_read_timeout(Some(Duration::from_secs(2)))?;
            let mut found = BTreeSet::new();
            for kind in [RecordType::A, RecordType::AAAA] {
                let mut question = Message::query();
                question.add_query(Query::query(name.clone(), kind));
                socket.send(&question.to_vec()?)?;
                let mut buffer = [0; 65535];
                let length = socket.recv(&mut buffer).context("DNS does not answer")?;
                let answer = Message::from_vec(&buffer[..length])?;
                found.extend(answer.answers.iter().filter_map(|record| match record.data {
                    RData::A(address) => Some(IpAddr::V4(address.0)),
                    RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                    _ => None,
                }));
            }
            Ok(found)
        })
    }
}

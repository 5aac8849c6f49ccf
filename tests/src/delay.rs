//! A long way to a pod: all TCP segments that it sends take a time longer.
//!
//! In: the pod, and the time. Out: an agent that holds the segments back; without it they are lost. Queries and responses
//! of DNS over UDP are not held back, because the program at the cgroup would see each of them twice.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::agent_process::Agent;
use crate::pod::Pod;

/// The mark of packets that were held back.
pub const MARK: u32 = 1338;
/// The device to which the pod routes its segments.
pub const DEVICE: &str = "delay";

/// The spec of a delay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DelaySpec {
    /// The time, in milliseconds.
    pub milliseconds: u64,
}

impl Pod {
    /// From now on each TCP segment over IPv4 that the pod sends takes this time longer, while the handle lives.
    pub fn delay(&self, by: Duration) -> Result<Agent> {
        let lab = self.node().lab()?;
        let spec = DelaySpec { milliseconds: u64::try_from(by.as_millis())? };
        let (agent, ()) =
            lab.spawner.agent(&format!("delay of {}", self.name()), &self.place(), "delay", &spec)?;
        let address = self.ip(true)?;
        for command in [
            format!("link set {DEVICE} up"),
            format!("route add default dev {DEVICE} src {address} table 100"),
            format!("rule add pref 10 fwmark {MARK} lookup main"),
            "rule add pref 11 ipproto tcp lookup 100".to_owned(),
        ] {
            let words: Vec<&str> = ["ip"].into_iter().chain(command.split(' ')).collect();
            let output = self.exec(&words)?.output()?;
            ensure!(output.status.success(), "ip {command}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(agent)
    }
}

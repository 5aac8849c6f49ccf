//! A service mesh for a pod: firewall rules of the kernel redirect the pod's traffic to a proxy, as Istio, Linkerd and
//! ambient meshes do.
//!
//! In: the pod, and the pod that contains the proxy: the same pod with a sidecar, or a pod that serves the whole node.
//! Out: an agent that forwards.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::agent_process::Agent;
use crate::pod::Pod;

/// The proxy's port for connections from the pod.
pub const OUTBOUND: u16 = 15001;
/// The proxy's port for connections to the pod.
pub const INBOUND: u16 = 15006;
/// The mark of the proxy's own packets, which the rules do not redirect.
pub const MARK: u32 = 1337;

/// The spec of a proxy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MeshSpec {
    /// The source address of its connections to the pod.
    pub delivers_from: Ipv4Addr,
}

/// Redirects everything apart from the proxy's own packets and DNS.
const RULES: &str = "
table ip mesh {
    chain sent {
        type nat hook output priority -100;
        meta mark 1337 accept
        ip daddr 127.0.0.0/8 accept
        tcp dport 53 accept
        meta l4proto tcp redirect to :15001
    }
    chain received {
        type nat hook prerouting priority -100;
        iifname \"lo\" accept
        meta l4proto tcp redirect to :15006
    }
}
";

impl Pod {
    /// From now on a proxy in a container of `by` makes this pod's connections: its own sidecar, or a pod that serves
    /// the node. The proxy ends with the handle.
    pub fn mesh(&self, by: &Pod) -> Result<Agent> {
        let lab = self.node().lab()?;
        let is_own = by.uid() == self.uid();
        let cgroup = if is_own { self.sidecar_cgroup()? } else { by.cgroup().to_owned() };
        let spec = MeshSpec { delivers_from: Ipv4Addr::new(127, 0, 0, 6) };
        let name = format!("proxy of {}", self.name());
        let (agent, ()) = lab.spawner.agent(&name, &self.place_in(cgroup), "proxy", &spec)?;

        let rules = lab.folder().join(format!("mesh-{}.nft", self.uid()));
        std::fs::write(&rules, RULES).with_context(|| format!("cannot write {}", rules.display()))?;
        let output = self.exec(&["nft", "-f", &rules.display().to_string()])?.output()?;
        ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
        Ok(agent)
    }
}

//! The configuration of containerd, CNI and the kubelet of a node.
//!
//! In: a node's folder, addresses and cgroup. Out: files in that folder, and command lines.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::images::PAUSE;
use crate::cluster::{DNS, ZONE};

/// Debian's folder of CNI plugins.
const CNI_PLUGINS: &str = "/usr/lib/cni";

/// A node's files.
pub(super) struct Config<'a> {
    pub(super) folder: &'a Path,
    pub(super) name: &'a str,
    pub(super) number: u8,
    pub(super) address: Ipv4Addr,
    pub(super) gateway: Ipv4Addr,
    pub(super) kubeconfig: &'a Path,
    /// Parent of the cgroups of the kubelet's pods.
    pub(super) cgroup: &'a Path,
}

impl Config<'_> {
    /// The runtime's socket. The lab's folder may have too long a path for a socket.
    pub(super) fn socket(&self) -> PathBuf {
        PathBuf::from("/run/containerd.sock")
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.folder.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(self.path(name))
    }

    /// Writes the files of containerd and CNI; returns containerd's command line.
    pub(super) fn runtime(&self) -> Result<Vec<String>> {
        let network = json!({
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [{
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": false,
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": self.path("addresses"),
                    "ranges": [[{
                        "subnet": "10.244.0.0/16",
                        "rangeStart": Ipv4Addr::new(10, 244, 100 + self.number, 10),
                        "rangeEnd": Ipv4Addr::new(10, 244, 100 + self.number, 250),
                        "gateway": self.gateway,
                    }]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }],
        });
        self.write("cni/10-pods.conflist", &network.to_string())?;
        let config = format!(
            r#"version = 2
root = "{root}"
state = "/run/containerd"
[grpc]
address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{opt}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = "{cni}"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "runc"
SystemdCgroup = false
"#,
            root = self.path("containerd"),
            socket = self.socket().display(),
            opt = self.path("opt"),
            cni = self.path("cni"),
        );
        let config = self.write("containerd.toml", &config)?;
        Ok(["containerd", "--config", &config, "--log-level", "warn"].map(str::to_owned).to_vec())
    }

    /// Writes the kubelet's file; returns its command line.
    pub(super) fn kubelet(&self, program: &Path) -> Result<Vec<String>> {
        let config = self.write("kubelet.json", &self.kubelet_config().to_string())?;
        let mut command = vec![program.display().to_string(), "kubelet".to_owned()];
        let flags = [
            ("config", config),
            ("kubeconfig", self.kubeconfig.display().to_string()),
            ("root-dir", self.path("kubelet")),
            ("cert-dir", self.path("pki")),
            ("hostname-override", self.name.to_owned()),
            ("node-ip", self.address.to_string()),
        ];
        command.extend(flags.map(|(name, value)| format!("--{name}={value}")));
        Ok(command)
    }

    fn kubelet_config(&self) -> Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.cgroup,
            "clusterDNS": [DNS],
            "clusterDomain": ZONE,
            "containerRuntimeEndpoint": format!("unix://{}", self.socket().display()),
            // The lab does not care how full the machine's disk is.
            "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
            "enforceNodeAllocatable": [],
            "failCgroupV1": false,
            "failSwapOn": false,
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "localStorageCapacityIsolation": false,
            "makeIPTablesUtilChains": false,
            "nodeStatusUpdateFrequency": "5s",
            "podLogsDir": self.path("logs"),
            "resolvConf": "",
            "syncFrequency": "5s",
            "volumePluginDir": self.path("volume-plugins"),
        })
    }
}

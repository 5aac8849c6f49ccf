//! Agents in real pods. As a user would, the lab talks to them through the API server and the kubelet, by `kubectl`.
//!
//! In: a pod that runs the agent's image. Out: the same [`Server`] and [`Client`] as in pods of the lab.

use anyhow::{Context, Result};

use super::AGENT_PROGRAM;
use crate::agent_process::{Agent, Place};
use crate::client::{Client, ClientSpec};
use crate::cluster::{Cluster, program};
use crate::lab::Lab;
use crate::pod_exec::Program;
use crate::server::{Server, ServerReady};

/// `kubectl exec` and `attach` for the pods of a namespace.
pub struct Kubectl<'a> {
    lab: &'a Lab,
    cluster: &'a Cluster,
    namespace: Option<String>,
}

impl<'a> Kubectl<'a> {
    /// For this namespace.
    #[must_use]
    pub fn new(lab: &'a Lab, cluster: &'a Cluster, namespace: &str) -> Self {
        Self { lab, cluster, namespace: Some(namespace.to_owned()) }
    }

    /// As a user who names no namespace: with one on the command line, kubectl refuses objects of any other.
    #[must_use]
    pub fn without_namespace(lab: &'a Lab, cluster: &'a Cluster) -> Self {
        Self { lab, cluster, namespace: None }
    }

    /// A client in a pod's first container, as an additional process.
    pub fn client(&self, pod: &str, spec: &ClientSpec) -> Result<Client> {
        let spec = serde_json::to_string(spec)?;
        let words = ["exec", "--stdin", pod, "--", AGENT_PROGRAM, "client", &spec];
        let agent = self.agent(pod, &words)?;
        let () = agent.receive().with_context(|| format!("the client in pod {pod} did not start"))?;
        Ok(Client { agent })
    }

    /// The server in a pod's first container; the container must have a standard input.
    pub fn server(&self, pod: &str) -> Result<Server> {
        let agent = self.agent(pod, &["attach", "--stdin", "--quiet", pod])?;
        Ok(Server::new(agent, ServerReady { listening: Vec::new() }))
    }

    /// Starts any kubectl command.
    pub fn run(&self, words: &[&str]) -> Result<Program> {
        let command = self.command(words)?;
        Program::new(&self.lab.inner.spawner, &self.place()?, &as_words(&command))
    }

    fn agent(&self, pod: &str, words: &[&str]) -> Result<Agent> {
        let command = self.command(words)?;
        self.lab.inner.spawner.remote(pod, &self.place()?, &as_words(&command))
    }

    fn command(&self, words: &[&str]) -> Result<Vec<String>> {
        let program = program()?.display().to_string();
        let kubeconfig = self.cluster.admin_kubeconfig().display().to_string();
        let mut command = vec![program, "kubectl".to_owned(), format!("--kubeconfig={kubeconfig}")];
        command.extend(self.namespace.iter().map(|namespace| format!("--namespace={namespace}")));
        command.extend(words.iter().map(|&word| word.to_owned()));
        Ok(command)
    }

    fn place(&self) -> Result<Place> {
        Ok(Place {
            netns: Some(self.cluster.node().netns_path()),
            cgroup: Some(self.lab.inner.cgroups.make("outside")?),
            ..Place::default()
        })
    }
}

fn as_words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

//! Checks that the parts of a case fit together: each name that a part uses is there, and what needs a kernel says so.
//!
//! In: a [`Case`]. Out: the first mistake, with the path of its field.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};

use super::{Case, Client, Dns, Names, Resolver, Step};

/// Checks a case.
pub(super) fn validate(case: &Case) -> Result<()> {
    let checker = Checker { case, pods: case.pod_names() };
    for (name, service) in &case.services {
        let known = |pod: &String| checker.knows_pod(pod) || case.pods.contains_key(pod);
        if let Some(unknown) = service.pods.0.iter().find(|pod| !known(pod)) {
            bail!("services.{name}.pods: there is no pod or group `{unknown}`");
        }
    }
    checker.dns("dns", &case.dns)?;
    for (name, client) in &case.clients {
        checker.client(name, client)?;
    }
    checker.steps("steps", &case.steps)?;
    checker.place()
}

impl Case {
    /// The names of all pods that it begins with.
    pub(crate) fn pod_names(&self) -> BTreeSet<String> {
        let listed = self.pods.iter().flat_map(|(name, pod)| match pod.count {
            Some(count) => (0..count).map(|number| format!("{name}-{number}")).collect(),
            None => vec![name.clone()],
        });
        let of_clients = self.clients.iter().filter(|(_, client)| client.pod.is_none());
        listed.chain(of_clients.map(|(name, _)| name.clone())).collect()
    }

    /// All steps, those within others as well.
    fn all_steps(&self) -> Vec<&Step> {
        fn add<'a>(steps: &'a [Step], all: &mut Vec<&'a Step>) {
            for step in steps {
                all.push(step);
                if let Step::Repeat { steps, .. } = step {
                    add(steps, all);
                }
            }
        }
        let mut all = Vec::new();
        add(&self.steps, &mut all);
        all
    }
}

struct Checker<'a> {
    case: &'a Case,
    pods: BTreeSet<String>,
}

impl Checker<'_> {
    fn knows_pod(&self, name: &str) -> bool {
        let is_of_group = |(group, number): (&str, &str)| {
            number.parse::<usize>().is_ok()
                && self.case.pods.get(group).is_some_and(|pod| pod.count.is_some())
        };
        // A step may have made a group larger.
        self.pods.contains(name) || name.rsplit_once('-').is_some_and(is_of_group)
    }

    fn dns(&self, path: &str, dns: &Dns) -> Result<()> {
        let unknown = dns.deaf.iter().find(|pod| !self.knows_pod(pod));
        unknown.map_or(Ok(()), |pod| bail!("{path}.deaf: there is no pod `{pod}`"))
    }

    fn client(&self, name: &str, client: &Client) -> Result<()> {
        if let Some(pod) = &client.pod {
            ensure!(self.knows_pod(pod), "clients.{name}.pod: there is no pod `{pod}`");
        }
        let knows_target = !client.name.is_empty() || !client.addresses.0.is_empty();
        ensure!(
            knows_target || !client.program.is_empty(),
            "clients.{name}: it needs a `name` to look up, `addresses` or a `program`"
        );
        let has_port = client.port > 0 || client.resolver == Resolver::Srv;
        ensure!(has_port || !client.program.is_empty(), "clients.{name}: it needs a `port`");
        Ok(())
    }

    fn steps(&self, path: &str, steps: &[Step]) -> Result<()> {
        for (number, step) in steps.iter().enumerate() {
            self.step(&format!("{path}[{number}]"), step)?;
        }
        Ok(())
    }

    fn step(&self, path: &str, step: &Step) -> Result<()> {
        let clients = |names: &Names| {
            let unknown = names.0.iter().find(|name| !self.case.clients.contains_key(*name));
            unknown.map_or(Ok(()), |name| bail!("{path}: there is no client `{name}`"))
        };
        let pod = |name: &String| {
            ensure!(self.knows_pod(name), "{path}: there is no pod `{name}`");
            Ok(())
        };
        match step {
            Step::Run(names)
            | Step::Start(names)
            | Step::Finish(names)
            | Step::Stop(names)
            | Step::Kill(names) => clients(names),
            Step::Open { client, .. } | Step::Close { client, .. } | Step::Resolve { client, .. } => {
                clients(&Names(vec![client.clone()]))
            }
            Step::Endpoint(endpoint) => pod(&endpoint.pod),
            Step::Serve { pod: name, .. } => pod(name),
            Step::Scale { pods, .. } | Step::Roll { pods, .. } => {
                let is_group = self.case.pods.get(pods).is_some_and(|pod| pod.count.is_some());
                ensure!(is_group, "{path}: there is no group `{pods}`: a group has a `count`");
                Ok(())
            }
            Step::Manifest(change) => {
                let is_whole = change.text.is_some();
                let is_part = change.replace.is_some() && change.by.is_some();
                ensure!(is_whole != is_part, "{path}: give either `text`, or `replace` and `by`");
                let file = &change.file;
                ensure!(self.case.manifests.contains_key(file), "{path}: there is no manifest `{file}`");
                Ok(())
            }
            Step::Expect(expectation) => {
                let names = expectation.clients.keys().chain(expectation.explain.keys());
                names.chain(&expectation.exact.0).try_for_each(|name| self.service(path, name))
            }
            Step::Repeat { steps, .. } => self.steps(&format!("{path}.repeat.steps"), steps),
            Step::Dns(dns) => self.dns(path, dns),
            Step::Wait(_) | Step::Zone(_) | Step::Restart(_) | Step::Clock(_) => Ok(()),
        }
    }

    /// Services of manifests, and those that the daemon learns, are not known here.
    fn service(&self, path: &str, name: &str) -> Result<()> {
        let case = self.case;
        let is_own = |(own, service): (&String, &super::Service)| {
            name.split_once('/') == Some((service.namespace.as_str(), own.as_str()))
        };
        let may_be_elsewhere = case.daemon.topology == super::Topology::Dns || !case.manifests.is_empty();
        ensure!(
            may_be_elsewhere || case.services.iter().any(is_own),
            "{path}: there is no Service `{name}`; a Service is written as NAMESPACE/NAME"
        );
        Ok(())
    }

    /// Whether it says where it can be played.
    fn place(&self) -> Result<()> {
        let case = self.case;
        let both = case.lab_only.is_some() && case.simulation_only.is_some();
        ensure!(!both, "lab_only: nobody can play a case that is `simulation_only` as well");
        let sorts = |client: &Client| {
            let pod = client.pod.as_ref().and_then(|pod| case.pods.get(pod));
            client.resolver == Resolver::Libc && pod.is_some_and(|pod| pod.netmask.unwrap_or(32) < 32)
        };
        let mut needs = Vec::new();
        needs.extend(
            (case.dns.udp_limit > Some(4096)).then_some("dns.udp_limit: more than the kernel copies"),
        );
        needs.extend((!case.daemon.options.is_empty()).then_some("daemon.options"));
        needs.extend(case.pods.values().any(|pod| pod.sidecar.is_some()).then_some("pods: a `sidecar`"));
        needs.extend(case.pods.values().any(|pod| pod.dns_captured).then_some("pods: `dns_captured`"));
        let clients = || case.clients.values();
        needs.extend(clients().any(|client| !client.program.is_empty()).then_some("clients: a `program`"));
        needs.extend(clients().any(sorts).then_some("clients: `libc` in a pod with a `netmask`"));
        if let (Some(what), None) = (needs.first(), &case.lab_only) {
            bail!("{what}: no simulation has that; say so with `lab_only: REASON`");
        }
        let one_machine = case.daemon.also_on.0.is_empty() || case.simulation_only.is_some();
        ensure!(one_machine, "daemon.also_on: the lab has one daemon; say so with `simulation_only: REASON`");
        let sets_clock = case.all_steps().iter().any(|step| matches!(step, Step::Clock(_)));
        ensure!(
            !sets_clock || case.simulation_only.is_some(),
            "steps: only a simulation can set the `clock`; say so with `simulation_only: REASON`"
        );
        Ok(())
    }
}

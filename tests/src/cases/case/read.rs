//! Reads a case.
//!
//! In: the text of `case.yaml`, and the files of its folder. Out: a [`Case`], or an error with the path of the field.

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;

use super::{Case, address, validate};

/// Reads a case; `file` returns the text of a file of its folder.
pub(crate) fn read(text: &str, file: impl Fn(&str) -> Result<String>) -> Result<Case> {
    let mut value: Value =
        serde_saphyr::from_str(text).map_err(|error| anyhow!("unreadable YAML: {error}"))?;
    address::replace(&mut value);
    let mut case: Case = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        anyhow!("{path}: {}", error.into_inner())
    })?;
    for (name, text) in &mut case.manifests {
        if text.is_none() {
            let read = file(name).with_context(|| format!("manifests.{name}"))?;
            *text = Some(address::here(&read));
        }
    }
    validate::validate(&case)?;
    Ok(case)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        let result = read(text, |name| Err(anyhow!("there is no file {name}")));
        format!("{:#}", result.map(drop).unwrap_err())
    }

    const CASE: &str = "
title: one
pods: {orders: {count: 2, addresses: net.1.100, serve: {8080: hold}}}
services: {orders: {port: 8080, pods: orders}}
clients: {web: {name: orders, port: 8080, resolver: libc, connections: 10}}
steps:
- run: web
- expect: {clients: {shop/orders: {web: even}}}
";

    #[test]
    fn a_case_is_read_with_the_addresses_of_the_lab() {
        let case = read(CASE, |_| Ok(String::new())).unwrap();
        assert_eq!(case.pods["orders"].addresses.0[0].to_string(), "10.244.1.100");
        assert_eq!(case.clients["web"].per_lookup, 1);
    }

    #[test]
    fn a_mistake_is_named_with_the_path_of_its_field() {
        for (from, to, path, what) in [
            ("port: 8080, pods", "prot: 8080, pods", "services.orders", "unknown field `prot`"),
            ("run: web", "runn: web", "steps[0]", "unknown variant `runn`"),
            ("web: even", "web: evn", "steps[1]", "\"evn\" is no cause"),
            ("connections: 10", "rate: fast", "clients.web.rate", "invalid type"),
            ("net.1.100", "net.1.1000", "pods.orders.addresses", "is no address"),
            ("run: web", "run: wbe", "steps[0]", "there is no client `wbe`"),
            ("pods: orders}", "pods: oders}", "services.orders.pods", "there is no pod or group `oders`"),
            ("shop/orders: {web", "shop/oders: {web", "steps[1]", "there is no Service `shop/oders`"),
            ("steps:", "manifests: {a.yaml: }\nsteps:", "manifests.a.yaml", "there is no file a.yaml"),
            ("name: orders, ", "", "clients.web", "needs a `name`"),
            ("steps:", "title: two\nsteps:", "unreadable YAML", "title"),
            (
                "steps:",
                "daemon: {options: [--max-flows, '9']}\nsteps:",
                "daemon.options",
                "`lab_only: REASON`",
            ),
        ] {
            let text = CASE.replace(from, to);
            assert_ne!(text, CASE, "{from}");
            let fault = fault(&text);
            assert!(fault.contains(path) && fault.contains(what), "{to}: {fault}");
        }
    }
}

//! Rule about a port that the endpoints do not have. A headless Service maps no ports, so a client that connects to the
//! Service's port fails if the pods listen on another one.

use super::context::RuleContext;
use super::format::{count, thousands};
use crate::expose::snapshot::{Cause, Confidence, OtherPort, Verdict};

/// The client connects to a port that the endpoints do not have, and fails. If it succeeds, the pod listens on more
/// ports than the Service lists, and nothing is wrong. A connection that the other side ends at once is no success: a
/// mesh's proxy accepts every port of the pod.
pub(super) fn port_mismatch(scene: &RuleContext<'_>) -> Option<Verdict> {
    if !dials_in_vain(scene) {
        return None;
    }
    let ports = || in_vain(scene);
    let evidence = ports()
        .map(|port| {
            let tried = count(port.connections, "connection");
            let of_service = if port.of_service { ", which is the Service's port" } else { "" };
            let instead = match port.use_port {
                Some(instead) => format!("the endpoints listen on {instead}"),
                None => "the endpoints do not have that port".to_owned(),
            };
            let (number, failed) = (port.port, thousands(port.failed));
            let how = if port.opened > 0 {
                "were accepted and then ended by the other side without a byte, or failed"
            } else {
                "failed"
            };
            format!("{tried} went to port {number}{of_service}; {instead}; {failed} of them {how}.")
        })
        .collect();
    // A program that listens at a port that is not the Service's may have reasons of its own to end a connection.
    let sure = ports().all(|port| port.use_port.is_some() && (port.opened == 0 || port.of_service));
    let confidence = if sure { Confidence::High } else { Confidence::Medium };
    Some(scene.verdict(Cause::PortMismatch, confidence, evidence))
}

/// Connections and attempts to ports that the endpoints lack, most of which fail, are 1 % or more of all.
pub(super) fn dials_in_vain(scene: &RuleContext<'_>) -> bool {
    scene.is_significant_share(in_vain(scene).map(|port| port.connections).sum())
}

/// Another client's connections to such a port succeed.
pub(super) fn others_connect_there(scene: &RuleContext<'_>) -> bool {
    let mut others = scene.others().flat_map(|other| &other.other_ports);
    others.any(|other| {
        let has_success = other.connections >= 5 && other.failed * 10 <= other.connections;
        has_success && in_vain(scene).any(|own| own.port == other.port)
    })
}

fn in_vain<'a>(scene: &RuleContext<'a>) -> impl Iterator<Item = &'a OtherPort> {
    scene.client.other_ports.iter().filter(|port| port.is_in_vain())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::test_fixtures::Facts;

    #[test]
    fn a_port_dialled_in_vain_is_a_mismatch() {
        // Connections, failed, port to use; other connections; expected.
        let cases = [
            (10, 10, Some(8080), 0, Some(Confidence::High)),
            (10, 6, None, 0, Some(Confidence::Medium)),
            (10, 5, Some(8080), 0, None),
            (10, 0, Some(8080), 0, None),
            (1, 1, Some(8080), 1_000, None),
            (20, 20, Some(8080), 1_000, Some(Confidence::High)),
        ];
        for (connections, failed, use_port, others, expected) in cases {
            let mut facts = Facts::even(3, others);
            facts.client.other_ports =
                vec![OtherPort { port: 80, connections, opened: 0, failed, of_service: true, use_port }];
            let got = port_mismatch(&facts.scene());
            assert_eq!(
                got.as_ref().map(|verdict| verdict.confidence),
                expected,
                "{connections} {failed} {others}"
            );
            if let (Some(verdict), Some(port)) = (got, use_port) {
                assert!(verdict.evidence[0].contains("port 80, which is the Service's port"), "{verdict:?}");
                assert!(
                    verdict.evidence[0].contains("8080") && verdict.fix.unwrap().contains(&port.to_string())
                );
            }
        }
    }

    #[test]
    fn a_port_to_which_others_connect_may_be_closed_to_this_client_alone() {
        let mut facts = Facts::even(3, 0);
        let port = |failed| OtherPort {
            port: 80,
            connections: 20,
            failed,
            of_service: true,
            use_port: Some(8080),
            opened: 0,
        };
        facts.client.other_ports = vec![port(20)];
        let verdict = crate::verdict::judge(&facts.scene()).unwrap();
        assert_eq!((verdict.confidence, verdict.alternatives), (Confidence::High, vec![]));
        let mut other = facts.client.clone();
        (other.workload, other.other_ports) = ("other".to_owned(), vec![port(0)]);
        facts.service.clients = vec![facts.client.clone(), other];
        let verdict = crate::verdict::judge(&facts.scene()).unwrap();
        assert_eq!(
            (verdict.confidence, verdict.alternatives),
            (Confidence::Medium, vec![Cause::CannotConnect])
        );
    }
}

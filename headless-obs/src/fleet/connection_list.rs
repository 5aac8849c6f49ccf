//! Merges the lists of open connections of several nodes: the first ones in the same order.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::Unmergeable;
use super::sums::add;
use crate::expose::connection_list::{ConnectionList, ConnectionQuery, OpenConnection};
use crate::expose::snapshot::{NodeStatus, SCHEMA};
use crate::expose::trace_events::ServiceName;

/// Merges what several nodes answered to one query; `missing` are nodes without an answer. A single list does not change.
///
/// # Errors
///
/// If there is none, or if a node would count twice.
pub fn merge(
    mut lists: Vec<ConnectionList>,
    missing: Vec<NodeStatus>,
    query: &ConnectionQuery,
) -> Result<ConnectionList, Unmergeable> {
    if let [_] = &lists[..]
        && missing.is_empty()
    {
        return lists.pop().ok_or(Unmergeable::Nothing);
    }
    let at = lists.iter().map(|list| list.at).max().ok_or(Unmergeable::Nothing)?;
    let mut merged = ConnectionList {
        schema: SCHEMA.to_owned(),
        node: String::new(),
        at,
        services: Vec::new(),
        order: query.order,
        load: "none".to_owned(),
        open: 0,
        left_out: 0,
        connections: Vec::new(),
        nodes: missing,
    };
    let (mut services, mut names) = (BTreeSet::new(), BTreeSet::new());
    for list in lists {
        if !names.insert(list.node.clone()) {
            return Err(Unmergeable::Twice(list.node));
        }
        if merged.load == "none" {
            merged.load = list.load;
        }
        add(&mut merged.open, list.open);
        services.extend(list.services.into_iter().map(|service| (service.namespace, service.name)));
        let of_node = |row| OpenConnection { node: Some(list.node.clone()), ..row };
        merged.connections.extend(list.connections.into_iter().map(of_node));
        merged.nodes.push(NodeStatus { node: list.node, to: Some(list.at), ..NodeStatus::default() });
    }
    let weight = |row: &OpenConnection| row.reading.map_or(0, |reading| reading.weight(query.order));
    merged.connections.sort_by_key(|row| (Reverse(weight(row)), row.opened));
    merged.connections.truncate(query.limit);
    merged.left_out = merged.open.saturating_sub(merged.connections.len() as u64);
    merged.node = names.into_iter().collect::<Vec<_>>().join(", ");
    let service = |(namespace, name)| ServiceName { namespace, name };
    merged.services = services.into_iter().map(service).collect();
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::connection_list::ConnectionOrder;
    use crate::expose::test_fixtures::{connection_list, connection_query};

    fn list(node: &str, query: &ConnectionQuery) -> ConnectionList {
        ConnectionList { node: node.to_owned(), ..connection_list(query) }
    }

    #[test]
    fn the_first_ones_of_all_nodes_are_the_first_ones() {
        for order in
            [ConnectionOrder::Load, ConnectionOrder::Age, ConnectionOrder::Rtt, ConnectionOrder::Waiting]
        {
            let query = ConnectionQuery { order, limit: 3, ..connection_query() };
            let whole = list("n1", &ConnectionQuery { limit: 1_000, ..query.clone() });
            let all = whole.connections.len() as u64;
            let missing = vec![NodeStatus::missing("n3", "away")];
            let merged = merge(vec![list("n1", &query), list("n2", &query)], missing, &query).unwrap();
            assert_eq!((merged.open, merged.left_out), (2 * whole.open, 2 * whole.open - 3), "{order:?}");
            assert_eq!((merged.services.len(), merged.nodes.len()), (whole.services.len(), 3));
            let first = &whole.connections[0];
            let nodes: Vec<_> = merged.connections.iter().map(|row| row.node.as_deref()).collect();
            assert_eq!(nodes[..2], [Some("n1"), Some("n2")], "{order:?}");
            for row in &merged.connections[..2] {
                assert_eq!(OpenConnection { node: None, ..row.clone() }, *first, "{order:?}");
            }
            assert!(all > 1);
        }
    }

    #[test]
    fn one_list_stays_and_none_counts_twice() {
        let query = connection_query();
        let one = list("n1", &query);
        assert_eq!(merge(vec![one.clone()], Vec::new(), &query), Ok(one.clone()));
        let twice = Err(Unmergeable::Twice("n1".to_owned()));
        assert_eq!(merge(vec![one.clone(), one], Vec::new(), &query), twice);
        assert_eq!(merge(Vec::new(), Vec::new(), &query), Err(Unmergeable::Nothing));
    }

    #[test]
    fn forged_counts_do_not_overflow() {
        let query = connection_query();
        let forged = |node| ConnectionList { open: u64::MAX, ..list(node, &query) };
        let merged = merge(vec![forged("n1"), forged("n2")], Vec::new(), &query).unwrap();
        assert_eq!(merged.open, u64::MAX);
    }
}

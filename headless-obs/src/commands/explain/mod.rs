//! `explain`: one Service: the spread of its clients, the causes, and what to change.

use anyhow::anyhow;
use jiff::Timestamp;
use serde::Serialize;

use super::{Start, one_shot, output};
use crate::cli::{ExplainArgs, Output};
use crate::expose::snapshot::{Quality, SCHEMA, Service, Snapshot};
use crate::expose::zones;
use crate::messages::timeline::{self, TimelineEvent};

pub(super) mod connections;
pub(super) mod render;

/// The output of `-o json`.
#[derive(Debug, Serialize)]
struct Explanation<'a> {
    schema: &'static str,
    node: &'a str,
    from: Timestamp,
    to: Timestamp,
    service: &'a Service,
    quality: &'a Quality,
    timeline: Vec<TimelineEvent>,
}

pub(super) async fn run(args: ExplainArgs, format: Output, start: impl Start) -> anyhow::Result<()> {
    if args.connections {
        return connections::run(args, format, start).await;
    }
    let Some(mut snapshot) = one_shot::snapshot(args.remote, args.duration, args.observe, start).await?
    else {
        return Ok(());
    };
    if let Some(price) = args.zone_price {
        zones::charge(&mut snapshot, price);
    }
    one_shot::only(&mut snapshot, &args.service)?;
    let text = match format {
        Output::Table => render::render(&snapshot, one(&snapshot)?, output::look()),
        Output::Json => output::json(&explanation(&snapshot)?)? + "\n",
    };
    Ok(output::write(text).await?)
}

fn explanation(snapshot: &Snapshot) -> anyhow::Result<Explanation<'_>> {
    let service = one(snapshot)?;
    Ok(Explanation {
        schema: SCHEMA,
        node: &snapshot.node,
        from: snapshot.from,
        to: snapshot.to,
        service,
        quality: &snapshot.quality,
        timeline: timeline::moments(snapshot.from, snapshot.began.unwrap_or(snapshot.from), service),
    })
}

/// Several Services may have the name.
fn one(snapshot: &Snapshot) -> anyhow::Result<&Service> {
    match &snapshot.services[..] {
        [service] => Ok(service),
        _ => Err(ambiguous(&one_shot::names(snapshot))),
    }
}

fn ambiguous(names: &[String]) -> anyhow::Error {
    anyhow!("several Services have that name; give one of them: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures;

    #[test]
    fn the_json_is_of_one_service() {
        let mut snapshot = test_fixtures::snapshot();
        let error = explanation(&snapshot).unwrap_err().to_string();
        assert!(error.ends_with("give one of them: shop/orders, shop/sessions"), "{error}");
        snapshot.services.truncate(1);
        let json = serde_json::to_value(explanation(&snapshot).unwrap()).unwrap();
        assert_eq!(json["schema"], SCHEMA);
        assert_eq!(json["service"]["name"], "orders");
        assert_eq!(json["quality"]["topology"]["source"], "dns");
        let moment = &json["timeline"][0];
        assert_eq!((&moment["event"], &moment["pod"]), (&"ready".into(), &"orders-0".into()));
        assert!(moment["at"].is_string() && moment.get("client").is_none(), "{moment}");
        let timeline = json["timeline"].as_array().unwrap();
        let events: Vec<_> = timeline.iter().filter_map(|moment| moment["event"].as_str()).collect();
        for name in ["began", "removed", "connected_after_removal"] {
            assert!(events.contains(&name), "{name}: {events:?}");
        }
    }
}

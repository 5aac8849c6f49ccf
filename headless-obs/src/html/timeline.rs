//! The events of a Service, in order of time.

use maud::{Markup, html};

use super::moment;
use crate::expose::snapshot::{Service, Snapshot};
use crate::messages::thousands;
use crate::messages::timeline::{cut, moments};

/// The most events; the rest is left out.
const MOMENTS: usize = 40;

pub(super) fn render(snapshot: &Snapshot, service: &Service) -> Markup {
    let began = snapshot.began.unwrap_or(snapshot.from);
    let (shown, left_out) = cut(moments(snapshot.from, began, service), MOMENTS);
    html! {
        details {
            summary {
                "Timeline"
                @if left_out > 0 {
                    ", without " (thousands(left_out.try_into().unwrap_or(u64::MAX))) " less important events"
                }
            }
            ol { @for one in &shown { li { (moment(one.at, snapshot.to)) (one.in_words()) } } }
        }
    }
}

//! The metrics: a [`Scrape`] in, an exposition out, in the requested [`Format`]. Nothing is kept between scrapes, so a
//! series ends with the object that it counts.
//!
//! Invariants: [`table::METRICS`] is the only place with names, help and labels. All formats have the same series. No
//! two series of a family have the same labels: figures of endpoints with the same name are added. Label values are
//! data and may contain any character.

use std::fmt;
use std::sync::Arc;

pub mod cardinality;
mod content_type;
mod histogram_bounds;
#[cfg(feature = "shell")]
pub mod otlp;
mod protobuf;
mod scrape;
pub mod series;
pub mod table;
mod text_format;

pub use content_type::Format;
pub use scrape::Scrape;

use series::{Row, Series};
use table::{METRICS, Metric};

/// The metrics of a scrape.
pub fn encode(scrape: Arc<Scrape>, format: Format) -> Result<Vec<u8>, fmt::Error> {
    match format {
        Format::Protobuf => Ok(protobuf::encode(&scrape)),
        Format::OpenMetrics => text_format::openmetrics(scrape).map(String::into_bytes),
        Format::Plain => text_format::plain(scrape).map(String::into_bytes),
    }
}

/// A family that has series.
struct Family<'a> {
    metric: &'static Metric,
    rows: Vec<Row<'a>>,
}

/// Every family that has series, in the order of the table.
fn gather(scrape: &Scrape) -> impl Iterator<Item = Family<'_>> {
    let mut so_far = 0;
    METRICS.iter().filter_map(move |metric| {
        let mut series = Series::after(so_far);
        (metric.collect)(scrape, &mut series);
        let rows = series.into_rows();
        so_far += rows.len() as u64 * metric.kind.series();
        (!rows.is_empty()).then_some(Family { metric, rows })
    })
}

#[cfg(test)]
mod tests;

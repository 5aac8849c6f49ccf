//! The last lines of the report: the quality of the snapshot.

use super::super::fit_text::wrap;
use super::{Look, paint};
use crate::expose::snapshot::Snapshot;
use crate::messages::quality::lines;

pub(in crate::commands) fn render(text: &mut String, snapshot: &Snapshot, look: Look) {
    for (paint_as, line) in lines(snapshot) {
        for (number, line) in wrap(&line, look.prose() - 2).iter().enumerate() {
            text.push_str(if number == 0 { "" } else { "  " });
            text.push_str(&paint(line, paint_as, look));
            text.push('\n');
        }
    }
}

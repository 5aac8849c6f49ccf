//! The tables in docs/dashboards.md list a panel for each question. They must name existing panels, and every
//! dashboard.

use serde_json::Value;

use super::{panels, text};

/// Errors in the document. In its tables of questions the last two cells are a dashboard and its panels, each panel as
/// `**Title**`.
pub(crate) fn document(dashboards: &[(String, Value)], document: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, dashboard) in dashboards {
        if !document.contains(&format!("`{file}`")) {
            wrong.push(format!("docs/dashboards.md does not mention {file}"));
        }
        if !document.contains(text(dashboard, "uid")) {
            wrong.push(format!("docs/dashboards.md does not name the uid of {file}"));
        }
    }
    let titles: Vec<&str> =
        dashboards.iter().flat_map(|(_, one)| panels(one)).map(|panel| text(panel, "title")).collect();
    for row in document.lines().filter(|line| line.starts_with("| ")) {
        for title in row.split("**").skip(1).step_by(2) {
            if !titles.contains(&title) {
                wrong.push(format!("docs/dashboards.md: there is no panel {title:?}"));
            }
        }
    }
    wrong
}

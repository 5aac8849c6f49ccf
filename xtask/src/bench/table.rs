//! The results as Markdown: machine and method, a column for each tool, the ladders, tools that failed.

use super::input::{Machine, Measured, Step};
use super::metric_labels::{LINES, Line};
use super::statistics::Row;

/// The whole section of the document.
pub(super) fn section(measured: &Measured, rows: &[Row]) -> String {
    let Machine { processors, processor, memory_gib, system, kernel, load } = &measured.machine;
    let mut text = format!(
        "{processors} processors ({processor}), {memory_gib} GiB, {system}, Linux {kernel}; load average at the end {load}. \
         {} run, {} rounds: median (least to most).\n\n",
        if measured.plan == "quick" { "Quick" } else { "Full" },
        measured.rounds,
    );
    text += &figures(rows);
    for (of, title) in [("connections", "Connections a second"), ("answers", "DNS answers a second")] {
        let steps: Vec<&Step> = measured.ladder.iter().filter(|step| step.of == of).collect();
        if !steps.is_empty() {
            text += &format!("\n{}", ladder(title, &steps));
        }
    }
    for (tool, reason) in &measured.failures {
        text += &format!("\nNot measured: {tool} ({reason}).\n");
    }
    text
}

/// A column for each tool, a line for each number that at least one tool has.
fn figures(rows: &[Row]) -> String {
    let mut tools: Vec<&str> = Vec::new();
    for row in rows {
        if !tools.contains(&row.tool.as_str()) {
            tools.push(&row.tool);
        }
    }
    let mut lines = vec![[&["figure"], &tools[..]].concat().into_iter().map(str::to_owned).collect()];
    for line in LINES {
        let cells: Vec<String> = tools.iter().map(|tool| cell(rows, tool, line)).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            lines.push([vec![line.label.to_owned()], cells].concat());
        }
    }
    markdown(&lines)
}

fn cell(rows: &[Row], tool: &str, line: &Line) -> String {
    let Some(row) = rows.iter().find(|row| row.tool == tool && row.metric == line.metric) else {
        return String::new();
    };
    let [median, min, max] =
        [row.median, row.min, row.max].map(|value| number(value * line.factor, line.decimals));
    if min == max { median } else { format!("{median} ({min} to {max})") }
}

fn ladder(title: &str, steps: &[&Step]) -> String {
    let header = [title, "reached", "records lost", "miscounted"].map(str::to_owned).to_vec();
    let line = |step: &&Step| {
        vec![
            step.asked.map_or_else(|| "as many as go".to_owned(), |asked| number(f64::from(asked), 0)),
            number(step.reached, 0),
            step.lost.to_string(),
            step.miscounted.map_or_else(String::new, |count| count.to_string()),
        ]
    };
    markdown(&[vec![header], steps.iter().map(line).collect()].concat())
}

/// A number with separated thousands.
fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let is_zero = digits.chars().all(|digit| matches!(digit, '0' | '.'));
    format!("{}{grouped}{rest}", if is_zero { "" } else { sign })
}

/// Lines of cells, the first one the header; columns are aligned.
fn markdown(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let length = |cell: &String| cell.chars().count();
    let width =
        |column: usize| lines.iter().filter_map(|line| line.get(column)).map(length).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (place, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            text += &format!("| {cell:width$} ");
        }
        text += "|\n";
        if place == 0 {
            widths.iter().for_each(|width| text += &format!("|{}", "-".repeat(width + 2)));
            text += "|\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tool: &str, metric: &str, [min, median, max]: [f64; 3]) -> Row {
        Row {
            tool: tool.to_owned(),
            metric: metric.to_owned(),
            unit: "ns".to_owned(),
            median,
            min,
            max,
            rounds: 3,
        }
    }

    #[test]
    fn tools_are_columns_and_what_nobody_has_is_left_out() {
        let rows = [
            row("nothing", "connect_p50_ns", [30_000.0, 31_000.0, 33_000.0]),
            row("headless-obs", "connect_p50_ns", [31_000.0, 32_500.0, 33_000.0]),
            row("headless-obs", "miscounted", [0.0, 0.0, 0.0]),
        ];
        assert_eq!(
            figures(&rows),
            "| figure                        | nothing             | headless-obs        |\n\
             |-------------------------------|---------------------|---------------------|\n\
             | connect, median, µs           | 31.0 (30.0 to 33.0) | 32.5 (31.0 to 33.0) |\n\
             | connections reported wrong, % |                     | 0.000               |\n"
        );
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(number(1_234_567.0, 0), "1,234,567");
        assert_eq!(number(-1_234.56, 1), "-1,234.6");
        assert_eq!(number(-0.04, 1), "0.0");
        assert_eq!(number(999.0, 0), "999");
    }

    #[test]
    fn a_ladder_has_a_line_for_each_step() {
        let step =
            |asked, reached, miscounted| Step { of: String::new(), asked, reached, lost: 2, miscounted };
        let steps = [step(Some(1_000), 999.9, Some(0)), step(None, 25_000.0, None)];
        let text = ladder("Connections a second", &steps.iter().collect::<Vec<_>>());
        assert!(text.contains("| 1,000                | 1,000   | 2            | 0          |\n"), "{text}");
        assert!(text.contains("| as many as go        | 25,000  | 2            |            |\n"), "{text}");
    }
}

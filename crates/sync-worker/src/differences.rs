//! What a comparison with WHOOP found, for people.

use std::{collections::BTreeMap, fmt::Write as _};

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use serde_json::Value;
use whoop_core::difference::{Cause, Difference};
use whoop_sync::run::{Compared, RunReport};

/// Differences that are listed one by one; the rest is counted.
const MOST_ROWS: usize = 40;

/// Columns of a record that are named; the rest is counted.
const MOST_FIELDS: usize = 3;

/// A longer value is cut.
const LONGEST_VALUE: usize = 24;

pub(crate) fn text(report: &RunReport, compared: &Compared) -> String {
    let mut text = format!(
        "{} record(s) of WHOOP's were compared; {} difference(s)",
        compared.compared, compared.differences
    );
    if compared.dry_run {
        text.push_str(", nothing was changed");
    } else if compared.differences > 0 {
        let _ = write!(text, ", {} of them healed", compared.healed);
    }
    if compared.differences == 0 {
        return text;
    }
    let _ = write!(text, "\n{}\n{}", causes(report), rows(report));
    match report.differences().count().saturating_sub(MOST_ROWS) {
        0 => {}
        more => {
            let _ = write!(text, "\nand {more} more; --json lists them all");
        }
    }
    text
}

fn causes(report: &RunReport) -> Table {
    let mut counts: BTreeMap<Cause, u64> = BTreeMap::new();
    for (_, difference) in report.differences() {
        *counts.entry(difference.cause).or_default() += 1;
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["cause", "differences", "which means"]);
    for (cause, count) in counts {
        table.add_row([cause.as_str(), &count.to_string(), cause.in_words()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn rows(report: &RunReport) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header([
        "member",
        "type",
        "record",
        "day",
        "cause",
        "here → at WHOOP",
    ]);
    for (user_id, one) in report.differences().take(MOST_ROWS) {
        let day = one.local_date.map(|day| day.to_string());
        table.add_row([
            user_id,
            one.data_type.as_str(),
            &one.record_id,
            &day.unwrap_or_default(),
            one.cause.as_str(),
            if one.healed { "yes" } else { "no" },
            &fields(one),
        ]);
    }
    table
}

/// The columns that differ, in one cell.
pub(crate) fn fields(difference: &Difference) -> String {
    let fields = &difference.fields;
    let mut words: Vec<String> = fields
        .iter()
        // That a changed record has another time says nothing more.
        .filter(|field| field.name != "updated_at" || fields.len() == 1)
        .map(|field| {
            let (here, at_whoop) = (value(&field.here), value(&field.at_whoop));
            format!("{} {here} → {at_whoop}", field.name)
        })
        .collect();
    let more = words.len().saturating_sub(MOST_FIELDS);
    words.truncate(MOST_FIELDS);
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}

fn value(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    if text.chars().count() <= LONGEST_VALUE {
        return text;
    }
    let cut: String = text.chars().take(LONGEST_VALUE - 1).collect();
    format!("{cut}…")
}

//! The differences of a reconcile run as text.

use std::{collections::BTreeMap, fmt::Write as _};

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde_json::Value;
use whoop_core::difference::{DifferenceCause, RecordDifference};
use whoop_sync::run::{ComparisonSummary, RunReport};

/// Maximum number of differences in the table; the rest is counted.
const MAX_ROWS: usize = 40;

/// Maximum number of columns per record; the rest is counted.
const MAX_FIELDS: usize = 3;

/// Maximum number of characters of a value.
const MAX_VALUE_LENGTH: usize = 24;

pub(crate) fn text(report: &RunReport, compared: &ComparisonSummary) -> String {
    let mut text = format!(
        "{} record(s) compared with WHOOP; {} difference(s)",
        compared.compared, compared.differences
    );
    if compared.dry_run {
        text.push_str(", nothing was changed");
    } else if compared.differences > 0 {
        let _ = write!(text, ", {} repaired", compared.healed);
    }
    if report.stored.rejected > 0 {
        let _ = write!(
            text,
            "; {} record(s) cannot be stored",
            report.stored.rejected
        );
    }
    if compared.differences == 0 {
        return text;
    }
    let _ = write!(
        text,
        "{}\n{}",
        cause_counts(report),
        difference_table(report)
    );
    match report.differences().count().saturating_sub(MAX_ROWS) {
        0 => {}
        more => {
            let _ = write!(text, "\nand {more} more; --json lists them all");
        }
    }
    text
}

/// Lists the number of differences per cause, each with its meaning.
fn cause_counts(report: &RunReport) -> String {
    let mut counts: BTreeMap<DifferenceCause, u64> = BTreeMap::new();
    for (_, difference) in report.differences() {
        *counts.entry(difference.cause).or_default() += 1;
    }
    let lines = counts
        .iter()
        .map(|(cause, count)| format!("\n  {count} {}: {}", cause.as_str(), cause.description()));
    lines.collect()
}

fn difference_table(report: &RunReport) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header([
        "member",
        "type",
        "record",
        "date",
        "cause",
        "before → after",
    ]);
    for (user_id, one) in report.differences().take(MAX_ROWS) {
        let date = one.local_date.map(|date| date.to_string());
        table.add_row([
            user_id,
            one.data_type.as_str(),
            &one.record_id,
            &date.unwrap_or_default(),
            one.cause.as_str(),
            &changed_fields(one),
        ]);
    }
    table
}

/// Returns the columns that differ, as the text of one cell.
pub(crate) fn changed_fields(difference: &RecordDifference) -> String {
    let fields = &difference.fields;
    let mut words: Vec<String> = fields
        .iter()
        // A newer version always has another `updated_at`, so the column is only shown if it is the
        // only one.
        .filter(|field| field.name != "updated_at" || fields.len() == 1)
        .map(|field| {
            let (before, after) = (short_value(&field.before), short_value(&field.after));
            format!("{} {before} → {after}", field.name)
        })
        .collect();
    let more = words.len().saturating_sub(MAX_FIELDS);
    words.truncate(MAX_FIELDS);
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}

fn short_value(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    if text.chars().count() <= MAX_VALUE_LENGTH {
        return text;
    }
    let cut: String = text.chars().take(MAX_VALUE_LENGTH - 1).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use whoop_core::{DataType, difference::FieldDifference};
    use whoop_storage::page::StoreCounts;
    use whoop_sync::{MemberOutcome, MemberReport, ReconcileFindings};

    use super::*;

    #[test]
    fn the_text_lists_causes_and_fields_and_counts_records_that_cannot_be_stored() {
        let difference = RecordDifference {
            data_type: DataType::Cycle,
            record_id: "93845".to_owned(),
            local_date: "2026-10-20".parse().ok(),
            cause: DifferenceCause::Altered,
            healed: true,
            fields: vec![FieldDifference {
                name: "day_strain".to_owned(),
                before: json!(1.5),
                after: json!(8.25),
            }],
        };
        let compared = ComparisonSummary {
            dry_run: false,
            from: DateTime::UNIX_EPOCH,
            to: None,
            compared: 212,
            differences: 1,
            healed: 1,
        };
        let member = MemberReport {
            user_id: "mara".to_owned(),
            outcome: MemberOutcome::Done,
            types: Vec::new(),
            findings: Some(ReconcileFindings {
                compared: 212,
                differences: vec![difference],
            }),
            error: None,
            user_message: None,
            retry_after_seconds: None,
            reauth_required: false,
            ends_the_run: false,
        };
        let report = RunReport {
            slot: None,
            members: 1,
            fresh: 0,
            left: 0,
            synced: 1,
            failed: 0,
            deferred: 0,
            goes_on_at: None,
            stopped: false,
            calls: 8,
            removed_by_retention: 0,
            clean_up_error: None,
            stored: StoreCounts {
                rejected: 3,
                ..StoreCounts::default()
            },
            comparison: Some(compared),
            reports: vec![member],
        };

        let text = text(&report, &compared);

        for expected in [
            "212 record(s) compared with WHOOP; 1 difference(s), 1 repaired; \
             3 record(s) cannot be stored\n",
            "  1 altered: the same version with other values",
            "day_strain 1.5 → 8.25",
        ] {
            assert!(text.contains(expected), "no {expected:?} in {text}");
        }
    }
}

//! Conversion of a member's stored data to the text of an export: lines of JSON, or one CSV table.

use serde::Serialize;
use serde_json::{Value, json};
use whoop_core::DataType;
use whoop_storage::{
    StorageError,
    export::ExportItem,
    records::{WhoopRecord, columns},
};

use crate::json;

/// Format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportFileFormat {
    /// One JSON object per line, with all data.
    Ndjson,
    /// One row per record, for spreadsheets.
    Csv,
}

/// Columns with free text from WHOOP. In a CSV table, a value in these columns that a spreadsheet
/// would treat as a formula is escaped.
const FREE_TEXT_COLUMNS: [&str; 2] = ["sport_name", "score_state"];

#[derive(Serialize)]
struct RecordLine {
    r#type: DataType,
    local_date: chrono::NaiveDate,
    record: WhoopRecord,
}

/// Converts stored items to the text of an export, and counts the records.
#[derive(Debug)]
pub(crate) struct ExportWriter {
    format: ExportFileFormat,
    columns: Vec<&'static str>,
    whoop_user_id: i64,
    records: u64,
    is_header_written: bool,
}

impl ExportWriter {
    pub(crate) fn new(format: ExportFileFormat) -> Self {
        Self {
            format,
            columns: columns(),
            whoop_user_id: 0,
            records: 0,
            is_header_written: false,
        }
    }

    pub(crate) fn write(&mut self, items: Vec<ExportItem>) -> Result<Vec<u8>, StorageError> {
        for item in &items {
            if let ExportItem::Member(member) = item {
                self.whoop_user_id = member["whoop_user_id"].as_i64().unwrap_or_default();
            }
        }
        match self.format {
            ExportFileFormat::Ndjson => self.write_ndjson(items),
            ExportFileFormat::Csv => self.write_csv(items).map_err(unwritable),
        }
    }

    /// Returns the last line of a complete export. An export without this line was interrupted.
    ///
    /// A CSV table has no such line, so the result is empty.
    pub(crate) fn end_line(&self) -> Vec<u8> {
        match self.format {
            ExportFileFormat::Ndjson => {
                format!("{}\n", json!({"type": "end", "records": self.records})).into()
            }
            ExportFileFormat::Csv => Vec::new(),
        }
    }

    fn write_ndjson(&mut self, items: Vec<ExportItem>) -> Result<Vec<u8>, StorageError> {
        let mut text = Vec::new();
        for item in items {
            let line = match item {
                ExportItem::Record(row) => {
                    self.records += 1;
                    json::to_vec(&RecordLine {
                        r#type: row.data_type(),
                        local_date: row.local_date(),
                        record: row.into_record(self.whoop_user_id)?,
                    })
                }
                ExportItem::Member(value) => json::to_vec(&with_type("member", value)),
                ExportItem::SyncLog(value) => json::to_vec(&with_type("sync_log", value)),
                ExportItem::Rejected(value) => json::to_vec(&with_type("rejected", value)),
                ExportItem::Audit(value) => json::to_vec(&with_type("audit", value)),
            };
            text.extend(line.map_err(|error| unwritable(error.into()))?);
            text.push(b'\n');
        }
        Ok(text)
    }

    fn write_csv(&mut self, items: Vec<ExportItem>) -> Result<Vec<u8>, anyhow::Error> {
        let mut table = csv::Writer::from_writer(Vec::new());
        if !self.is_header_written {
            self.is_header_written = true;
            table.write_field("data_type")?;
            table.write_record(&self.columns)?;
        }
        for item in items {
            let (type_name, row) = match item {
                ExportItem::Record(row) => {
                    self.records += 1;
                    (row.data_type().as_str(), row.to_flat_json()?)
                }
                // These items are not records and have no columns of their own. Their content is
                // written as JSON to the column `extra`.
                ExportItem::Member(value) => ("member", json!({ "extra": value })),
                ExportItem::SyncLog(value) => ("sync_log", json!({ "extra": value })),
                ExportItem::Rejected(value) => ("rejected", json!({ "extra": value })),
                ExportItem::Audit(value) => ("audit", json!({ "extra": value })),
            };
            table.write_field(type_name)?;
            let cells = self
                .columns
                .iter()
                .map(|column| cell(column, &row[*column]));
            table.write_record(cells.collect::<Vec<_>>())?;
        }
        Ok(table
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)?)
    }
}

fn cell(column: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if FREE_TEXT_COLUMNS.contains(&column) => {
            if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
                format!("'{text}")
            } else {
                text.clone()
            }
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn with_type(type_name: &str, mut value: Value) -> Value {
    value["type"] = json!(type_name);
    value
}

fn unwritable(error: anyhow::Error) -> StorageError {
    StorageError::NotSerializable(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_begins_like_a_formula_is_escaped() {
        assert_eq!(
            cell("sport_name", &json!("=HYPERLINK(\"x\")")),
            "'=HYPERLINK(\"x\")"
        );
        assert_eq!(cell("sport_name", &json!("running")), "running");
        assert_eq!(cell("timezone_offset", &json!("-05:00")), "-05:00");
        assert_eq!(cell("need_from_recent_nap_milli", &json!(-5)), "-5");
        assert_eq!(cell("end_time", &Value::Null), "");
    }
}

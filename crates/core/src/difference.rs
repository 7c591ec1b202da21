//! Differences between the stored records and WHOOP's records.
//!
//! The differences are found by storing WHOOP's records and comparing each row before and after
//! this.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::DataType;

/// Stored row of a record: the values by column name, without the columns that WHOOP does not send
/// and this service sets itself.
pub type ColumnValues = Map<String, Value>;

/// Row of a record before and after WHOOP's records were stored; `None` if the row did not exist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowChange {
    pub before: Option<ColumnValues>,
    pub after: Option<ColumnValues>,
}

/// Record that was stored differently from WHOOP's version, was not stored, or no longer exists at
/// WHOOP.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordDifference {
    pub data_type: DataType,
    pub record_id: String,
    /// Date of the day that contains the record, or contained it before the record was removed.
    pub local_date: Option<NaiveDate>,
    pub cause: DifferenceCause,
    /// Whether the difference was removed by storing WHOOP's version; `false` in a dry run.
    pub healed: bool,
    /// Columns with different values. Empty if the record was not stored before, or is not stored
    /// any more.
    pub fields: Vec<FieldDifference>,
}

/// Column that has different values before and after WHOOP's version was stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldDifference {
    pub name: String,
    pub before: Value,
    pub after: Value,
}

/// Cause of a difference; see [`DifferenceCause::description`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceCause {
    Missing,
    Older,
    Altered,
    WrongDate,
    Gone,
}

impl DifferenceCause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Older => "older",
            Self::Altered => "altered",
            Self::WrongDate => "wrong_date",
            Self::Gone => "gone",
        }
    }

    /// Returns an explanation of the cause for the operator.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Missing => "WHOOP has the record and it was not stored",
            Self::Older => "an older version was stored",
            Self::Altered => {
                "the same version with other values, or a version with a time in the future, was stored"
            }
            Self::WrongDate => "the record was assigned to another date",
            Self::Gone => "WHOOP no longer has the record",
        }
    }
}

impl RowChange {
    /// Merges a later change of the same record into this change.
    ///
    /// If the earlier change was rolled back, as in a dry run, the merged change contains the
    /// changed columns of both.
    pub fn merge(&mut self, later: Self) {
        match (&mut self.after, later.before, later.after) {
            (Some(row), Some(before), Some(after)) => {
                let changed = after
                    .into_iter()
                    .filter(|(name, value)| before.get(name) != Some(value));
                row.extend(changed);
            }
            (row, _, after) => *row = after,
        }
    }

    /// Returns the difference between the row before and after the change; `None` if no column
    /// differs.
    ///
    /// `healed` is `false` in a dry run, in which the change was rolled back.
    pub fn difference(
        &self,
        data_type: DataType,
        record_id: &str,
        healed: bool,
    ) -> Option<RecordDifference> {
        let (cause, fields) = match (&self.before, &self.after) {
            (None, None) => return None,
            (None, Some(_)) => (DifferenceCause::Missing, Vec::new()),
            (Some(_), None) => (DifferenceCause::Gone, Vec::new()),
            (Some(before), Some(after)) => {
                let fields = differing_fields(before, after);
                let is_date_field =
                    |field: &FieldDifference| depends_on_date(data_type, &field.name);
                let cause = if fields.is_empty() {
                    return None;
                } else if updated_at(before) < updated_at(after) {
                    DifferenceCause::Older
                } else if fields.iter().all(is_date_field) {
                    DifferenceCause::WrongDate
                } else {
                    DifferenceCause::Altered
                };
                (cause, fields)
            }
        };
        let row = self.after.as_ref().or(self.before.as_ref());
        Some(RecordDifference {
            data_type,
            record_id: record_id.to_owned(),
            local_date: row.and_then(shown_date),
            cause,
            healed,
            fields,
        })
    }
}

/// Returns whether a column contains the date of a record or is derived from the date.
///
/// The UTC offset of a recovery is such a column, because the offset is copied from the recovery's
/// night.
fn depends_on_date(data_type: DataType, column: &str) -> bool {
    match column {
        "local_date" | "night_date" | "in_others" => true,
        "timezone_offset" => data_type == DataType::Recovery,
        _ => false,
    }
}

fn differing_fields(before: &ColumnValues, after: &ColumnValues) -> Vec<FieldDifference> {
    let columns = after.iter().map(|(name, value)| FieldDifference {
        name: name.clone(),
        before: before.get(name).cloned().unwrap_or_default(),
        after: value.clone(),
    });
    columns
        .filter(|field| field.before != field.after)
        .collect()
}

fn updated_at(row: &ColumnValues) -> Option<DateTime<Utc>> {
    row.get("updated_at")?.as_str()?.parse().ok()
}

/// Returns the date of the day that contains the record of a row.
fn shown_date(row: &ColumnValues) -> Option<NaiveDate> {
    let dates = ["night_date", "local_date"].into_iter();
    dates
        .filter_map(|name| row.get(name)?.as_str()?.parse().ok())
        .next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Creates the row of a record that WHOOP last changed at this hour.
    fn row(hour: u32, columns: &Value) -> Option<ColumnValues> {
        let mut row = json!({"updated_at": format!("2026-10-20T{hour:02}:00:00+00:00"), "local_date": "2026-10-20"});
        let row = row.as_object_mut().unwrap();
        row.extend(columns.as_object().unwrap().clone());
        Some(row.clone())
    }

    fn cause(
        data_type: DataType,
        before: Option<ColumnValues>,
        after: Option<ColumnValues>,
    ) -> Option<DifferenceCause> {
        let change = RowChange { before, after };
        change.difference(data_type, "1", true).map(|one| one.cause)
    }

    #[test]
    fn a_row_on_one_side_only_is_missing_or_gone() {
        let stored = row(9, &json!({}));

        let missing = cause(DataType::Sleep, None, stored.clone());
        assert_eq!(missing, Some(DifferenceCause::Missing));
        let gone = cause(DataType::Sleep, stored.clone(), None);
        assert_eq!(gone, Some(DifferenceCause::Gone));
        assert_eq!(cause(DataType::Sleep, stored.clone(), stored), None);
    }

    #[test]
    fn an_older_version_is_older_whatever_else_differs() {
        let before = row(8, &json!({"local_date": "2026-10-19"}));
        let after = row(9, &json!({"local_date": "2026-10-20"}));

        assert_eq!(
            cause(DataType::Cycle, before, after),
            Some(DifferenceCause::Older)
        );
    }

    #[test]
    fn versions_are_compared_as_instants() {
        let at = |text: &str| row(0, &json!({"updated_at": text}));
        let earlier = at("2026-10-20T09:59:59.5+00:00");
        let later = at("2026-10-20T12:00:00+02:00");

        assert_eq!(
            cause(DataType::Cycle, earlier, later),
            Some(DifferenceCause::Older)
        );
    }

    #[test]
    fn a_replaced_version_from_the_future_is_altered() {
        let (before, after) = (row(10, &json!({})), row(9, &json!({})));

        assert_eq!(
            cause(DataType::Cycle, before, after),
            Some(DifferenceCause::Altered)
        );
    }

    #[test]
    fn the_same_version_was_altered_unless_only_its_date_differs() {
        let cause = |data_type, columns: &[&str]| {
            let with = |value: &str| {
                let columns = columns
                    .iter()
                    .map(|name| ((*name).to_owned(), json!(value)));
                row(9, &columns.collect::<ColumnValues>().into())
            };
            cause(data_type, with("here"), with("at WHOOP")).unwrap()
        };

        for column in ["local_date", "night_date", "in_others"] {
            assert_eq!(
                cause(DataType::Sleep, &[column]),
                DifferenceCause::WrongDate
            );
        }
        let both = ["local_date", "nap"];
        assert_eq!(cause(DataType::Sleep, &both), DifferenceCause::Altered);
        let offset = ["local_date", "timezone_offset"];
        assert_eq!(cause(DataType::Sleep, &offset), DifferenceCause::Altered);
        assert_eq!(
            cause(DataType::Recovery, &offset),
            DifferenceCause::WrongDate
        );
    }

    #[test]
    fn the_fields_are_the_differing_columns_and_the_date_is_that_of_the_day() {
        let change = RowChange {
            before: row(9, &json!({"nap": false, "night_date": null})),
            after: row(9, &json!({"nap": false, "night_date": "2026-10-21"})),
        };

        let difference = change.difference(DataType::Sleep, "1", false).unwrap();

        let field = FieldDifference {
            name: "night_date".to_owned(),
            before: Value::Null,
            after: json!("2026-10-21"),
        };
        assert_eq!(difference.fields, [field]);
        let date = NaiveDate::from_ymd_opt(2026, 10, 21);
        assert_eq!((difference.local_date, difference.healed), (date, false));
    }

    #[test]
    fn two_changes_merge_into_one_from_the_first_row_to_the_last() {
        let rows = [1, 2, 3].map(|strain| row(9, &json!({"strain": strain})));
        let [first, second, third] = rows;
        let change = |before: &Option<ColumnValues>, after: &Option<ColumnValues>| RowChange {
            before: before.clone(),
            after: after.clone(),
        };
        let merged = |earlier: &RowChange, later: RowChange| {
            let mut merged = earlier.clone();
            merged.merge(later);
            merged
        };
        let stored = change(&first, &second);

        let twice = merged(&stored, change(&second, &third));
        assert_eq!(twice, change(&first, &third));
        let removed = merged(&stored, change(&second, &None));
        assert_eq!(removed, change(&first, &None));
        let back = merged(&stored, change(&second, &first));
        assert_eq!(back.difference(DataType::Cycle, "1", true), None);
        let inserted = change(&None, &first);
        assert_eq!(merged(&inserted, inserted.clone()), inserted);
    }

    #[test]
    fn changes_that_were_rolled_back_add_their_columns() {
        let stored = row(8, &json!({"strain": 1, "in_others": true}));
        let mut change = RowChange {
            before: stored.clone(),
            after: row(9, &json!({"strain": 2, "in_others": true})),
        };
        change.merge(RowChange {
            before: stored,
            after: row(8, &json!({"strain": 1, "in_others": false})),
        });

        let after = row(9, &json!({"strain": 2, "in_others": false}));
        assert_eq!(change.after, after);
    }
}

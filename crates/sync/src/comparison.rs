//! What is stored, compared with what WHOOP has, record by record.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use whoop_core::{
    DataType, UserId,
    coverage::Coverage,
    difference::{Cause, Difference, Field, Read as LastRead},
    record::Rejected,
};
use whoop_storage::{
    StorageError, Transaction,
    compare::{self, Compared, Moved},
    page::{self, Stored},
    remove::Removed,
    table::RecordTable,
};

use crate::window::Read;

/// How many records were compared, and what was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Findings {
    pub compared: u64,
    pub differences: Vec<Difference>,
}

impl Findings {
    /// Differences that are none any more.
    pub fn healed(&self) -> u64 {
        self.differences.iter().filter(|one| one.healed).count() as u64
    }
}

impl std::ops::AddAssign for Findings {
    fn add_assign(&mut self, other: Self) {
        self.compared += other.compared;
        self.differences.extend(other.differences);
    }
}

/// A comparison under way, of one type of one member.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// Finds, and changes nothing.
    pub(crate) dry_run: bool,
    /// What had been read before.
    coverage: Coverage,
    /// A page may be read twice, where the list moved.
    seen: BTreeSet<String>,
    pub(crate) findings: Findings,
}

impl Comparison {
    pub(crate) fn new(coverage: Coverage, dry_run: bool) -> Self {
        Self {
            dry_run,
            coverage,
            seen: BTreeSet::new(),
            findings: Findings::default(),
        }
    }

    fn note(&mut self, data_type: DataType, compared: Vec<Compared>) {
        for one in compared {
            let is_new = self.seen.insert(one.id.clone());
            self.findings.compared += u64::from(is_new);
            if let Some(difference) = self.difference(data_type, &one).filter(|_| is_new) {
                self.findings.differences.push(difference);
            }
        }
    }

    /// What differs between a row and the record that WHOOP has, if anything does.
    fn difference(&self, data_type: DataType, compared: &Compared) -> Option<Difference> {
        let read = self.last_read(compared.happened_at);
        let (cause, fields, is_healed) = match (&compared.before, &compared.after) {
            (_, None) => (Cause::Unreadable, Vec::new(), false),
            (_, Some(after)) if after.updated_at < compared.updated_at => {
                (Cause::Unreadable, Vec::new(), false)
            }
            (None, Some(_)) => {
                let cause = Cause::of_missing(read, compared.was_set_aside, compared.created_at);
                (cause, Vec::new(), true)
            }
            (Some(before), Some(after)) => {
                if after.updated_at > compared.updated_at {
                    (Cause::NewerHere, Vec::new(), false)
                } else if before.updated_at > compared.updated_at {
                    // It claimed to be of a time to come, which is given no credit.
                    let fields = fields(&before.values, &after.values);
                    (Cause::NewerHere, fields, true)
                } else {
                    let fields = fields(&before.values, &after.values);
                    if fields.is_empty() {
                        return None;
                    }
                    let names = fields.iter().map(|field| field.name.as_str());
                    let cause =
                        Cause::of_changed(read, before.updated_at, compared.updated_at, names);
                    (cause, fields, true)
                }
            }
        };
        let row = compared.after.as_ref().or(compared.before.as_ref());
        Some(Difference {
            data_type,
            record_id: compared.id.clone(),
            local_date: row.map(|row| row.local_date),
            cause,
            healed: is_healed && !self.dry_run,
            fields,
        })
    }

    fn last_read(&self, happened_at: DateTime<Utc>) -> LastRead {
        let is_covered = self.coverage.contains(happened_at, happened_at);
        match self.coverage.last_sync_at.filter(|_| is_covered) {
            Some(read_at) => LastRead::At(read_at),
            None => LastRead::Never,
        }
    }

    /// Days of other types that followed from what was stored.
    fn note_moved(&mut self, moved: Vec<Moved>) {
        for one in moved {
            self.findings.differences.push(Difference {
                data_type: one.data_type,
                record_id: one.id,
                local_date: Some(one.to),
                cause: Cause::WrongDay,
                healed: !self.dry_run,
                fields: vec![Field {
                    name: "local_date".to_owned(),
                    here: one.from.to_string().into(),
                    at_whoop: one.to.to_string().into(),
                }],
            });
        }
    }

    fn note_unreadable(&mut self, rejected: &[Rejected]) {
        for one in rejected {
            let record_id = one
                .record_id
                .clone()
                .unwrap_or_else(|| "unknown".to_owned());
            self.findings.compared += 1;
            self.findings.differences.push(Difference {
                data_type: one.data_type,
                record_id,
                local_date: None,
                cause: Cause::Unreadable,
                healed: false,
                fields: Vec::new(),
            });
        }
    }

    /// WHOOP does not list a record that is here, and gives it by its id.
    pub(crate) fn note_unlisted(&mut self, data_type: DataType, id: &str) {
        if self
            .findings
            .differences
            .iter()
            .any(|one| one.record_id == id)
        {
            return;
        }
        self.findings.differences.push(Difference {
            data_type,
            record_id: id.to_owned(),
            local_date: None,
            cause: Cause::Unlisted,
            healed: false,
            fields: Vec::new(),
        });
    }

    /// WHOOP no longer has these.
    pub(crate) fn note_gone(&mut self, data_type: DataType, removed: &[Removed]) {
        // What a sleep takes along is found by itself where nothing leaves.
        let found = removed
            .iter()
            .filter(|one| !self.dry_run || one.data_type == data_type);
        for one in found {
            self.findings.differences.push(Difference {
                data_type: one.data_type,
                record_id: one.id.clone(),
                local_date: Some(one.local_date),
                cause: Cause::Deleted,
                healed: !self.dry_run,
                fields: Vec::new(),
            });
        }
    }
}

/// The columns in which two versions of a row differ.
fn fields(here: &Map<String, Value>, at_whoop: &Map<String, Value>) -> Vec<Field> {
    let differing = at_whoop
        .iter()
        .filter(|(name, value)| here.get(*name) != Some(*value));
    differing
        .map(|(name, value)| Field {
            name: name.clone(),
            here: here.get(name).cloned().unwrap_or(Value::Null),
            at_whoop: value.clone(),
        })
        .collect()
}

impl Read {
    /// Stores what WHOOP answered, within the caller's transaction, and compares
    /// it where that is what it was read for.
    pub(crate) async fn keep<R: RecordTable>(
        &mut self,
        transaction: &mut Transaction,
        user_id: &UserId,
        records: &[R],
        rejected: &[Rejected],
        now: DateTime<Utc>,
    ) -> Result<Stored, StorageError> {
        let stored = match &mut self.comparison {
            None => page::store(transaction, user_id, records, rejected, now).await?,
            Some(comparison) => {
                let found = compare::store(transaction, user_id, records, rejected, now).await?;
                comparison.note(R::DATA_TYPE, found.compared);
                comparison.note_moved(found.moved);
                comparison.note_unreadable(rejected);
                found.stored
            }
        };
        if !self.is_dry() {
            self.stored += stored;
        }
        Ok(stored)
    }
}

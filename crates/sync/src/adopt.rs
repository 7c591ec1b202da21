//! Imports the members of the legacy service (the Python service that this one replaces).
//!
//! For each member, the import stores the connection to WHOOP and the complete WHOOP records that
//! the legacy service had stored. Members do not have to connect again if WHOOP still accepts their
//! tokens.

use std::collections::BTreeMap;
use std::sync::Arc;
use whoop_core::Clock;
use whoop_storage::Database;
use whoop_storage::seal::TokenKeys;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use whoop_client::SCOPES;
use whoop_core::{
    DataType, UserId,
    day::ConnectionStatus,
    quota::PriorityClass,
    record::{self, Cycle, Record, Recovery, Sleep, Workout},
};
use whoop_storage::{
    StorageError,
    legacy::{LegacyAccount, LegacyRecord, LegacyTables},
    page,
    table::{
        RecordTable, adopted, sync_log,
        tokens::{self, OAuthTokens},
        users::{self, NewUser, UNKNOWN_ACCOUNT},
    },
};

use crate::{MemberLeases, SyncContext, SyncError};

/// Maximum number of records that are stored in one transaction.
const RECORDS_PER_TRANSACTION: usize = 200;

/// Outcome of importing one member of the legacy service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AdoptionOutcome {
    /// The member is connected and does not have to connect again.
    Connected,
    /// The imported tokens are missing or unusable, so the member has to connect again. The
    /// member's records are stored.
    ReauthRequired,
    /// The member had disconnected in the legacy service, and is stored as disconnected. The
    /// member's records are stored.
    Disconnected,
    /// An earlier import stored the member, so this import changes nothing.
    Already,
    /// The import of the member is postponed, because the quota is used up, the import was stopped
    /// or a temporary error occurred. The next import continues with this member.
    PutOff,
    /// Nothing can be imported: the legacy service has no tokens of an active connection, and
    /// neither the member's row nor a record names the member's WHOOP account.
    Nothing,
    /// The import of the member failed; [`MemberAdoption::error`] contains the reason.
    Failed,
}

/// Result of importing one member of the legacy service.
#[derive(Debug, Clone, Serialize)]
pub struct MemberAdoption {
    pub user_id: String,
    pub outcome: AdoptionOutcome,
    /// Number of complete WHOOP records that the legacy service had of the member, by data type.
    /// Includes the records that are counted in `unchanged` and `set_aside`.
    pub records: BTreeMap<&'static str, u64>,
    /// Number of complete records that this service had already stored in the same or a newer
    /// version.
    pub unchanged: u64,
    /// Number of complete records that were not stored but set aside, because they belong to
    /// another WHOOP account or PostgreSQL rejected them.
    pub set_aside: u64,
    /// Number of legacy rows that lack a complete WHOOP record, by data type, or under `unknown` if
    /// the data type is unknown. A sync reads these records from WHOOP again.
    pub read_again: BTreeMap<&'static str, u64>,
    pub error: Option<String>,
}

/// Result of importing all members of the legacy service; see [`LegacyImport::adopt`].
#[derive(Debug, Default, Serialize)]
pub struct AdoptReport {
    pub dry_run: bool,
    pub members: Vec<MemberAdoption>,
    /// Number of rows of the legacy service that belong to no member and are not imported.
    pub of_nobody: i64,
    pub calls: u64,
    pub stopped: bool,
}

/// The complete records of one member in the legacy tables, and the number of rows without a
/// complete record (`read_again`).
#[derive(Debug, Default)]
struct AdoptableRecords {
    cycles: Vec<Cycle>,
    sleeps: Vec<Sleep>,
    recoveries: Vec<Recovery>,
    workouts: Vec<Workout>,
    read_again: BTreeMap<&'static str, u64>,
}

/// Imports the members of the legacy service, with their connections and their complete records.
#[derive(Debug, Clone)]
pub struct LegacyImport {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) leases: Arc<MemberLeases>,
}

impl LegacyImport {
    /// Imports all members of the legacy service, except those whom an earlier call has imported.
    /// `on_member_done` receives the result of each member.
    ///
    /// The tokens of a member are stored before they are sent to WHOOP. A refresh of these tokens
    /// is therefore an ordinary refresh, and WHOOP's answer is never lost. If `dry_run` is true,
    /// nothing is written and WHOOP is not called.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable. Members who were imported before the error remain imported.
    pub async fn adopt(
        &self,
        dry_run: bool,
        stop: CancellationToken,
        mut on_member_done: impl FnMut(&MemberAdoption),
    ) -> Result<AdoptReport, StorageError> {
        let legacy_tables = LegacyTables::find(&self.database).await?;
        let context =
            SyncContext::scheduled(None, stop.clone()).with_class(PriorityClass::Scheduled);
        let mut report = AdoptReport {
            dry_run,
            ..AdoptReport::default()
        };
        if legacy_tables.is_empty() {
            return Ok(report);
        }
        report.of_nobody = legacy_tables.count_ownerless_rows(&self.database).await?;
        for account in legacy_tables.accounts(&self.database).await? {
            if stop.is_cancelled() {
                report.stopped = true;
                break;
            }
            let adoption = self
                .adopt_member(&legacy_tables, &account, dry_run, &context)
                .await?;
            on_member_done(&adoption);
            report.members.push(adoption);
        }
        report.calls = context.calls();
        Ok(report)
    }

    async fn adopt_member(
        &self,
        legacy_tables: &LegacyTables,
        account: &LegacyAccount,
        dry_run: bool,
        context: &SyncContext,
    ) -> Result<MemberAdoption, StorageError> {
        let mut adoption = MemberAdoption {
            user_id: account.user_id.clone(),
            outcome: AdoptionOutcome::Failed,
            records: BTreeMap::new(),
            unchanged: 0,
            set_aside: 0,
            read_again: BTreeMap::new(),
            error: None,
        };
        let user_id: UserId = match account.user_id.parse() {
            Ok(user_id) => user_id,
            Err(error) => {
                adoption.error = Some(format!("invalid user id: {error}"));
                return Ok(adoption);
            }
        };
        {
            let mut conn = self.database.get().await?;
            if adopted::is_adopted(&mut conn, &user_id).await? {
                adoption.outcome = AdoptionOutcome::Already;
                return Ok(adoption);
            }
        }
        let mut found = self
            .find_legacy_records(legacy_tables, account, account.whoop_user_id)
            .await?;
        let whoop_user_id = account.whoop_user_id.or_else(|| found.whoop_user_id());
        if whoop_user_id != account.whoop_user_id {
            // The records have now revealed the member's WHOOP user id, and some rows can only be
            // found by this id.
            found = self
                .find_legacy_records(legacy_tables, account, whoop_user_id)
                .await?;
        }
        adoption.read_again.clone_from(&found.read_again);
        let has_tokens = account.is_active
            && (account.access_token.is_some() || account.refresh_token.is_some());
        if whoop_user_id.is_none() && !has_tokens {
            adoption.outcome = AdoptionOutcome::Nothing;
            return Ok(adoption);
        }
        if dry_run {
            adoption.records = found.count_by_type();
            adoption.outcome = expected_outcome(account);
            return Ok(adoption);
        }
        let account = LegacyAccount {
            whoop_user_id,
            ..account.clone()
        };
        match self
            .adopt_account(&user_id, &account, &found, context, &mut adoption)
            .await
        {
            Ok(outcome) => adoption.outcome = outcome,
            Err(SyncError::Storage(error)) if error.is_database_wide() => return Err(error),
            Err(error) => {
                adoption.error = Some(error.error_chain());
                if error.quota_wait().is_some()
                    || error.is_transient()
                    || matches!(error, SyncError::Stopped)
                {
                    adoption.outcome = AdoptionOutcome::PutOff;
                }
            }
        }
        Ok(adoption)
    }

    async fn find_legacy_records(
        &self,
        legacy_tables: &LegacyTables,
        account: &LegacyAccount,
        whoop_user_id: Option<i64>,
    ) -> Result<AdoptableRecords, StorageError> {
        let raw = legacy_tables
            .raw_records(&self.database, &account.user_id, whoop_user_id)
            .await?;
        Ok(AdoptableRecords::from_raw(&raw))
    }

    async fn adopt_account(
        &self,
        user_id: &UserId,
        account: &LegacyAccount,
        found: &AdoptableRecords,
        context: &SyncContext,
        adoption: &mut MemberAdoption,
    ) -> Result<AdoptionOutcome, SyncError> {
        self.insert_legacy_connection(user_id, account).await?;
        let member = self.load_member(user_id).await?;
        let mut outcome = match member.connection() {
            ConnectionStatus::Connected => AdoptionOutcome::Connected,
            ConnectionStatus::ReauthRequired => AdoptionOutcome::ReauthRequired,
            ConnectionStatus::Disconnected | ConnectionStatus::NeverConnected => {
                AdoptionOutcome::Disconnected
            }
        };
        if outcome == AdoptionOutcome::Connected {
            outcome = self
                .verify_legacy_tokens(&member, user_id, context, adoption)
                .await?;
        }
        let mut stored = page::StoreCounts::default();
        // A recovery takes its local date from its sleep, and a sleep may take its local date from
        // its cycle. Therefore cycles are stored first, then sleeps, then recoveries. Any other
        // order leads to the same dates in the end.
        stored += self.store_legacy_records(user_id, &found.cycles).await?;
        stored += self.store_legacy_records(user_id, &found.sleeps).await?;
        stored += self
            .store_legacy_records(user_id, &found.recoveries)
            .await?;
        stored += self.store_legacy_records(user_id, &found.workouts).await?;
        adoption.records = found.count_by_type();
        adoption.unchanged = stored.unchanged;
        adoption.set_aside = stored.rejected;
        let records: u64 = adoption.records.values().sum();
        let mut conn = self.database.get().await?;
        let records = i64::try_from(records).unwrap_or(i64::MAX);
        adopted::note_adopted(&mut conn, user_id, records, self.clock.now()).await?;
        Ok(outcome)
    }

    async fn load_member(&self, user_id: &UserId) -> Result<users::UserRow, SyncError> {
        let mut conn = self.database.get().await?;
        let member = users::find(&mut conn, user_id).await?;
        member.ok_or_else(|| StorageError::MemberGone(user_id.to_string()).into())
    }

    /// Stores the member's row and their sealed tokens in one transaction. Changes nothing if the
    /// member is already stored, because the stored tokens are newer than those of the legacy
    /// service.
    async fn insert_legacy_connection(
        &self,
        user_id: &UserId,
        account: &LegacyAccount,
    ) -> Result<(), SyncError> {
        let now = self.clock.now();
        let (status, detail) = match expected_outcome(account) {
            AdoptionOutcome::Connected => ("connected", None),
            AdoptionOutcome::ReauthRequired => (
                "reauth_required",
                Some("the legacy service had no token of this member"),
            ),
            _ => ("disconnected", None),
        };
        let member = NewUser {
            user_id: user_id.to_string(),
            whoop_user_id: account.whoop_user_id.unwrap_or(UNKNOWN_ACCOUNT),
            status,
            status_detail: detail.map(str::to_owned),
            connected_at: now,
            disconnected_at: (status == "disconnected").then_some(now),
            updated_at: now,
            unidentified_pair: (status == "connected").then(Uuid::new_v4),
        };
        let mut transaction = self.database.begin().await?;
        if !users::insert(&mut transaction, &member).await? {
            transaction.rollback().await?;
            return Ok(());
        }
        if status == "connected" {
            let tokens = legacy_tokens(account, now);
            tokens::upsert(&mut transaction, &self.keys, user_id, &tokens, now).await?;
            let not_granted = DataType::not_granted(&tokens.scope);
            sync_log::note_not_granted(&mut transaction, user_id, &not_granted).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Requests the member's profile from WHOOP with the imported tokens. The answer shows whether
    /// the tokens work, and to which WHOOP account they belong.
    ///
    /// Returns whether the member is connected or has to connect again.
    async fn verify_legacy_tokens(
        &self,
        member: &users::UserRow,
        user_id: &UserId,
        context: &SyncContext,
        adoption: &mut MemberAdoption,
    ) -> Result<AdoptionOutcome, SyncError> {
        let Some(pair) = member.unidentified_pair else {
            return Ok(AdoptionOutcome::Connected);
        };
        // If the legacy service knew the WHOOP account, a refused profile is no obstacle. The first
        // sync will show whether the tokens work.
        let is_known = member.whoop_user_id != UNKNOWN_ACCOUNT;
        let checked = match self.leases.fetch_account(user_id, pair, context).await {
            Err(error) if is_known && error.is_profile_refused() => {
                adoption.error = Some(error.error_chain());
                let mut conn = self.database.get().await?;
                users::end_identification(&mut conn, user_id, pair).await?;
                return Ok(AdoptionOutcome::Connected);
            }
            checked => checked,
        };
        match checked {
            Ok(()) => Ok(AdoptionOutcome::Connected),
            Err(SyncError::ReauthRequired) => Ok(AdoptionOutcome::ReauthRequired),
            Err(error) => {
                adoption.error = Some(error.error_chain());
                let Some(detail) = unusable_tokens_reason(&error) else {
                    return Err(error);
                };
                let mut conn = self.database.get().await?;
                let (status, now) = (ConnectionStatus::ReauthRequired, self.clock.now());
                users::set_status(&mut conn, user_id, status, Some(detail), now).await?;
                Ok(AdoptionOutcome::ReauthRequired)
            }
        }
    }

    async fn store_legacy_records<R: RecordTable>(
        &self,
        user_id: &UserId,
        records: &[R],
    ) -> Result<page::StoreCounts, SyncError> {
        let mut stored = page::StoreCounts::default();
        for records in records.chunks(RECORDS_PER_TRANSACTION) {
            let mut transaction = self.database.begin().await?;
            stored +=
                page::store(&mut transaction, user_id, records, &[], self.clock.now()).await?;
            transaction.commit().await?;
        }
        Ok(stored)
    }
}

/// Returns the reason for which tokens cannot be used although WHOOP accepts them; `None` if the
/// error has another cause.
const fn unusable_tokens_reason(error: &SyncError) -> Option<&'static str> {
    match error {
        SyncError::OtherAccount => {
            Some("the tokens of the legacy service belong to another WHOOP account")
        }
        error if error.is_profile_refused() => Some(
            "WHOOP refused the profile, so the account of the legacy service's tokens is unknown",
        ),
        _ => None,
    }
}

/// Returns the outcome to expect from the data of the legacy service, before WHOOP is asked.
fn expected_outcome(account: &LegacyAccount) -> AdoptionOutcome {
    let has_token = account.access_token.is_some() || account.refresh_token.is_some();
    match (account.is_active, has_token) {
        (false, _) => AdoptionOutcome::Disconnected,
        (true, false) => AdoptionOutcome::ReauthRequired,
        (true, true) => AdoptionOutcome::Connected,
    }
}

fn legacy_tokens(account: &LegacyAccount, now: DateTime<Utc>) -> OAuthTokens {
    // If the expiry of the access token is unknown, the token counts as expired. The refresh then
    // shows whether the tokens still work.
    let expires_at = account
        .expires_at
        .filter(|_| account.access_token.is_some());
    OAuthTokens {
        access_token: account
            .access_token
            .clone()
            .unwrap_or_else(|| SecretString::from("")),
        refresh_token: account.refresh_token.clone(),
        scope: account.scope.clone().unwrap_or_else(|| SCOPES.to_owned()),
        expires_at: expires_at.unwrap_or(now),
    }
}

impl AdoptableRecords {
    fn from_raw(raw: &[LegacyRecord]) -> Self {
        let mut found = Self::default();
        for one in raw {
            let is_complete = found.add_raw(one);
            if !is_complete {
                let name = one.data_type.map_or("unknown", DataType::as_str);
                *found.read_again.entry(name).or_default() += 1;
            }
        }
        found
    }

    /// Adds the records in one row of the legacy tables. Returns whether the row contains at least
    /// one record and all its records are complete.
    fn add_raw(&mut self, raw: &LegacyRecord) -> bool {
        let Some(text) = &raw.text else { return false };
        let Ok(records) = parse_records(text) else {
            return false;
        };
        let results = records
            .iter()
            .map(|record| self.add_record(record, raw.data_type));
        results.fold(!records.is_empty(), |all_added, added| all_added & added)
    }

    fn add_record(&mut self, raw: &RawValue, known: Option<DataType>) -> bool {
        match known.or_else(|| detect_data_type(raw)) {
            Some(DataType::Cycle) => push_parsed(&mut self.cycles, raw),
            Some(DataType::Sleep) => push_parsed(&mut self.sleeps, raw),
            Some(DataType::Recovery) => push_parsed(&mut self.recoveries, raw),
            Some(DataType::Workout) => push_parsed(&mut self.workouts, raw),
            None => false,
        }
    }

    fn count_by_type(&self) -> BTreeMap<&'static str, u64> {
        let distinct = |ids: Vec<String>| {
            let ids: std::collections::BTreeSet<String> = ids.into_iter().collect();
            ids.len() as u64
        };
        let counts = [
            (DataType::Cycle, distinct(record_ids(&self.cycles))),
            (DataType::Sleep, distinct(record_ids(&self.sleeps))),
            (DataType::Recovery, distinct(record_ids(&self.recoveries))),
            (DataType::Workout, distinct(record_ids(&self.workouts))),
        ];
        counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(data_type, count)| (data_type.as_str(), count))
            .collect()
    }

    /// Returns the WHOOP user id that most of the records have; `None` if there are no records.
    fn whoop_user_id(&self) -> Option<i64> {
        let mut votes: BTreeMap<i64, usize> = BTreeMap::new();
        let whoop_user_ids = (self.cycles.iter().map(Record::whoop_user_id))
            .chain(self.sleeps.iter().map(Record::whoop_user_id))
            .chain(self.recoveries.iter().map(Record::whoop_user_id))
            .chain(self.workouts.iter().map(Record::whoop_user_id));
        for whoop_user_id in whoop_user_ids {
            *votes.entry(whoop_user_id).or_default() += 1;
        }
        votes
            .into_iter()
            .max_by_key(|(_, votes)| *votes)
            .map(|(whoop_user_id, _)| whoop_user_id)
    }
}

fn record_ids<R: Record>(records: &[R]) -> Vec<String> {
    records.iter().map(Record::id).collect()
}

fn push_parsed<R: Record>(records: &mut Vec<R>, raw: &RawValue) -> bool {
    match record::parse_record(raw) {
        Ok(record) => {
            records.push(record);
            true
        }
        Err(_) => false,
    }
}

/// Splits the text of a legacy row into raw JSON records. The text is a single record, a list of
/// records, or a page in WHOOP's format.
fn parse_records(text: &str) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct LegacyRecordPage {
        records: Vec<Box<RawValue>>,
    }
    match text.trim_start().chars().next() {
        Some('[') => serde_json::from_str(text),
        _ => match serde_json::from_str::<LegacyRecordPage>(text) {
            Ok(page) => Ok(page.records),
            Err(_) => serde_json::from_str(text).map(|record| vec![record]),
        },
    }
}

/// Detects the data type of a record by the fields that only this data type has; `None` if the
/// fields match no data type.
fn detect_data_type(raw: &RawValue) -> Option<DataType> {
    let record: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(raw.get()).ok()?;
    let has = |name: &str| record.contains_key(name);
    if has("nap") {
        Some(DataType::Sleep)
    } else if has("sport_name") || has("sport_id") {
        Some(DataType::Workout)
    } else if has("sleep_id") && has("cycle_id") {
        Some(DataType::Recovery)
    } else if has("id") && has("start") && has("score_state") {
        Some(DataType::Cycle)
    } else {
        None
    }
}

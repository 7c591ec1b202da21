//! Members of an older service taken over: their connection, and the whole records of
//! WHOOP that it kept. Nobody has to connect again.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use whoop_client::SCOPES;
use whoop_core::{
    DataType, UserId,
    day::Connection,
    quota::PriorityClass,
    record::{self, Cycle, Record, Recovery, Sleep, Workout},
};
use whoop_storage::{
    StorageError, page,
    predecessor::{Account, LeftBehind, Raw},
    table::{
        RecordTable, adopted, sync_log,
        tokens::{self, Tokens},
        users::{self, NewUser, UNKNOWN_ACCOUNT},
    },
};

use crate::{Engine, Job, SyncError};

/// Records that are stored in one transaction.
const AT_ONCE: usize = 200;

/// What became of a member of the older service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Adopted {
    /// Connected, and WHOOP took the tokens.
    Connected,
    /// WHOOP no longer takes the tokens, or there were none: the member has to connect
    /// again. Their records are here.
    ReauthRequired,
    /// Had disconnected, and stays so. Their records are here.
    Disconnected,
    /// Was taken over by a run before, and is left alone.
    Already,
    /// The quota is spent or WHOOP does not answer: the next run goes on.
    PutOff,
    /// Neither a token nor a whole record is left of them.
    Nothing,
    /// Could not be taken over; the error says why.
    Failed,
}

/// One member, taken over or not.
#[derive(Debug, Clone, Serialize)]
pub struct Adoption {
    pub user_id: String,
    pub outcome: Adopted,
    /// Whole records that are stored now, by type.
    pub records: BTreeMap<&'static str, u64>,
    /// Of them, those that were stored before in this version or a newer one.
    pub unchanged: u64,
    /// Whole records that belong to somebody else or that PostgreSQL refused: set aside.
    pub set_aside: u64,
    /// Rows without a whole record of WHOOP, by type where it is known: to be read again.
    pub read_again: BTreeMap<&'static str, u64>,
    pub error: Option<String>,
}

/// What [`Engine::adopt`] came to.
#[derive(Debug, Default, Serialize)]
pub struct AdoptReport {
    pub dry_run: bool,
    pub members: Vec<Adoption>,
    /// Rows that name no member.
    pub of_nobody: i64,
    pub calls: u64,
    pub stopped: bool,
}

/// The whole records of a member, and what was none.
#[derive(Debug, Default)]
struct Found {
    cycles: Vec<Cycle>,
    sleeps: Vec<Sleep>,
    recoveries: Vec<Recovery>,
    workouts: Vec<Workout>,
    read_again: BTreeMap<&'static str, u64>,
}

impl Engine {
    /// Takes everybody over who is not here yet. Twice changes nothing.
    ///
    /// The tokens are sealed first and shown to WHOOP afterwards, so that a refresh
    /// goes the way of every refresh: what WHOOP gives in return is never lost. With
    /// `dry_run` nothing is written and WHOOP is not asked.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away. What was taken over until then stays.
    pub async fn adopt(
        &self,
        dry_run: bool,
        stop: CancellationToken,
        mut told: impl FnMut(&Adoption),
    ) -> Result<AdoptReport, StorageError> {
        let left_behind = LeftBehind::look(&self.database).await?;
        let job = Job::scheduled(None, stop.clone()).of(PriorityClass::Scheduled);
        let mut report = AdoptReport {
            dry_run,
            ..AdoptReport::default()
        };
        if left_behind.is_empty() {
            return Ok(report);
        }
        report.of_nobody = left_behind.of_nobody(&self.database).await?;
        for account in left_behind.accounts(&self.database).await? {
            if stop.is_cancelled() {
                report.stopped = true;
                break;
            }
            let adoption = self
                .adopt_one(&left_behind, &account, dry_run, &job)
                .await?;
            told(&adoption);
            report.members.push(adoption);
        }
        report.calls = job.calls();
        Ok(report)
    }

    async fn adopt_one(
        &self,
        left_behind: &LeftBehind,
        account: &Account,
        dry_run: bool,
        job: &Job,
    ) -> Result<Adoption, StorageError> {
        let mut adoption = Adoption {
            user_id: account.user_id.clone(),
            outcome: Adopted::Failed,
            records: BTreeMap::new(),
            unchanged: 0,
            set_aside: 0,
            read_again: BTreeMap::new(),
            error: None,
        };
        let user_id: UserId = match account.user_id.parse() {
            Ok(user_id) => user_id,
            Err(error) => {
                adoption.error = Some(format!("its id is none: {error}"));
                return Ok(adoption);
            }
        };
        {
            let mut conn = self.database.get().await?;
            if adopted::is_there(&mut conn, &user_id).await? {
                adoption.outcome = Adopted::Already;
                return Ok(adoption);
            }
        }
        let mut found = self
            .found(left_behind, account, account.whoop_user_id)
            .await?;
        let number = account.whoop_user_id.or_else(|| found.whoop_user_id());
        if number != account.whoop_user_id {
            // Now that their number is known, what names them by that alone.
            found = self.found(left_behind, account, number).await?;
        }
        adoption.read_again.clone_from(&found.read_again);
        let has_tokens = account.is_active
            && (account.access_token.is_some() || account.refresh_token.is_some());
        if number.is_none() && !has_tokens {
            adoption.outcome = Adopted::Nothing;
            return Ok(adoption);
        }
        if dry_run {
            adoption.records = found.counts();
            adoption.outcome = standing(account);
            return Ok(adoption);
        }
        match self
            .take_over(&user_id, account, number, &found, job, &mut adoption)
            .await
        {
            Ok(outcome) => adoption.outcome = outcome,
            Err(SyncError::Storage(error)) if error.is_everybodys() => return Err(error),
            Err(error) => {
                adoption.error = Some(error.in_full());
                if error.quota_wait().is_some()
                    || error.is_transient()
                    || matches!(error, SyncError::Stopped)
                {
                    adoption.outcome = Adopted::PutOff;
                }
            }
        }
        Ok(adoption)
    }

    async fn found(
        &self,
        left_behind: &LeftBehind,
        account: &Account,
        number: Option<i64>,
    ) -> Result<Found, StorageError> {
        let raw = left_behind
            .raw(&self.database, &account.user_id, number)
            .await?;
        Ok(Found::among(&raw))
    }

    async fn take_over(
        &self,
        user_id: &UserId,
        account: &Account,
        number: Option<i64>,
        found: &Found,
        job: &Job,
        adoption: &mut Adoption,
    ) -> Result<Adopted, SyncError> {
        self.put_connection(user_id, account, number).await?;
        let member = self.member(user_id).await?;
        let mut outcome = match member.connection() {
            Connection::Connected => Adopted::Connected,
            Connection::ReauthRequired => Adopted::ReauthRequired,
            Connection::Disconnected | Connection::NeverConnected => Adopted::Disconnected,
        };
        if outcome == Adopted::Connected {
            outcome = self.check_tokens(&member, user_id, job, adoption).await?;
        }
        let mut stored = page::Stored::default();
        // A recovery's day is its night's, and a night's may be its cycle's: in this
        // order each finds what it needs, and in any other they settle in the end.
        stored += self.keep_whole(user_id, &found.cycles).await?;
        stored += self.keep_whole(user_id, &found.sleeps).await?;
        stored += self.keep_whole(user_id, &found.recoveries).await?;
        stored += self.keep_whole(user_id, &found.workouts).await?;
        adoption.records = found.counts();
        adoption.unchanged = stored.unchanged;
        adoption.set_aside = stored.rejected;
        let records: u64 = adoption.records.values().sum();
        let mut conn = self.database.get().await?;
        let records = i64::try_from(records).unwrap_or(i64::MAX);
        adopted::note(&mut conn, user_id, records, self.clock.now()).await?;
        Ok(outcome)
    }

    async fn member(&self, user_id: &UserId) -> Result<users::UserRow, SyncError> {
        let mut conn = self.database.get().await?;
        let member = users::find(&mut conn, user_id).await?;
        member.ok_or_else(|| StorageError::MemberGone(user_id.to_string()).into())
    }

    /// The member's row and their tokens, sealed, in one transaction. Whoever is here
    /// already stays as they are: their tokens are younger.
    async fn put_connection(
        &self,
        user_id: &UserId,
        account: &Account,
        number: Option<i64>,
    ) -> Result<(), SyncError> {
        let now = self.clock.now();
        let (status, detail) = match standing(account) {
            Adopted::Connected => ("connected", None),
            Adopted::ReauthRequired => (
                "reauth_required",
                Some("the older service had no token of this member"),
            ),
            _ => ("disconnected", None),
        };
        let member = NewUser {
            user_id: user_id.to_string(),
            whoop_user_id: number.unwrap_or(UNKNOWN_ACCOUNT),
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
            let tokens = tokens_of(account, now);
            tokens::put(&mut transaction, &self.keys, user_id, &tokens, now).await?;
            let not_granted = DataType::not_granted(&tokens.scope);
            sync_log::note_not_granted(&mut transaction, user_id, &not_granted).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Asks WHOOP for the profile, which shows that the tokens work and names their account.
    async fn check_tokens(
        &self,
        member: &users::UserRow,
        user_id: &UserId,
        job: &Job,
        adoption: &mut Adoption,
    ) -> Result<Adopted, SyncError> {
        let Some(pair) = member.unidentified_pair else {
            return Ok(Adopted::Connected);
        };
        // The legacy service knew the account: its first sync shows whether the tokens work.
        let is_known = member.whoop_user_id != UNKNOWN_ACCOUNT;
        let checked = match self.ask_for_account(user_id, pair, job).await {
            Err(error) if is_known && error.is_profile_refused() => {
                adoption.error = Some(error.in_full());
                let mut conn = self.database.get().await?;
                users::end_identification(&mut conn, user_id, pair).await?;
                return Ok(Adopted::Connected);
            }
            checked => checked,
        };
        match checked {
            Ok(()) => Ok(Adopted::Connected),
            Err(SyncError::ReauthRequired) => Ok(Adopted::ReauthRequired),
            Err(error) => {
                adoption.error = Some(error.in_full());
                let Some(detail) = useless(&error) else {
                    return Err(error);
                };
                let mut conn = self.database.get().await?;
                let (status, now) = (Connection::ReauthRequired, self.clock.now());
                users::set_status(&mut conn, user_id, status, Some(detail), now).await?;
                Ok(Adopted::ReauthRequired)
            }
        }
    }

    async fn keep_whole<R: RecordTable>(
        &self,
        user_id: &UserId,
        records: &[R],
    ) -> Result<page::Stored, SyncError> {
        let mut stored = page::Stored::default();
        for records in records.chunks(AT_ONCE) {
            let mut transaction = self.database.begin().await?;
            stored +=
                page::store(&mut transaction, user_id, records, &[], self.clock.now()).await?;
            transaction.commit().await?;
        }
        Ok(stored)
    }
}

/// Reason that tokens are useless although WHOOP accepts them.
const fn useless(error: &SyncError) -> Option<&'static str> {
    match error {
        SyncError::OtherAccount => Some("the older service's tokens were of another WHOOP account"),
        error if error.is_profile_refused() => {
            Some("WHOOP does not say whose the older service's tokens are")
        }
        _ => None,
    }
}

/// How a member stands by what the older service knew.
fn standing(account: &Account) -> Adopted {
    let has_token = account.access_token.is_some() || account.refresh_token.is_some();
    match (account.is_active, has_token) {
        (false, _) => Adopted::Disconnected,
        (true, false) => Adopted::ReauthRequired,
        (true, true) => Adopted::Connected,
    }
}

fn tokens_of(account: &Account, now: DateTime<Utc>) -> Tokens {
    // One whose end is not known is taken for over: a refresh says for certain.
    let expires_at = account
        .expires_at
        .filter(|_| account.access_token.is_some());
    Tokens {
        access_token: account
            .access_token
            .clone()
            .unwrap_or_else(|| SecretString::from("")),
        refresh_token: account.refresh_token.clone(),
        scope: account.scope.clone().unwrap_or_else(|| SCOPES.to_owned()),
        expires_at: expires_at.unwrap_or(now),
    }
}

impl Found {
    fn among(raw: &[Raw]) -> Self {
        let mut found = Self::default();
        for one in raw {
            let whole = found.take(one);
            if !whole {
                let name = one.data_type.map_or("unknown", DataType::as_str);
                *found.read_again.entry(name).or_default() += 1;
            }
        }
        found
    }

    /// Whether everything in it was a whole record, and there was one.
    fn take(&mut self, raw: &Raw) -> bool {
        let Some(text) = &raw.text else { return false };
        let Ok(records) = records_in(text) else {
            return false;
        };
        let all = records
            .iter()
            .map(|record| self.take_record(record, raw.data_type));
        all.fold(!records.is_empty(), |all, one| all & one)
    }

    fn take_record(&mut self, raw: &RawValue, known: Option<DataType>) -> bool {
        match known.or_else(|| type_of(raw)) {
            Some(DataType::Cycle) => push(&mut self.cycles, raw),
            Some(DataType::Sleep) => push(&mut self.sleeps, raw),
            Some(DataType::Recovery) => push(&mut self.recoveries, raw),
            Some(DataType::Workout) => push(&mut self.workouts, raw),
            None => false,
        }
    }

    fn counts(&self) -> BTreeMap<&'static str, u64> {
        let distinct = |ids: Vec<String>| {
            let ids: std::collections::BTreeSet<String> = ids.into_iter().collect();
            ids.len() as u64
        };
        let counts = [
            (DataType::Cycle, distinct(ids(&self.cycles))),
            (DataType::Sleep, distinct(ids(&self.sleeps))),
            (DataType::Recovery, distinct(ids(&self.recoveries))),
            (DataType::Workout, distinct(ids(&self.workouts))),
        ];
        counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(data_type, count)| (data_type.as_str(), count))
            .collect()
    }

    /// WHOOP's number of the member, by most of their records.
    fn whoop_user_id(&self) -> Option<i64> {
        let mut votes: BTreeMap<i64, usize> = BTreeMap::new();
        let numbers = (self.cycles.iter().map(Record::whoop_user_id))
            .chain(self.sleeps.iter().map(Record::whoop_user_id))
            .chain(self.recoveries.iter().map(Record::whoop_user_id))
            .chain(self.workouts.iter().map(Record::whoop_user_id));
        for number in numbers {
            *votes.entry(number).or_default() += 1;
        }
        votes
            .into_iter()
            .max_by_key(|(_, votes)| *votes)
            .map(|(number, _)| number)
    }
}

fn ids<R: Record>(records: &[R]) -> Vec<String> {
    records.iter().map(Record::id).collect()
}

fn push<R: Record>(records: &mut Vec<R>, raw: &RawValue) -> bool {
    match record::read(raw) {
        Ok(record) => {
            records.push(record);
            true
        }
        Err(_) => false,
    }
}

/// The records of a text: one, a list of them, or a page as WHOOP sends it.
fn records_in(text: &str) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Page {
        records: Vec<Box<RawValue>>,
    }
    match text.trim_start().chars().next() {
        Some('[') => serde_json::from_str(text),
        _ => match serde_json::from_str::<Page>(text) {
            Ok(page) => Ok(page.records),
            Err(_) => serde_json::from_str(text).map(|record| vec![record]),
        },
    }
}

/// What a record is of, by what only its type has.
fn type_of(raw: &RawValue) -> Option<DataType> {
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

//! A member's history, from the newest to the oldest.
//!
//! Each page is a walk of its own and one transaction with the log, so it goes
//! on wherever it was stopped, by whomever.

use chrono::{DateTime, Utc};
use futures::future::join_all;
use whoop_core::{
    DataType, UserId,
    coverage::Coverage,
    plan::{self, Reason, Window},
    quota::PriorityClass,
};
use whoop_storage::table::users;

use crate::{Engine, Job, MemberReport, SyncError, member::Errand, window::Read};

impl Engine {
    /// Reads a member's history back to `from`, or to their first record. What
    /// was never read at all is read up to the present first.
    ///
    /// # Errors
    ///
    /// Only what concerns no single type, such as a database that is away.
    pub async fn back_fill(
        &self,
        user_id: &UserId,
        job: &Job,
        from: Option<DateTime<Utc>>,
    ) -> Result<MemberReport, SyncError> {
        let coverage = self.coverage(user_id).await?;
        let never_read: Vec<DataType> = coverage
            .iter()
            .filter(|one| one.covered_from.is_none())
            .map(|one| one.data_type)
            .collect();
        let mut report = if never_read.is_empty() {
            MemberReport::of(user_id, Vec::new())
        } else {
            let errand = Errand {
                reason: Reason::NeverRead,
                data_types: never_read,
                ..Errand::of_everything()
            };
            self.sync_member(user_id, job, &errand).await?
        };
        report.and(self.history(user_id, job, &DataType::ALL, from).await);
        Ok(report)
    }

    /// Goes on with the history of these types, a page of each at a time, back to
    /// `from`, or to the first record. Between two rounds the member is free for
    /// whoever wants them.
    pub(crate) async fn history(
        &self,
        user_id: &UserId,
        job: &Job,
        data_types: &[DataType],
        from: Option<DateTime<Utc>>,
    ) -> MemberReport {
        let job = job.of(PriorityClass::Backfill).waiting_for_others();
        let mut rounds = Rounds::new(data_types);
        let ended = async {
            let back_to = self.not_before(user_id, from).await?;
            // No turn, and no leave of the quota, for what is complete.
            let coverage = self.coverage(user_id).await?;
            let now = self.clock.now();
            let is_left = |one: &Coverage| plan::history(one, back_to, now).is_some();
            let is_granted = |data_type| coverage.iter().any(|known| known.data_type == data_type);
            rounds.left.retain(|one| is_granted(one.data_type));
            for known in coverage.iter().filter(|one| !is_left(one)) {
                rounds.left.retain(|one| one.data_type != known.data_type);
                if data_types.contains(&known.data_type) {
                    rounds.done.push((known.data_type, Read::default(), Ok(())));
                }
            }
            while !rounds.left.is_empty() {
                let turn = self.take_turn(user_id, &job).await?;
                let round = self
                    .history_round(user_id, &turn.job, back_to, &mut rounds)
                    .await;
                self.end_turn(turn).await?;
                round?;
            }
            Ok(())
        };
        let ended: Result<(), SyncError> = ended.await;
        let mut types = Vec::new();
        for (data_type, read, ended) in rounds.all() {
            types.push(self.report(user_id, data_type, read, ended).await);
        }
        let mut report = MemberReport::of(user_id, types);
        // What came between two rounds is no failure of what was read.
        if let Err(error) = ended {
            report.and(MemberReport::of_error(user_id, &error));
        }
        report
    }

    /// Where reading back ends, which is `from` at the earliest: what is not kept is
    /// not read.
    pub(crate) async fn not_before(
        &self,
        user_id: &UserId,
        from: Option<DateTime<Utc>>,
    ) -> Result<Option<DateTime<Utc>>, SyncError> {
        let mut conn = self.database.get().await?;
        let member = users::find(&mut conn, user_id).await?;
        let timezone_offset = member.and_then(|member| member.timezone_offset);
        Ok(self.kept_from(timezone_offset.as_deref()).max(from))
    }

    /// One page of each type whose history is not complete. The caller holds the
    /// lease.
    async fn history_round(
        &self,
        user_id: &UserId,
        job: &Job,
        back_to: Option<DateTime<Utc>>,
        rounds: &mut Rounds,
    ) -> Result<(), SyncError> {
        let coverage = self.coverage(user_id).await?;
        let now = self.clock.now();
        rounds.left.retain_mut(|one| {
            let known = coverage
                .iter()
                .find(|known| known.data_type == one.data_type);
            // A page that brought nothing older would be asked for ever.
            let known = known.filter(|known| one.before.as_ref() != Some(*known));
            one.window = known.and_then(|known| plan::history(known, back_to, now));
            one.before = known.cloned();
            let is_left = one.window.is_some();
            if !is_left {
                let read = std::mem::take(&mut one.read);
                rounds.done.push((one.data_type, read, Ok(())));
            }
            is_left
        });
        let ended = join_all(rounds.left.iter_mut().map(async |one| {
            match one.window {
                Some(window) => {
                    self.read_type(user_id, job, one.data_type, window, false, &mut one.read)
                        .await
                }
                None => Ok(()),
            }
        }))
        .await;
        for (one, ended) in std::mem::take(&mut rounds.left).into_iter().zip(ended) {
            match ended {
                Ok(()) => rounds.left.push(one),
                // The page is read in the next round.
                Err(SyncError::Yielded) => rounds.left.push(History {
                    before: None,
                    ..one
                }),
                Err(error) => rounds.done.push((one.data_type, one.read, Err(error))),
            }
        }
        Ok(())
    }
}

/// Histories that are read side by side.
struct Rounds {
    left: Vec<History>,
    done: Vec<(DataType, Read, Result<(), SyncError>)>,
}

/// One type's history, as far as it has come.
struct History {
    data_type: DataType,
    read: Read,
    /// What was covered before the last page.
    before: Option<Coverage>,
    window: Option<Window>,
}

impl Rounds {
    fn new(data_types: &[DataType]) -> Self {
        let left = data_types.iter().map(|data_type| History {
            data_type: *data_type,
            read: Read::default(),
            before: None,
            window: None,
        });
        Self {
            left: left.collect(),
            done: Vec::new(),
        }
    }

    /// Every type with how it ended; those that are left go on another time.
    fn all(self) -> impl Iterator<Item = (DataType, Read, Result<(), SyncError>)> {
        let left = self.left.into_iter();
        self.done
            .into_iter()
            .chain(left.map(|one| (one.data_type, one.read, Ok(()))))
    }
}

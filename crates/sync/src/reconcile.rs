//! Reads a span of a member's records again from WHOOP, stores it, and reports each record that
//! this changes.

use chrono::{DateTime, Utc};
use whoop_core::{DataType, UserId, plan::Window};

use crate::{
    Engine, Findings, Job, MemberReport, Outcome, SyncError, TypeReport, comparison::Comparison,
    window::Read,
};

/// Sleeps first: they decide the dates of cycles and recoveries.
const ORDER: [DataType; 4] = [
    DataType::Sleep,
    DataType::Cycle,
    DataType::Recovery,
    DataType::Workout,
];

/// The span to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconcile {
    pub from: DateTime<Utc>,
    /// Up to the present if not given.
    pub until: Option<DateTime<Utc>>,
    /// Reports differences and changes nothing.
    pub dry_run: bool,
}

impl Engine {
    /// Compares a member's records with WHOOP's, and makes them equal.
    ///
    /// # Errors
    ///
    /// Only what concerns no single type, such as a database that is away.
    pub async fn reconcile_member(
        &self,
        user_id: &UserId,
        job: &Job,
        reconcile: &Reconcile,
    ) -> Result<MemberReport, SyncError> {
        let mut report = MemberReport::of(user_id, Vec::new());
        let mut job = job.clone();
        let coverage = self.coverage(user_id).await?;
        let is_granted = |one: &DataType| coverage.iter().any(|known| known.data_type == *one);
        for data_type in ORDER.into_iter().filter(is_granted) {
            let compared = self.reconcile_type(user_id, &job, data_type, reconcile);
            match compared.await {
                Ok(one) => report.and(MemberReport::of(user_id, vec![one])),
                Err(SyncError::Busy) if report.types.is_empty() => return Err(SyncError::Busy),
                // What was compared before is told all the same.
                Err(error) => {
                    report.and(MemberReport::of_error(user_id, &error));
                    break;
                }
            }
            job = job.waiting_for_others();
            if report.ends_the_run || report.reauth_required || report.outcome == Outcome::Stopped {
                break;
            }
        }
        let comparisons = report
            .types
            .iter_mut()
            .filter_map(|one| one.comparison.take());
        report.findings = Some(Findings::join(comparisons, reconcile.dry_run));
        Ok(report)
    }

    async fn reconcile_type(
        &self,
        user_id: &UserId,
        job: &Job,
        data_type: DataType,
        reconcile: &Reconcile,
    ) -> Result<TypeReport, SyncError> {
        let mut read = Read {
            comparison: Some(Comparison {
                dry_run: reconcile.dry_run,
                ..Comparison::default()
            }),
            ..Read::default()
        };
        let now = self.clock.now();
        let end = reconcile.until.map_or(now, |until| until.min(now));
        // What is not kept is not brought back, and is no difference.
        let from = self.not_before(user_id, Some(reconcile.from)).await?;
        let window = Window {
            must_reach: from.unwrap_or(reconcile.from),
            end,
        };
        let mut job = job.clone();
        loop {
            let turn = self.take_turn(user_id, &job).await?;
            let ended = async {
                if !reconcile.dry_run {
                    read.signal_at = self.note_attempt(user_id, data_type).await?.signal_at;
                }
                self.read_type(user_id, &turn.job, data_type, window, end == now, &mut read)
                    .await
            };
            let ended = ended.await;
            self.end_turn(turn).await?;
            if matches!(ended, Err(SyncError::Yielded)) {
                // The app request is answered first; then the window is read again.
                job = job.waiting_for_others();
                continue;
            }
            return Ok(self.report(user_id, data_type, read, ended).await);
        }
    }
}

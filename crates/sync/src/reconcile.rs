//! A span of a member's records, read again from WHOOP and compared with what is
//! stored, record by record.

use chrono::{DateTime, Utc};
use whoop_core::{DataType, UserId, coverage::Coverage, difference::Difference, plan::Window};

use crate::{
    Engine, Job, MemberReport, Outcome, SyncError, TypeReport, comparison::Comparison, window::Read,
};

/// Sleeps first: they decide the days of cycles and recoveries.
const ORDER: [DataType; 4] = [
    DataType::Sleep,
    DataType::Cycle,
    DataType::Recovery,
    DataType::Workout,
];

/// What to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconcile {
    pub from: DateTime<Utc>,
    /// Up to the present if not given.
    pub until: Option<DateTime<Utc>>,
    /// Finds differences, and changes nothing.
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
        each_with_its_type(&mut report.types);
        Ok(report)
    }

    async fn reconcile_type(
        &self,
        user_id: &UserId,
        job: &Job,
        data_type: DataType,
        reconcile: &Reconcile,
    ) -> Result<TypeReport, SyncError> {
        let turn = self.take_turn(user_id, job, 1).await?;
        let coverage = self.coverage(user_id).await?;
        let known = coverage.iter().find(|one| one.data_type == data_type);
        let known = known.cloned().unwrap_or(Coverage::none(data_type));
        let mut read = Read {
            comparison: Some(Comparison::new(known, reconcile.dry_run)),
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
        let ended = async {
            if !reconcile.dry_run {
                self.note_attempt(user_id, data_type).await?;
            }
            self.read_type(user_id, &turn.job, data_type, window, end == now, &mut read)
                .await
        };
        let ended = ended.await;
        self.end_turn(turn).await?;
        Ok(self.report(user_id, data_type, read, ended).await)
    }
}

/// A difference may be found while another type is read: the day of a cycle with
/// its sleep, a recovery that left with its night. Each is told once, with its type.
fn each_with_its_type(types: &mut [TypeReport]) {
    let mut elsewhere = Vec::new();
    for one in types.iter_mut() {
        let Some(findings) = &mut one.findings else {
            continue;
        };
        let (own, others) = std::mem::take(&mut findings.differences)
            .into_iter()
            .partition(|difference| difference.data_type == one.data_type);
        findings.differences = own;
        elsewhere.extend::<Vec<_>>(others);
    }
    for difference in elsewhere {
        // The last one, where the quota ended it before its own was read.
        let own = types
            .iter()
            .position(|one| one.data_type == difference.data_type)
            .unwrap_or(types.len() - 1);
        let Some(findings) = types.get_mut(own).and_then(|one| one.findings.as_mut()) else {
            continue;
        };
        let is_same = |one: &Difference| one.record_id == difference.record_id;
        if !findings.differences.iter().any(is_same) {
            findings.differences.push(difference);
        }
    }
}

//! A span of a member's records, read again from WHOOP and compared with what is
//! stored, record by record.

use chrono::{DateTime, Utc};
use whoop_core::{DataType, UserId, difference::Difference, plan::Window};

use crate::{
    Engine, Job, MemberReport, SyncError, TypeReport, comparison::Comparison, vanished::EDGE,
    window::Read,
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
        let lease = self.take_lease(user_id, job).await?;
        let report = self.reconcile_leased(user_id, job, reconcile).await;
        lease.release().await?;
        report
    }

    async fn reconcile_leased(
        &self,
        user_id: &UserId,
        job: &Job,
        reconcile: &Reconcile,
    ) -> Result<MemberReport, SyncError> {
        let coverage = self.coverage(user_id).await?;
        let mut types: Vec<TypeReport> = Vec::new();
        for data_type in ORDER {
            let Some(known) = coverage.iter().find(|one| one.data_type == data_type) else {
                continue;
            };
            let mut read = Read {
                comparison: Some(Comparison::new(known.clone(), reconcile.dry_run)),
                ..Read::default()
            };
            let now = self.clock.now();
            let end = reconcile.until.map_or(now, |until| until.min(now));
            // What lies at the very edge of a window is not judged.
            let start = reconcile.from.checked_sub_signed(EDGE);
            let window = Window {
                start,
                must_reach: start,
                end,
            };
            let ended = self
                .read_type(user_id, job, data_type, window, end == now, &mut read)
                .await
                .and_then(|()| match read.not_found {
                    true => Err(SyncError::NoList { data_type }),
                    false => Ok(()),
                });
            let report = self.report(user_id, data_type, read, ended).await;
            let is_over = report.cause.as_ref().is_some_and(|cause| {
                cause.ends_the_run()
                    || matches!(cause, SyncError::Stopped | SyncError::ReauthRequired)
            });
            types.push(report);
            if is_over {
                break;
            }
        }
        each_with_its_type(&mut types);
        Ok(MemberReport::of(user_id, types))
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

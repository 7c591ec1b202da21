//! Reconciliation: reads a time span of a member's records again from WHOOP, stores the records,
//! and reports each stored record that this changes.

use chrono::{DateTime, Utc};
use std::sync::Arc;
use whoop_core::Clock;
use whoop_core::{DataType, UserId, plan::ReadWindow};

use crate::{
    Backfill, DataTypeSync, MemberLeases, MemberOutcome, MemberReport, ReconcileFindings,
    SyncContext, SyncError, TypeReport, comparison::TypeComparison, window::ReadProgress,
};

/// Order in which the data types are compared. Sleeps come first, because they decide the dates of
/// cycles and recoveries.
const DATA_TYPE_ORDER: [DataType; 4] = [
    DataType::Sleep,
    DataType::Cycle,
    DataType::Recovery,
    DataType::Workout,
];

/// Request for a reconciliation: the time span to compare, and whether differences are repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconcileRequest {
    pub from: DateTime<Utc>,
    /// End of the time span; `None` for the present.
    pub until: Option<DateTime<Utc>>,
    /// Whether differences are only reported, without changing any stored record.
    pub dry_run: bool,
}

/// Compares the stored records of members with WHOOP's records, and repairs the differences.
#[derive(Debug, Clone)]
pub struct Reconciliation {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) leases: Arc<MemberLeases>,
    pub(crate) types: Arc<DataTypeSync>,
    pub(crate) backfill: Arc<Backfill>,
}

impl Reconciliation {
    /// Compares a member's stored records with WHOOP's records. Repairs the differences, unless the
    /// request is a dry run.
    ///
    /// # Errors
    ///
    /// Only errors that concern the member as a whole, for example if PostgreSQL is unavailable. An
    /// error of a single data type is in the report.
    pub async fn reconcile_member(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        reconcile: &ReconcileRequest,
    ) -> Result<MemberReport, SyncError> {
        let mut report = MemberReport::from_types(user_id, Vec::new());
        let mut context = context.clone();
        let coverage = self.types.load_coverage(user_id).await?;
        let is_granted =
            |data_type: &DataType| coverage.iter().any(|known| known.data_type == *data_type);
        for data_type in DATA_TYPE_ORDER.into_iter().filter(is_granted) {
            let compared = self.reconcile_type(user_id, &context, data_type, reconcile);
            match compared.await {
                Ok(one) => report.merge(MemberReport::from_types(user_id, vec![one])),
                Err(SyncError::Busy) if report.types.is_empty() => return Err(SyncError::Busy),
                // The report keeps the results of the data types that were compared before the
                // error.
                Err(error) => {
                    report.merge(MemberReport::from_error(user_id, &error));
                    break;
                }
            }
            context = context.with_lease_wait();
            if report.ends_the_run
                || report.reauth_required
                || report.outcome == MemberOutcome::Stopped
            {
                break;
            }
        }
        let comparisons = report
            .types
            .iter_mut()
            .filter_map(|one| one.comparison.take());
        report.findings = Some(ReconcileFindings::merge(comparisons, reconcile.dry_run));
        Ok(report)
    }

    async fn reconcile_type(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        data_type: DataType,
        reconcile: &ReconcileRequest,
    ) -> Result<TypeReport, SyncError> {
        let mut read = ReadProgress {
            comparison: Some(TypeComparison {
                dry_run: reconcile.dry_run,
                ..TypeComparison::default()
            }),
            ..ReadProgress::default()
        };
        let now = self.clock.now();
        let end = reconcile.until.map_or(now, |until| until.min(now));
        read.up_to_now = end == now;
        // Records that are older than the retention period are not read, and do not count as
        // differences.
        let from = self
            .backfill
            .limit_to_retention(user_id, Some(reconcile.from))
            .await?;
        let window = ReadWindow {
            must_reach: from.unwrap_or(reconcile.from),
            end,
        };
        let mut context = context.clone();
        loop {
            let leased = self.leases.lease_member(user_id, &context).await?;
            let ended = async {
                if !reconcile.dry_run {
                    read.signal_at = self
                        .types
                        .begin_attempt(user_id, data_type)
                        .await?
                        .signal_at;
                }
                self.types
                    .read_data_type(user_id, &leased.context, data_type, window, &mut read)
                    .await
            };
            let ended = ended.await;
            self.leases.release_member(leased).await?;
            if matches!(ended, Err(SyncError::Yielded)) {
                // An app request interrupted the read. It is answered first; then the window is
                // read again.
                context = context.with_lease_wait();
                continue;
            }
            return Ok(self
                .types
                .build_type_report(user_id, data_type, read, ended)
                .await);
        }
    }
}

//! Reads a span of a member's records again from WHOOP, stores it, and reports each record that
//! this changes.

use chrono::{DateTime, Utc};
use std::sync::Arc;
use whoop_core::Clock;
use whoop_core::{DataType, UserId, plan::ReadWindow};

use crate::{
    Backfill, DataTypeSync, MemberLeases, MemberOutcome, MemberReport, ReconcileFindings,
    SyncContext, SyncError, TypeReport, comparison::TypeComparison, window::ReadProgress,
};

/// Sleeps first: they decide the dates of cycles and recoveries.
const DATA_TYPE_ORDER: [DataType; 4] = [
    DataType::Sleep,
    DataType::Cycle,
    DataType::Recovery,
    DataType::Workout,
];

/// The span to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconcileRequest {
    pub from: DateTime<Utc>,
    /// End of the span; the present if not given.
    pub until: Option<DateTime<Utc>>,
    /// Whether differences are only reported, and nothing is changed.
    pub dry_run: bool,
}

/// Compares stored records with WHOOP's, and repairs the differences.
#[derive(Debug, Clone)]
pub struct Reconciliation {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) leases: Arc<MemberLeases>,
    pub(crate) types: Arc<DataTypeSync>,
    pub(crate) backfill: Arc<Backfill>,
}

impl Reconciliation {
    /// Compares a member's records with WHOOP's, and makes them equal.
    ///
    /// # Errors
    ///
    /// Only errors that concern no single data type, for example if PostgreSQL is unavailable.
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
                // The report keeps the data types that were compared before.
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
        // Records that are older than the retention period are not read, and are no difference.
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
                    .read_data_type(
                        user_id,
                        &leased.context,
                        data_type,
                        window,
                        end == now,
                        &mut read,
                    )
                    .await
            };
            let ended = ended.await;
            self.leases.release_member(leased).await?;
            if matches!(ended, Err(SyncError::Yielded)) {
                // The app request is answered first; then the window is read again.
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

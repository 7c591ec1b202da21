//! Metrics of a run for Prometheus, in a file that node-exporter's textfile collector reads.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use whoop_storage::table::users;
use whoop_sync::{Engine, SyncError, run::RunReport};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunRecordLabels {
    data_type: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunMemberLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuotaWindowLabels {
    window: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MemberStatusLabels {
    status: String,
}

/// Reason why the file was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetricsError {
    #[error("the metrics could not be collected")]
    Sync(#[from] SyncError),
    #[error("{path} could not be written")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Writes the file in one step: a process that reads it meanwhile gets the previous file.
pub(crate) async fn write(
    path: &Path,
    engine: &Engine,
    report: &RunReport,
    now: DateTime<Utc>,
) -> Result<(), MetricsError> {
    let text = encode_metrics(engine, report, now).await?;
    let file_error = |source| MetricsError::File {
        path: path.to_owned(),
        source,
    };
    let mut partial = path.as_os_str().to_owned();
    // The collector reads only `*.prom` files.
    partial.push(".part");
    fs::write(&partial, text).map_err(file_error)?;
    fs::rename(&partial, path).map_err(file_error)
}

async fn encode_metrics(
    engine: &Engine,
    report: &RunReport,
    now: DateTime<Utc>,
) -> Result<String, SyncError> {
    let mut registry = Registry::with_prefix("whoop");
    let records = Family::<RunRecordLabels, Counter>::default();
    registry.register(
        "sync_records",
        "Records of the last run, by data type and outcome",
        records.clone(),
    );
    let types = report.reports.iter().flat_map(|member| &member.types);
    for one in types {
        for (outcome, count) in [
            ("inserted", one.stored.inserted),
            ("updated", one.stored.updated),
            ("unchanged", one.stored.unchanged),
            ("deleted", one.stored.deleted),
            ("rejected", one.stored.rejected),
        ] {
            let data_type = one.data_type.as_str();
            records
                .get_or_create(&RunRecordLabels { data_type, outcome })
                .inc_by(count);
        }
    }

    let members = Family::<RunMemberLabels, Gauge>::default();
    registry.register(
        "sync_run_members",
        "Members of the last run, by outcome",
        members.clone(),
    );
    for (outcome, count) in [
        ("synced", report.synced),
        ("failed", report.failed),
        ("deferred", report.deferred),
        ("fresh", report.fresh),
        ("left", report.left),
    ] {
        set_count(&members.get_or_create(&RunMemberLabels { outcome }), count);
    }
    for (name, help, value) in [
        (
            "sync_run_calls",
            "Calls to WHOOP made by the last run",
            i64::try_from(report.calls).unwrap_or(i64::MAX),
        ),
        (
            "sync_run_finished_timestamp_seconds",
            "Unix time at which the last run ended",
            now.timestamp(),
        ),
    ] {
        let gauge = Gauge::<i64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }

    let quota = Family::<QuotaWindowLabels, Gauge>::default();
    registry.register(
        "upstream_budget_remaining",
        "Calls that remain in each window of WHOOP's quota",
        quota.clone(),
    );
    let remaining = engine.quota.remaining_quota().await?;
    for (window, calls) in [("minute", remaining.minute), ("day", remaining.day)] {
        quota
            .get_or_create(&QuotaWindowLabels { window })
            .set(calls.into());
    }

    let by_status = Family::<MemberStatusLabels, Gauge>::default();
    registry.register(
        "users",
        "Members, by status of their connection",
        by_status.clone(),
    );
    let mut conn = engine.database.get().await?;
    for one in users::count_by_status(&mut conn).await? {
        by_status
            .get_or_create(&MemberStatusLabels { status: one.status })
            .set(one.members);
    }

    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = text::encode(&mut text, &registry);
    Ok(text)
}

fn set_count(gauge: &Gauge, count: usize) {
    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
}

//! Result of a run, for people and for the log.

use std::{fmt::Write as _, time::Duration};

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use whoop_core::DataType;
use whoop_storage::page::StoreCounts;
use whoop_sync::{MemberOutcome, run::RunReport};

use crate::{ExitStatus, differences};

/// Maximum number of reasons that are listed; the rest is counted.
const MAX_REASONS: usize = 20;

/// A run that has ended.
pub(crate) struct RunSummary<'a> {
    pub(crate) report: &'a RunReport,
    pub(crate) elapsed: Duration,
    pub(crate) exit: ExitStatus,
}

/// Logs one line with everything that an alert may use.
pub(crate) fn log_summary(summary: &RunSummary<'_>) {
    let RunSummary {
        report,
        elapsed,
        exit,
    } = summary;
    tracing::info!(
        slot = report.slot,
        members = report.members,
        fresh = report.fresh,
        left = report.left,
        synced = report.synced,
        failed = report.failed,
        deferred = report.deferred,
        unfinished = report.unfinished(),
        stopped = report.stopped,
        calls = report.calls,
        inserted = report.stored.inserted,
        updated = report.stored.updated,
        deleted = report.stored.deleted,
        unchanged = report.stored.unchanged,
        rejected = report.stored.rejected,
        removed_by_retention = report.removed_by_retention,
        clean_up_error = report.clean_up_error,
        compared = report.comparison.map(|one| one.compared),
        differences = report.comparison.map(|one| one.differences),
        healed = report.comparison.map(|one| one.healed),
        reason = deferral_reason(report),
        goes_on_at = report.goes_on_at.map(whoop_core::instant::to_text),
        seconds = elapsed.as_secs_f64(),
        exit_code = exit.code(),
        "run finished"
    );
}

/// Returns tables and lists.
pub(crate) fn text(summary: &RunSummary<'_>) -> String {
    let RunSummary {
        report, elapsed, ..
    } = summary;
    let mut text = format!(
        "{} of {} member(s) {} in {:.1} s with {} call(s) to WHOOP",
        report.synced,
        report.members,
        match report.comparison {
            Some(_) => "compared",
            None => "synced",
        },
        elapsed.as_secs_f64(),
        report.calls
    );
    match &report.comparison {
        Some(compared) => {
            let _ = write!(text, "\n{}", differences::text(report, compared));
        }
        None if report.members > 0 => {
            let _ = write!(text, "\n{}", table(report));
        }
        None => {}
    }
    if report.fresh > 0 {
        let _ = write!(
            text,
            "\n{} member(s) were up to date and were not synced.",
            report.fresh
        );
    }
    if report.left > 0 {
        let _ = write!(
            text,
            "\nThe quota is scarce: {} member(s) were skipped. They are synced when they \
             open the app, or once in two weeks.",
            report.left
        );
    }
    let is_dry = report.comparison.is_some_and(|one| one.dry_run);
    if report.stored.rejected > 0 && !is_dry {
        text.push_str(
            "\nRecords that could not be stored are in the table whoop_rejected_record, each with \
             the reason.",
        );
    }
    if report.removed_by_retention > 0 {
        let _ = write!(
            text,
            "\n{} row(s) older than RETENTION_DAYS were deleted.",
            report.removed_by_retention
        );
    }
    if let Some(error) = &report.clean_up_error {
        let _ = write!(
            text,
            "\nThe clean-up failed; the next night run repeats it: {error}"
        );
    }
    if report.failed > 0 {
        let _ = write!(text, "\nFailed: {} member(s)", report.failed);
        push_reasons(&mut text, report, MemberOutcome::Failed);
    }
    if report.deferred > 0 {
        let _ = write!(text, "\nDeferred: {} member(s)", report.deferred);
        if let Some(reason) = deferral_reason(report) {
            let _ = write!(text, ", because {reason}");
        }
        if let Some(at) = report.goes_on_at {
            let at = at.with_timezone(&chrono::Local);
            let _ = write!(
                text,
                "\nThe quota allows more calls after {}; the next run continues.",
                at.format("%Y-%m-%d %H:%M %:z")
            );
        }
    }
    if report.stopped {
        let _ = match report.unfinished() {
            0 => write!(
                text,
                "\nThe run was stopped when its work was already done."
            ),
            unfinished => write!(
                text,
                "\nThe run was stopped: {unfinished} member(s) remain for the next run."
            ),
        };
    }
    text
}

fn table(report: &RunReport) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header([
        "type",
        "new",
        "changed",
        "deleted",
        "unchanged",
        "set aside",
    ]);
    for data_type in DataType::ALL {
        let mut types = report
            .reports
            .iter()
            .flat_map(|member| &member.types)
            .filter(|one| one.data_type == data_type)
            .peekable();
        if types.peek().is_none() {
            continue;
        }
        let stored = types.fold(StoreCounts::default(), |mut sum, one| {
            sum += one.stored;
            sum
        });
        table.add_row([
            data_type.to_string(),
            stored.inserted.to_string(),
            stored.updated.to_string(),
            stored.deleted.to_string(),
            stored.unchanged.to_string(),
            stored.rejected.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn push_reasons(text: &mut String, report: &RunReport, outcome: MemberOutcome) {
    let mut reasons = report
        .reports
        .iter()
        .filter(|member| member.outcome == outcome);
    for member in reasons.by_ref().take(MAX_REASONS) {
        let reason = member.error.as_deref().unwrap_or("the reason is unknown");
        let _ = write!(text, "\n  {}: {reason}", member.user_id);
    }
    match reasons.count() {
        0 => {}
        more => {
            let _ = write!(text, "\n  and {more} more; --json lists them all");
        }
    }
}

/// Returns the reason of the first deferred member; the others have the same.
fn deferral_reason(report: &RunReport) -> Option<&str> {
    report
        .reports
        .iter()
        .find(|member| member.outcome == MemberOutcome::Deferred)
        .and_then(|member| member.error.as_deref())
}

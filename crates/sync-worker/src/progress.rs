use std::{fmt, time::Duration};

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use whoop_sync::{MemberOutcome, MemberReport, run::RunObserver};

use crate::{Console, differences};

const BAR_TEMPLATE: &str = "{bar:30} {pos}/{len} members  {rate}{elapsed} elapsed{remaining}";

/// Reports a run's progress: a bar on a terminal, one line per member in a log.
pub(crate) struct ProgressReporter {
    /// `None` if the output is not a terminal.
    bar: Option<ProgressBar>,
}

impl ProgressReporter {
    pub(crate) fn new(console: &Console) -> Self {
        let bar = console.is_terminal().then(|| {
            let bar = console.bars().add(ProgressBar::no_length());
            match ProgressStyle::with_template(BAR_TEMPLATE) {
                Ok(style) => bar.with_style(
                    style
                        .with_key("rate", write_rate)
                        .with_key("remaining", write_time_remaining),
                ),
                // With an invalid template, the bar keeps its default style: the run matters more
                // than its bar.
                Err(_) => bar,
            }
        });
        Self { bar }
    }

    /// Removes the bar, to make room for the result.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes the members per second; nothing before the first member, when the rate is unknown.
fn write_rate(state: &ProgressState, to: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        // A rate that cannot be written is only missing in the bar.
        let _ = write!(to, "{:.1}/s  ", state.per_sec());
    }
}

fn write_time_remaining(state: &ProgressState, to: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        let _ = write!(to, ", {} remaining", HumanDuration(state.eta()));
    }
}

impl RunObserver for ProgressReporter {
    fn on_start(&self, members: usize, histories: usize) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(members as u64);
                bar.enable_steady_tick(Duration::from_millis(200));
            }
            None => tracing::info!(members, histories, "run started"),
        }
    }

    fn on_member_done(&self, report: &MemberReport) {
        match &self.bar {
            Some(bar) => bar.inc(1),
            None => log_member(report),
        }
    }
}

fn log_member(report: &MemberReport) {
    let member = report.user_id.as_str();
    let stored = report.stored();
    let error = report.error.as_deref();
    for one in report.findings.iter().flat_map(|one| &one.differences) {
        tracing::info!(
            member,
            data_type = %one.data_type,
            record = one.record_id,
            local_date = one.local_date.map(|day| day.to_string()),
            cause = one.cause.as_str(),
            healed = one.healed,
            fields = differences::changed_fields(one),
            "difference found"
        );
    }
    match report.outcome {
        MemberOutcome::Done | MemberOutcome::Shared => tracing::info!(
            member,
            inserted = stored.inserted,
            updated = stored.updated,
            deleted = stored.deleted,
            unchanged = stored.unchanged,
            rejected = stored.rejected,
            "member synced"
        ),
        MemberOutcome::Failed => tracing::warn!(
            member,
            error,
            reauth_required = report.reauth_required,
            "member sync failed"
        ),
        // Not even begun. There may be thousands of such members; the summary counts them.
        MemberOutcome::Deferred | MemberOutcome::Stopped if report.types.is_empty() => {
            tracing::debug!(member, error, "member sync not started");
        }
        MemberOutcome::Deferred => tracing::warn!(
            member,
            error,
            retry_after_seconds = report.retry_after_seconds,
            "member sync deferred"
        ),
        MemberOutcome::Stopped => tracing::warn!(member, error, "member sync stopped"),
    }
}

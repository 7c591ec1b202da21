//! Text of a dry run: the members to sync, the start of each window, and the number of calls.

use chrono::{DateTime, Utc};
use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use whoop_core::plan::{ReadReason, Slot};
use whoop_sync::dry_run::{DryRunReport, PlannedMember, PlannedWindow};

/// Returns the calls of the whole plan, without those of the backfill.
pub(crate) fn planned_calls(planned: &[PlannedMember]) -> u64 {
    planned.iter().map(|one| u64::from(one.calls())).sum()
}

pub(crate) fn text(slot: Slot, plan: &DryRunReport) -> String {
    let planned = plan.members.as_slice();
    let windows = || planned.iter().flat_map(|one| &one.windows);
    let mut text = format!(
        "Plan of the {} run: {} member(s), about {} call(s) to WHOOP{}. WHOOP was not called and \
         nothing was written.",
        slot.as_str(),
        planned.len(),
        planned_calls(planned),
        if plan.backfills > 0 {
            format!(
                ", and the calls for the backfill of {} member(s)",
                plan.backfills
            )
        } else if windows().any(|window| window.history) {
            ", and the calls for the backfill".to_owned()
        } else {
            String::new()
        },
    );
    if plan.up_to_date > 0 {
        text = format!(
            "{text}\n{} member(s) are up to date and are not synced.",
            plan.up_to_date
        );
    }
    if plan.skipped_for_quota > 0 {
        text = format!(
            "{text}\nThe quota is scarce: {} member(s) are skipped. They are synced when they \
             open the app, or once in two weeks.",
            plan.skipped_for_quota
        );
    }
    if windows().next().is_some() {
        text = format!("{text}\n{}", table(planned));
    }
    for one in planned {
        if let Some(error) = &one.error {
            text = format!("{text}\n{}: {error}", one.user_id);
        }
    }
    text
}

fn table(planned: &[PlannedMember]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["member", "why", "type", "from", "to", "calls"]);
    for one in planned {
        for window in &one.windows {
            table.add_row([
                one.user_id.clone(),
                reason_text(one.reason).to_owned(),
                window.data_type.to_string(),
                format_minute(window.start),
                format_minute(window.end),
                calls_text(window),
            ]);
        }
    }
    if let Some(column) = table.column_mut(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

const fn reason_text(reason: ReadReason) -> &'static str {
    match reason {
        ReadReason::NeverRead => "never read",
        ReadReason::Slot => "scheduled",
        ReadReason::Fortnight => "app not opened for two weeks",
        ReadReason::Asked => "requested",
        ReadReason::Webhook => "webhook",
        ReadReason::Stale => "stale",
        ReadReason::Missing => "not read yet",
    }
}

fn calls_text(window: &PlannedWindow) -> String {
    if window.history {
        format!("{} + backfill", window.calls)
    } else {
        window.calls.to_string()
    }
}

fn format_minute(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%MZ").to_string()
}

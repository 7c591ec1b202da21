//! A dry run for people: who would be read, from when on, for how many calls.

use chrono::{DateTime, Utc};
use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use whoop_core::plan::{Reason, Slot};
use whoop_sync::dry_run::{DryRun, Planned, PlannedWindow};

/// The calls of the whole plan; history comes on top.
pub(crate) fn calls(planned: &[Planned]) -> u64 {
    planned.iter().map(|one| u64::from(one.calls())).sum()
}

pub(crate) fn text(slot: Slot, plan: &DryRun) -> String {
    let planned = plan.members.as_slice();
    let windows = || planned.iter().flat_map(|one| &one.windows);
    let mut text = format!(
        "The {} run: {} member(s), about {} call(s) to WHOOP{}. Nothing was called or written.",
        slot.as_str(),
        planned.len(),
        calls(planned),
        if plan.histories > 0 {
            format!(
                ", and the calls for the older history of {}",
                plan.histories
            )
        } else if windows().any(|window| window.history) {
            ", and the calls for older history".to_owned()
        } else {
            String::new()
        },
    );
    if plan.fresh > 0 {
        text = format!(
            "{text}\n{} member(s) have just been read and have no turn.",
            plan.fresh
        );
    }
    if plan.left > 0 {
        text = format!(
            "{text}\nThe quota is scarce: {} member(s) are read when they open the app, or once in a fortnight.",
            plan.left
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

fn table(planned: &[Planned]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["member", "why", "type", "from", "to", "calls"]);
    for one in planned {
        for window in &one.windows {
            table.add_row([
                one.user_id.clone(),
                why(one.reason).to_owned(),
                window.data_type.to_string(),
                minute(window.start),
                minute(window.end),
                cost(window),
            ]);
        }
    }
    if let Some(column) = table.column_mut(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

const fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::NeverRead => "never read",
        Reason::Slot => "the slot's turn",
        Reason::Fortnight => "a fortnight away",
        Reason::Asked => "asked for",
        Reason::Webhook => "webhook",
        Reason::Stale => "too old",
        Reason::Missing => "not read yet",
    }
}

fn cost(window: &PlannedWindow) -> String {
    if window.history {
        format!("{} + history", window.calls)
    } else {
        window.calls.to_string()
    }
}

fn minute(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%MZ").to_string()
}

//! `sync-worker capacity`: the number of members that the quota supports.

use chrono::{DateTime, TimeDelta};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;
use whoop_capacity::{
    CallConditions, DayVariation, Launch, Outage, SimulationParameters, SimulationReport, TypeLag,
    WebhookConditions, simulate,
};
use whoop_sync::EngineSettings;

use crate::{
    Console, ExitStatus,
    cli::{CapacityArgs, SwitchArg},
    exit::CommandError,
};

/// Maximum length of a bar, in characters.
const MAX_BAR_LENGTH: f64 = 48.0;

#[derive(Serialize)]
struct CapacityResult<'a> {
    #[serde(flatten)]
    report: &'a SimulationReport,
    exit_code: u8,
}

pub(crate) async fn capacity(
    args: &CapacityArgs,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let parameters = SimulationParameters {
        // Any start will do, because all days are alike. It is fixed, so that a seed always gives
        // the same result.
        begins: DateTime::UNIX_EPOCH + TimeDelta::days(20_000),
        users: args.users as usize,
        active_share: args.active_share,
        days: args.days,
        day_variation: DayVariation {
            late_scores: args.late_scores,
            missed_nights: args.missed_nights,
            naps: args.naps,
            deletions: args.deletions,
            ..DayVariation::default()
        },
        webhooks: (args.webhooks == SwitchArg::On).then_some(WebhookConditions {
            lost_share: args.webhooks_lost,
            max_delay: TimeDelta::minutes(args.webhooks_late.into()),
        }),
        seed: args.seed,
        limits: args.limits.limits(),
        freshness: EngineSettings::default().freshness,
        call_conditions: CallConditions {
            refresh_duration: TimeDelta::milliseconds(args.refresh_ms.into()),
            failing_share: args.failing_members,
            outages: match args.outages.is_empty() {
                true => Outage::spread_evenly(args.outages_per_month, args.days, args.seed),
                false => args.outages.clone(),
            },
        },
        launch: args.launch.zip(args.within).map(|(members, within)| {
            Launch::second_evening(members as usize, TimeDelta::minutes(within.into()))
        }),
    };
    if parameters.launch.is_some() && args.days < 2 {
        return Err(CommandError::wrong_usage(
            "a launch begins on the second simulated day; use --days 2 or more".to_owned(),
        ));
    }
    // The simulation can compute for hours. On a blocking thread it does not keep the process from
    // handling signals.
    let report = tokio::task::spawn_blocking(move || simulate(&parameters))
        .await
        .map_err(|error| CommandError::could_not_run(error.to_string()))?;
    let exit = if report.held {
        ExitStatus::Done
    } else {
        ExitStatus::CouldNotRun
    };
    if args.common.json {
        console.print_json(&CapacityResult {
            report: &report,
            exit_code: exit.code(),
        });
    } else {
        console.print(text(&report));
    }
    Ok(exit)
}

fn text(report: &SimulationReport) -> String {
    let mut lines = vec![format!(
        "{} generated members, {:.0} % of them active on a day, {} days, webhooks {}, seed {}",
        report.users,
        report.active_share * 100.0,
        report.days,
        if report.webhooks { "on" } else { "off" },
        report.seed,
    )];
    lines.push(format!(
        "\nCalls per day (limit {}; maximum in any 24 hours: {})",
        report.calls_per_day, report.most_in_a_day
    ));
    let most = report.by_day.iter().map(|day| day.total).max().unwrap_or(0);
    let scale = as_f64(most.max(report.calls_per_day.into()));
    for day in &report.by_day {
        lines.push(format!(
            "{:>5} {:>6} {}",
            format!("d{}", day.day),
            day.total,
            stacked_bar(
                &[
                    (day.interactive, '█'),
                    (day.webhook, '▚'),
                    (day.scheduled, '▓'),
                    (day.inactive, '░'),
                    (day.backfill, '·'),
                ],
                scale
            ),
        ));
        if day.visits_put_off > 0 {
            lines.push(format!(
                "{:>12} app request(s) deferred",
                day.visits_put_off
            ));
        }
    }
    lines.push("       █ interactive  ▚ webhook  ▓ scheduled  ░ inactive  · backfill".to_owned());
    lines.push(format!(
        "\nAverage calls per minute, by hour of the day (limit {}; maximum in any 60 seconds: {})",
        report.calls_per_minute, report.most_in_a_minute
    ));
    for (hour, calls) in report.by_hour.iter().enumerate() {
        let per_minute = calls / 60.0;
        let scale = f64::from(report.calls_per_minute);
        lines.push(format!(
            "{hour:>5} {per_minute:>6.1} {}",
            bar(per_minute, scale, '█')
        ));
    }

    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header([
        "lag behind WHOOP at an app request",
        "median",
        "p95",
        "maximum",
        "goal",
    ]);
    for TypeLag {
        data_type,
        goal_seconds,
        spread,
    } in &report.behind
    {
        table.add_row([
            data_type.to_string(),
            format_duration(spread.median_seconds),
            format_duration(spread.p95_seconds),
            format_duration(spread.worst_seconds),
            format_duration(*goal_seconds),
        ]);
    }
    for (name, spread) in [
        (
            "reads skipped because the quota was scarce",
            &report.settled,
        ),
        ("time since the last read of inactive members", &report.away),
    ] {
        table.add_row([
            name.to_owned(),
            format_duration(spread.median_seconds),
            format_duration(spread.p95_seconds),
            format_duration(spread.worst_seconds),
            String::new(),
        ]);
    }
    lines.push(format!("\n{table}"));
    lines.push(format!(
        "{} app requests: {} answered without a call, {} deferred. {} members selected by runs: {} \
         deferred; on average a run skips {} members, who are read at their next app request.",
        report.visits,
        report.visits_without_a_call,
        report.visits_put_off,
        report.turns,
        report.turns_put_off,
        report.left,
    ));
    lines.push(failures_text(report));
    lines.extend(launch_text(report));
    for goal in report.goals.iter().filter(|goal| !goal.held) {
        lines.push(format!(
            "GOAL MISSED: {}: {}, maximum {}",
            goal.name, goal.was, goal.at_most
        ));
    }
    if report.held {
        lines.push("Every goal is met.".to_owned());
    }
    lines.join("\n")
}

fn failures_text(report: &SimulationReport) -> String {
    let mut line = format!(
        "{} further pages of lists, {} calls for records by id, {} token refreshes; {} calls for \
         members for whom every call fails ({} app requests).",
        report.second_pages,
        report.calls_by_id,
        report.refreshes,
        report.calls_of_failing_members,
        report.visits_of_failing_members,
    );
    if let Some(outages) = &report.outages {
        line += &format!(
            "\nOutages: {}, {} calls ({} per hour), {} app requests, which no goal includes.",
            format_duration(outages.seconds),
            outages.calls,
            outages.calls_per_hour,
            outages.visits,
        );
    }
    line
}

fn launch_text(report: &SimulationReport) -> Option<String> {
    let launch = report.launch.as_ref()?;
    Some(format!(
        "Launch: {} members connect within {}.\n\
         launch: last member read after {} ({} of {} read)\n\
         longest wait of an app request during the launch: {} ({} app requests of other members, {} deferred)\n\
         after the launch: {} of {} app requests deferred, which no goal includes",
        launch.members,
        format_duration(launch.within_seconds),
        format_duration(launch.last_member_read_after_seconds),
        launch.members_read,
        launch.members,
        format_duration(launch.longest_wait_of_others_seconds),
        launch.visits_of_others,
        launch.visits_of_others_put_off,
        launch.visits_afterwards_put_off,
        launch.visits_afterwards,
    ))
}

fn stacked_bar(parts: &[(u64, char)], scale: f64) -> String {
    parts
        .iter()
        .map(|(calls, sign)| bar(as_f64(*calls), scale, *sign))
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bar is some dozens of signs long"
)]
fn bar(value: f64, scale: f64, sign: char) -> String {
    let length = (value / scale.max(1.0) * MAX_BAR_LENGTH).round() as usize;
    std::iter::repeat_n(sign, length).collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "calls of a day are far below 2^52"
)]
fn as_f64(calls: u64) -> f64 {
    calls as f64
}

fn format_duration(seconds: i64) -> String {
    let time = TimeDelta::seconds(seconds);
    match (time.num_days(), time.num_hours(), time.num_minutes()) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    }
}

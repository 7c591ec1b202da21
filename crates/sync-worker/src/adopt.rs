//! `sync-worker adopt`: imports members, tokens and records of the legacy service.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use whoop_core::SystemClock;
use whoop_sync::{
    EngineSettings,
    adopt::{AdoptReport, AdoptionOutcome, MemberAdoption},
};

use crate::{
    Console, ExitStatus, cli::AdoptArgs, exit::CommandError, migrate::database_error, operator,
};

#[derive(Serialize)]
struct AdoptResult<'a> {
    #[serde(flatten)]
    report: &'a AdoptReport,
    exit_code: u8,
}

pub(crate) async fn adopt(
    args: &AdoptArgs,
    console: &Console,
    stop: CancellationToken,
) -> Result<ExitStatus, CommandError> {
    let unusable =
        |error: whoop_sync::config::ConfigError| CommandError::could_not_run(error.to_string());
    let refused = |error| database_error(&args.common.database, &error);
    let database = args.common.database.database().map_err(unusable)?;
    let engine = args
        .whoop
        .engine(database, Arc::new(SystemClock), EngineSettings::default())
        .map_err(unusable)?;
    engine.database.check().await.map_err(refused)?;
    if !args.dry_run {
        operator::record_action(&engine.database, "adopt", None, None)
            .await
            .map_err(refused)?;
    }
    let report = engine
        .legacy_import
        .adopt(args.dry_run, stop, |one| {
            tracing::info!(
                member = %one.user_id,
                outcome = ?one.outcome,
                error = one.error,
                "member processed"
            );
        })
        .await
        .map_err(refused)?;
    let exit = exit_status(&report);
    if args.common.json {
        console.print_json(&AdoptResult {
            report: &report,
            exit_code: exit.code(),
        });
    } else {
        console.print(text(&report));
    }
    Ok(exit)
}

fn exit_status(report: &AdoptReport) -> ExitStatus {
    let any = |outcomes: &[AdoptionOutcome]| {
        let mut members = report.members.iter();
        members.any(|one| outcomes.contains(&one.outcome))
    };
    if report.stopped || any(&[AdoptionOutcome::PutOff]) {
        ExitStatus::Deferred
    } else if !report.dry_run && any(&[AdoptionOutcome::Failed, AdoptionOutcome::ReauthRequired]) {
        ExitStatus::SomeFailed
    } else {
        ExitStatus::Done
    }
}

fn text(report: &AdoptReport) -> String {
    if report.members.is_empty() && report.of_nobody == 0 {
        return "no tables of the legacy service found; `sync-worker migrate` renames them to \
                predecessor_… if there are any"
            .to_owned();
    }
    let count = |outcome| {
        let members = report.members.iter();
        members.filter(|one| one.outcome == outcome).count()
    };
    let mut lines = Vec::new();
    let verb = if report.dry_run { "would be" } else { "were" };
    for (outcome, words) in [
        (AdoptionOutcome::Connected, "imported and connected"),
        (
            AdoptionOutcome::ReauthRequired,
            "imported, and have to connect again",
        ),
        (AdoptionOutcome::Disconnected, "imported as disconnected"),
        (AdoptionOutcome::PutOff, "deferred; run this command again"),
        (AdoptionOutcome::Failed, "not imported"),
    ] {
        match count(outcome) {
            0 => {}
            members => lines.push(format!("{members} member(s) {verb} {words}")),
        }
    }
    for (outcome, words) in [
        (
            AdoptionOutcome::Already,
            "were imported before and are not changed",
        ),
        (
            AdoptionOutcome::Nothing,
            "have neither a token nor a complete record",
        ),
    ] {
        match count(outcome) {
            0 => {}
            members => lines.push(format!("{members} member(s) {words}")),
        }
    }
    lines.push(format!(
        "complete records: {}",
        sum_by_type(report, |one| &one.records)
    ));
    lines.push(format!(
        "rows without a complete record, to be read again: {}",
        sum_by_type(report, |one| &one.read_again)
    ));
    let set_aside: u64 = report.members.iter().map(|one| one.set_aside).sum();
    if set_aside > 0 {
        lines.push(format!(
            "{set_aside} record(s) set aside, with the reasons in whoop_rejected_record"
        ));
    }
    if report.of_nobody > 0 {
        lines.push(format!("{} row(s) name no member", report.of_nobody));
    }
    lines.extend(report.members.iter().filter_map(problem_line));
    lines.push(next_step(report).to_owned());
    lines.join("\n")
}

fn sum_by_type(
    report: &AdoptReport,
    counts_of: impl Fn(&MemberAdoption) -> &BTreeMap<&'static str, u64>,
) -> String {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in report.members.iter().flat_map(counts_of) {
        *sums.entry(name).or_default() += count;
    }
    if sums.is_empty() {
        return "none".to_owned();
    }
    let parts: Vec<String> = sums
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    parts.join(", ")
}

/// Returns a line for a member that needs the operator's attention, otherwise `None`.
fn problem_line(one: &MemberAdoption) -> Option<String> {
    let problem = match one.outcome {
        AdoptionOutcome::ReauthRequired => "has to connect again",
        AdoptionOutcome::Failed => "was not imported",
        AdoptionOutcome::PutOff => "was deferred",
        _ => one.error.as_ref().map(|_| "has a problem")?,
    };
    let reason = one
        .error
        .as_ref()
        .map_or_else(String::new, |error| format!(": {error}"));
    Some(format!("  {} {problem}{reason}", one.user_id))
}

fn next_step(report: &AdoptReport) -> &'static str {
    if report.dry_run {
        "nothing was written. Stop the legacy service for good before the import: a token refresh \
         by one of the two services invalidates the tokens of the other"
    } else {
        "the next runs read the other records from WHOOP; `sync-worker backfill` reads them now"
    }
}

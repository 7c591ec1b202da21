//! The acceptance steps. Each uses only interfaces that users have.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use chrono::NaiveDate;
use clap::Parser;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use whoop_sim::CallSide;

use super::{
    environment::DemoEnv,
    live::{self, RescoredNight},
    member::DemoMember,
    report::DemoReport,
    unusual_lives,
};

const MEMBER: &str = "demo-member";

/// Maximum duration of a request for a stored day.
const MAX_RELOAD_TIME: Duration = Duration::from_millis(100);

macro_rules! step {
    ($report:expr, $name:literal, $work:expr) => {{
        let begun = Instant::now();
        let outcome = $work.await;
        $report.step($name, begun.elapsed(), outcome);
    }};
}

/// Prepares the demo that stays up: migrates, connects a member, shows a day, and backfills.
pub(crate) async fn run_demo(stack: &DemoEnv, report: &mut DemoReport) -> anyhow::Result<()> {
    let begun = Instant::now();
    migrate(stack).await?;
    let member = DemoMember::new(stack, MEMBER)?;
    member.connect().await?;
    let (day, is_today) = newest_day_with_sleep(&member).await?;
    let date = day["date"].as_str().unwrap_or_default();
    // Until today's night has ended, today has little to show.
    let rest = if is_today {
        String::new()
    } else {
        format!("?date={date}")
    };
    report.print_fact(
        "member",
        &format!(
            "{MEMBER}, connected and read in {:.1} s",
            begun.elapsed().as_secs_f64()
        ),
    );
    report.print_line("");
    report.print_line(&if is_today {
        format!("Their day, {date}:")
    } else {
        format!("Today WHOOP has no night of theirs yet. Their newest day with one, {date}:")
    });
    report.print_fact("recovery", &part_text(&day, "recovery", "score", "%"));
    report.print_fact("sleep", &part_text(&day, "sleep", "duration", ""));
    report.print_fact("strain", &part_text(&day, "cycle", "strain", ""));
    report.print_line("");
    report.print_line("Their Health page, and yours as the operator:");
    report.print_line(&format!(
        "  {}/{rest}#token={}",
        stack.api_url, member.token
    ));
    report.print_line(&format!(
        "  {}/admin#key={}",
        stack.api_url,
        encode_fragment(&stack.service_key)
    ));
    report.print_line("");
    report.print_line("Ask for it yourself, on another date too (?date=YYYY-MM-DD):");
    report.print_line(&format!(
        "  curl -s -H 'Authorization: Bearer {}' {}",
        member.token,
        // A shell would interpret the `?` of the address.
        match rest.as_str() {
            "" => member.route_url("daily-data", ""),
            rest => format!("'{}'", member.route_url("daily-data", rest)),
        }
    ));
    report.print_line("");
    let written = run_worker(stack, &["run", "--slot=night", "--json"]).await?;
    report.print_line(&format!(
        "History is stored too: {} records more. Ctrl-C stops everything.",
        written["inserted"]
    ));
    Ok(())
}

/// Prepares the demo without members, with which tests of the page begin.
pub(crate) async fn run_without_members(stack: &DemoEnv) -> anyhow::Result<()> {
    migrate(stack).await?;
    let stage = json!({
        "api": stack.api_url,
        "simulator": stack.sim.base_url(),
        "jwt_secret": stack.jwt_secret,
        "service_key": stack.service_key,
    });
    println!("{stage}");
    Ok(())
}

/// Returns today, or the newest of the previous days on which the member slept, and whether it is
/// today.
async fn newest_day_with_sleep(member: &DemoMember) -> anyhow::Result<(Value, bool)> {
    let today = member.get("daily-data", "").await?;
    let mut date: NaiveDate = today["date"].as_str().unwrap_or_default().parse()?;
    for _ in 0..7 {
        let rest = format!("?date={date}");
        let day = member.get("daily-data", &rest).await?;
        if !day["sleep"].is_null() {
            let is_today = day["date"] == today["date"];
            return Ok((day, is_today));
        }
        date = date.pred_opt().context("there is no day before")?;
    }
    Ok((today, true))
}

/// Encodes a value for the fragment of an address.
fn encode_fragment(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

/// Returns one line of the day, or the reason why there is no value.
fn part_text(day: &Value, part: &str, field: &str, unit: &str) -> String {
    match &day[part][field] {
        Value::Null => match day["missing"][part].as_str() {
            Some(reason) => format!("no data ({reason})"),
            None => "no data".to_owned(),
        },
        Value::String(text) => format!("{text}{unit}"),
        number => format!("{number}{unit}"),
    }
}

/// Runs the acceptance steps. Each one is tried even if others have failed.
pub(crate) async fn run_acceptance_steps(stack: &DemoEnv, report: &mut DemoReport) {
    report.print_line("");
    let member = match DemoMember::new(stack, MEMBER) {
        Ok(member) => member,
        Err(error) => return report.step("prepare", Duration::ZERO, Err(error)),
    };
    step!(report, "migrate", migrate(stack));
    step!(report, "connect", connect(&member));
    step!(report, "first load", first_load(stack, &member));
    step!(report, "fast reload", fast_reload(stack, &member));
    step!(report, "scheduled slot", scheduled_slot(stack, &member));
    step!(report, "webhook", live::webhook_event(stack, &member));
    step!(
        report,
        "unusual lives",
        unusual_lives::check_unusual_lives(stack)
    );
    step!(report, "night and history", night_run(stack));
    step!(report, "second night", second_night(stack, &member));
    step!(report, "date navigation", date_navigation(stack, &member));
    step!(report, "old date: no data", old_date(stack, &member));
    step!(report, "offline app", live::offline_app(stack, &member));
    step!(report, "nobody else's data", foreign_access(stack, &member));
    step!(report, "disconnect", disconnect(stack, &member));
}

/// Runs a command of the worker in this process, and parses its JSON output.
async fn run_worker(stack: &DemoEnv, arguments: &[&str]) -> anyhow::Result<Value> {
    // Migrating needs no settings for WHOOP.
    let flags = if arguments.first() == Some(&"migrate") {
        &stack.flags[..1]
    } else {
        &stack.flags
    };
    let cli = whoop_sync_worker::WorkerCli::try_parse_from(
        ["sync-worker"]
            .into_iter()
            .chain(arguments.iter().copied())
            .map(str::to_owned)
            .chain(flags.iter().cloned()),
    )
    .context("the worker's settings")?;
    let (console, results) = whoop_sync_worker::Console::capturing();
    let code = whoop_sync_worker::run_until_stopped(cli, &console, CancellationToken::new()).await;
    let text = results.text();
    ensure!(
        code == 0,
        "sync-worker {} ended with {code}: {text}",
        arguments.join(" ")
    );
    serde_json::from_str(&text).with_context(|| format!("the worker printed {text:?}"))
}

async fn migrate(stack: &DemoEnv) -> anyhow::Result<String> {
    let applied = run_worker(stack, &["migrate", "--json"]).await?;
    let count = applied["applied"].as_array().map_or(0, Vec::len);
    ensure!(count > 0, "no migration was applied: {applied}");
    Ok(format!("{count} migrations applied"))
}

async fn connect(member: &DemoMember) -> anyhow::Result<String> {
    member.connect().await?;
    let state = member.get("connection", "").await?;
    ensure!(
        state["connection"] == "connected",
        "the connection is {state}"
    );
    Ok("through WHOOP's consent page and back".to_owned())
}

async fn first_load(stack: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let day = member.get("daily-data", "").await?;
    member.wait_for_first_sync().await?;
    let truth = simulator_records(stack)?;
    // The newest cycle is today's, unless today's night has not begun it yet.
    let newest = &truth["cycles"][0];
    let shown = &day["cycle"];
    ensure!(
        shown.is_null() || shown["start"] == newest["start"],
        "the day shows the cycle of {}, WHOOP's newest is of {}",
        shown["start"],
        newest["start"]
    );
    for name in ["recovery", "sleep", "cycle"] {
        ensure!(
            !day[name].is_null() || day["missing"][name].is_string(),
            "{name} is absent without a reason: {day}"
        );
    }
    ensure!(
        day["meta"]["last_synced_at"].is_string(),
        "nothing was read: {}",
        day["meta"]
    );
    let strain = part_text(&day, "cycle", "strain", "");
    Ok(format!(
        "{}: recovery {}, strain {strain}",
        day["date"].as_str().unwrap_or(""),
        part_text(&day, "recovery", "score", "%")
    ))
}

async fn fast_reload(stack: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let before = api_call_count(stack);
    let begun = Instant::now();
    let day = member.get("daily-data", "").await?;
    let took = begun.elapsed();
    ensure!(
        api_call_count(stack) == before,
        "{} WHOOP calls were made",
        api_call_count(stack) - before
    );
    ensure!(
        day["meta"]["source"] == "database",
        "it came from {}",
        day["meta"]
    );
    ensure!(took < MAX_RELOAD_TIME, "it took {took:?}");
    Ok(format!(
        "0 WHOOP calls, {:.1} ms",
        took.as_secs_f64() * 1000.0
    ))
}

/// Rescores a night at WHOOP, and asserts that the morning run stores the new score.
async fn scheduled_slot(stack: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let RescoredNight { cycle, was, now } = RescoredNight::rescore(stack, [12.5, 91.5])?;
    // The member is named, because a run skips members who were read a moment ago.
    let report = run_worker(
        stack,
        &["run", "--slot=morning", "--user", MEMBER, "--json"],
    )
    .await?;
    let client = stack.database.client().await;
    let row = client
        .query_one(
            "SELECT local_date::TEXT, recovery_score FROM whoop_recovery WHERE user_id = $1 AND id = $2",
            &[&MEMBER, &cycle],
        )
        .await?;
    let (date, stored): (String, Option<f64>) = (row.get(0), row.get(1));
    ensure!(
        stored == Some(now),
        "the database has {stored:?} instead of {now}"
    );
    live::assert_recovery_shown(member, &date, now).await?;
    Ok(format!(
        "{} calls; the rescored night of {date} arrived: {was} → {now}",
        report["calls"]
    ))
}

async fn night_run(stack: &DemoEnv) -> anyhow::Result<String> {
    let report = run_worker(stack, &["run", "--slot=night", "--json"]).await?;
    let all = assert_all_stored(stack, MEMBER, &simulator_records(stack)?).await?;
    Ok(format!(
        "{} calls; all {all} records of WHOOP are stored",
        report["calls"]
    ))
}

/// Asserts that all of WHOOP's records are stored, and returns their number.
pub(crate) async fn assert_all_stored(
    stack: &DemoEnv,
    user_id: &str,
    truth: &Value,
) -> anyhow::Result<usize> {
    let client = stack.database.client().await;
    let mut all = 0;
    for (table, list) in [
        ("whoop_cycle", "cycles"),
        ("whoop_recovery", "recoveries"),
        ("whoop_sleep", "sleeps"),
        ("whoop_workout", "workouts"),
    ] {
        let query = format!("SELECT count(*) FROM {table} WHERE user_id = $1");
        let stored: i64 = client.query_one(&query, &[&user_id]).await?.get(0);
        let there = truth[list].as_array().map_or(0, Vec::len);
        ensure!(
            stored == i64::try_from(there)?,
            "{table} of {user_id} has {stored} rows, WHOOP {there}"
        );
        all += there;
    }
    Ok(all)
}

async fn second_night(stack: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let due = run_worker(stack, &["run", "--slot=night", "--json"]).await?;
    ensure!(
        due["calls"] == 0,
        "nothing was due, and it made {} calls",
        due["calls"]
    );
    // Dates the observed end of WHOOP's lists to yesterday, because an end is accepted only on a
    // second day.
    let client = stack.database.client().await;
    client
        .batch_execute(
            "UPDATE whoop_sync_log SET list_end_seen_at = list_end_seen_at - INTERVAL '1 day'",
        )
        .await?;
    let report = run_worker(stack, &["run", "--slot=night", "--user", MEMBER, "--json"]).await?;
    let status = member.get("sync-status", "").await?;
    ensure!(
        status["backfill"]["complete"] == true,
        "the backfill is {}",
        status["backfill"]
    );
    let written = [&report["inserted"], &report["updated"]];
    // The running cycle may have changed meanwhile.
    ensure!(
        written[0] == 0 && written[1].as_u64().is_some_and(|updated| updated <= 1),
        "it wrote {} new and {} changed records",
        written[0],
        written[1]
    );
    Ok(format!(
        "nothing was due; as if a day later, {} calls confirm that nothing is older, and nothing is written",
        report["calls"]
    ))
}

async fn date_navigation(stack: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let before = api_call_count(stack);
    let today = member.get("daily-data", "?refresh=never").await?;
    let today: chrono::NaiveDate = today["date"]
        .as_str()
        .context("the day has no date")?
        .parse()?;
    let mut with_sleep = 0;
    for back in 0..30 {
        let date = today - chrono::Days::new(back);
        let day = member
            .get("daily-data", &format!("?date={date}&refresh=never"))
            .await?;
        ensure!(
            day["date"] == date.to_string(),
            "{date} answered {}",
            day["date"]
        );
        with_sleep += u32::from(!day["sleep"].is_null());
    }
    ensure!(with_sleep > 0, "no night in 30 days");
    ensure!(
        api_call_count(stack) == before,
        "{} WHOOP calls were made",
        api_call_count(stack) - before
    );
    Ok(format!(
        "30 days back, {with_sleep} with a night, 0 WHOOP calls"
    ))
}

async fn old_date(stack: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let before = api_call_count(stack);
    let day = member.get("daily-data", "?date=2001-01-01").await?;
    let expected: BTreeMap<&str, &str> = ["recovery", "sleep", "cycle", "workouts"]
        .map(|part| (part, "not_recorded"))
        .into();
    ensure!(
        day["missing"] == json!(expected),
        "the reasons are {}",
        day["missing"]
    );
    ensure!(
        day["recovery"].is_null() && day["sleep"].is_null(),
        "there is data: {day}"
    );
    ensure!(
        api_call_count(stack) == before,
        "{} WHOOP calls were made",
        api_call_count(stack) - before
    );
    Ok("not_recorded, from the database".to_owned())
}

async fn foreign_access(stack: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let stranger = DemoMember::new(stack, "somebody-else")?;
    let (status, problem) = stranger
        .send_request(Method::GET, &member.route_url("daily-data", ""), None)
        .await?;
    ensure!(
        status == StatusCode::FORBIDDEN,
        "a stranger got {status}: {problem}"
    );
    let nobody = reqwest::Client::builder().no_proxy().build()?;
    let answer = nobody
        .get(member.route_url("daily-data", ""))
        .send()
        .await?;
    ensure!(
        answer.status() == StatusCode::UNAUTHORIZED,
        "nobody got {}",
        answer.status()
    );
    Ok("403 for another member, 401 without a token".to_owned())
}

async fn disconnect(stack: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let (status, left) = member
        .send_request(Method::DELETE, &member.route_url("connection", ""), None)
        .await?;
    ensure!(status == StatusCode::OK, "{status} {left}");
    ensure!(left["revoked"] == true, "WHOOP did not confirm: {left}");
    let before = api_call_count(stack);
    let day = member.get("daily-data", "").await?;
    ensure!(
        day["meta"]["connection"] == "disconnected",
        "the day says {}",
        day["meta"]
    );
    ensure!(
        api_call_count(stack) == before,
        "WHOOP was called after leaving"
    );
    let (status, gone) = member
        .send_request(
            Method::DELETE,
            &member.route_url("connection", "?erase=true"),
            None,
        )
        .await?;
    ensure!(
        status == StatusCode::OK && gone["erased"] == true,
        "{status} {gone}"
    );
    let client = stack.database.client().await;
    let row = client
        .query_one(
            "SELECT count(*) FROM whoop_sleep WHERE user_id = $1",
            &[&MEMBER],
        )
        .await?;
    ensure!(row.get::<_, i64>(0) == 0, "nights are left after erasing");
    Ok("revoked at WHOOP, then erased".to_owned())
}

pub(crate) fn whoop_user_id(stack: &DemoEnv) -> anyhow::Result<i64> {
    let grant = stack
        .sim
        .world()
        .grants()
        .into_iter()
        .next()
        .context("nobody connected")?;
    Ok(grant.whoop_user_id)
}

/// Returns the simulator's records of the connected person.
pub(crate) fn simulator_records(stack: &DemoEnv) -> anyhow::Result<Value> {
    Ok(stack.sim.world().truth(whoop_user_id(stack)?))
}

/// Returns the number of calls to WHOOP's data API that the simulator counted.
pub(crate) fn api_call_count(stack: &DemoEnv) -> usize {
    stack
        .sim
        .world()
        .calls()
        .iter()
        .filter(|call| call.side == CallSide::Api)
        .count()
}

//! The acceptance steps. Each step uses only interfaces that callers or operators have too.

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

/// Maximum duration of a request for a day that is already stored.
const MAX_RELOAD_TIME: Duration = Duration::from_millis(100);

macro_rules! step {
    ($report:expr, $name:literal, $work:expr) => {{
        let started = Instant::now();
        let outcome = $work.await;
        $report.step($name, started.elapsed(), outcome);
    }};
}

/// Prepares the demo that runs until Ctrl-C.
///
/// It migrates the database, connects a member, prints the member's newest day with a sleep, and
/// reads the older history with a night run.
pub(crate) async fn run_demo(env: &DemoEnv, report: &mut DemoReport) -> anyhow::Result<()> {
    let started = Instant::now();
    migrate(env).await?;
    let member = DemoMember::new(env, MEMBER)?;
    member.connect().await?;
    let (day, is_today) = newest_day_with_sleep(&member).await?;
    let date = day["date"].as_str().unwrap_or_default();
    // The page opens at the newest day with a sleep. Until today's night has ended, the page of
    // today would be almost empty.
    let query = if is_today {
        String::new()
    } else {
        format!("?date={date}")
    };
    report.print_fact(
        "member",
        &format!(
            "{MEMBER}, connected and synced in {:.1} s",
            started.elapsed().as_secs_f64()
        ),
    );
    report.print_line("");
    report.print_line(&if is_today {
        format!("The member's day, {date}:")
    } else {
        format!("WHOOP has no sleep for today yet. The newest day with a sleep, {date}:")
    });
    report.print_fact("recovery", &part_text(&day, "recovery", "score", "%"));
    report.print_fact("sleep", &part_text(&day, "sleep", "duration", ""));
    report.print_fact("strain", &part_text(&day, "cycle", "strain", ""));
    report.print_line("");
    report.print_line("The member's Health page and the operator's page:");
    report.print_line(&format!("  {}/{query}#token={}", env.api_url, member.token));
    report.print_line(&format!(
        "  {}/admin#key={}",
        env.api_url,
        encode_fragment(&env.service_key)
    ));
    report.print_line("");
    report.print_line("Request the day (for another date: ?date=YYYY-MM-DD):");
    report.print_line(&format!(
        "  curl -s -H 'Authorization: Bearer {}' {}",
        member.token,
        // A shell would interpret the `?` in the address, so such an address is put in quotes.
        match query.as_str() {
            "" => member.route_url("daily-data", ""),
            query => format!("'{}'", member.route_url("daily-data", query)),
        }
    ));
    report.print_line("");
    let run = run_worker(env, &["run", "--slot=night", "--json"]).await?;
    report.print_line(&format!(
        "A night run stored {} more records. Press Ctrl-C to stop the demo.",
        run["inserted"]
    ));
    Ok(())
}

/// Prepares a demo without members. Tests of the page start from this state.
pub(crate) async fn run_without_members(env: &DemoEnv) -> anyhow::Result<()> {
    migrate(env).await?;
    let addresses = json!({
        "api": env.api_url,
        "simulator": env.sim.base_url(),
        "jwt_secret": env.jwt_secret,
        "service_key": env.service_key,
    });
    println!("{addresses}");
    Ok(())
}

/// Returns the newest day with a sleep, and whether this day is today.
///
/// Looks at today and the six days before. If none has a sleep, returns today.
async fn newest_day_with_sleep(member: &DemoMember) -> anyhow::Result<(Value, bool)> {
    let today = member.get("daily-data", "").await?;
    let mut date: NaiveDate = today["date"].as_str().unwrap_or_default().parse()?;
    for _ in 0..7 {
        let query = format!("?date={date}");
        let day = member.get("daily-data", &query).await?;
        if !day["sleep"].is_null() {
            let is_today = day["date"] == today["date"];
            return Ok((day, is_today));
        }
        date = date.pred_opt().context("the calendar has no earlier day")?;
    }
    Ok((today, true))
}

/// Encodes a value so that it can be part of a URL's fragment.
fn encode_fragment(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

/// Returns the text for a field of the day, with at most one decimal.
///
/// If the field is null, returns the reason why the data is missing.
fn part_text(day: &Value, part: &str, field: &str, unit: &str) -> String {
    match &day[part][field] {
        Value::Null => match day["missing"][part].as_str() {
            Some(reason) => format!("no data ({reason})"),
            None => "no data".to_owned(),
        },
        Value::String(text) => format!("{text}{unit}"),
        value => match value.as_f64() {
            Some(number) => format!("{}{unit}", (number * 10.0).round() / 10.0),
            None => format!("{value}{unit}"),
        },
    }
}

/// Runs the acceptance steps. Each step is run even if earlier steps have failed.
pub(crate) async fn run_acceptance_steps(env: &DemoEnv, report: &mut DemoReport) {
    report.print_line("");
    let member = match DemoMember::new(env, MEMBER) {
        Ok(member) => member,
        Err(error) => return report.step("prepare", Duration::ZERO, Err(error)),
    };
    step!(report, "migrate", migrate(env));
    step!(report, "connect", connect(&member));
    step!(report, "first load", first_load(env, &member));
    step!(report, "fast reload", fast_reload(env, &member));
    step!(report, "scheduled slot", scheduled_slot(env, &member));
    step!(report, "webhook", live::webhook_event(env, &member));
    step!(
        report,
        "unusual records",
        unusual_lives::check_unusual_lives(env)
    );
    step!(report, "night run", night_run(env));
    step!(report, "second night run", second_night(env, &member));
    step!(report, "date navigation", date_navigation(env, &member));
    step!(report, "old date: no data", old_date(env, &member));
    step!(report, "change feed", live::offline_app(env, &member));
    step!(report, "access by others", foreign_access(env, &member));
    step!(report, "disconnect", disconnect(env, &member));
}

/// Runs a command of the worker in this process, and returns its JSON output.
async fn run_worker(env: &DemoEnv, arguments: &[&str]) -> anyhow::Result<Value> {
    // `migrate` needs no settings for WHOOP, only the first flag, which is the database's address.
    let flags = if arguments.first() == Some(&"migrate") {
        &env.flags[..1]
    } else {
        &env.flags
    };
    let cli = whoop_sync_worker::WorkerCli::try_parse_from(
        ["sync-worker"]
            .into_iter()
            .chain(arguments.iter().copied())
            .map(str::to_owned)
            .chain(flags.iter().cloned()),
    )
    .context("invalid settings of sync-worker")?;
    let (console, results) = whoop_sync_worker::Console::capturing();
    let code = whoop_sync_worker::run_until_stopped(cli, &console, CancellationToken::new()).await;
    let text = results.text();
    ensure!(
        code == 0,
        "sync-worker {} exited with code {code}: {text}",
        arguments.join(" ")
    );
    serde_json::from_str(&text).with_context(|| format!("sync-worker printed no JSON: {text:?}"))
}

async fn migrate(env: &DemoEnv) -> anyhow::Result<String> {
    let applied = run_worker(env, &["migrate", "--json"]).await?;
    let count = applied["applied"].as_array().map_or(0, Vec::len);
    ensure!(count > 0, "no migration was applied: {applied}");
    Ok(format!("{count} migrations applied"))
}

async fn connect(member: &DemoMember) -> anyhow::Result<String> {
    member.connect().await?;
    let state = member.get("connection", "").await?;
    ensure!(
        state["connection"] == "connected",
        "the connection's state is {state}"
    );
    Ok("through WHOOP's consent page and back".to_owned())
}

async fn first_load(env: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let day = member.get("daily-data", "").await?;
    member.wait_for_first_sync().await?;
    let truth = simulator_records(env)?;
    // WHOOP's newest cycle is today's cycle. If today's cycle has not begun yet, the day shows no
    // cycle.
    let newest = &truth["cycles"][0];
    let shown = &day["cycle"];
    ensure!(
        shown.is_null() || shown["start"] == newest["start"],
        "the day's cycle starts at {}, WHOOP's newest cycle starts at {}",
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
        "the day was not synced: {}",
        day["meta"]
    );
    let strain = part_text(&day, "cycle", "strain", "");
    Ok(format!(
        "{}: recovery {}, strain {strain}",
        day["date"].as_str().unwrap_or(""),
        part_text(&day, "recovery", "score", "%")
    ))
}

async fn fast_reload(env: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let before = api_call_count(env);
    let started = Instant::now();
    let day = member.get("daily-data", "").await?;
    let took = started.elapsed();
    ensure!(
        api_call_count(env) == before,
        "{} WHOOP calls were made",
        api_call_count(env) - before
    );
    ensure!(
        day["meta"]["source"] == "database",
        "the day is not from the database: {}",
        day["meta"]
    );
    ensure!(
        took < MAX_RELOAD_TIME,
        "the request took {took:?}, the limit is {MAX_RELOAD_TIME:?}"
    );
    Ok(format!(
        "0 WHOOP calls, {:.1} ms",
        took.as_secs_f64() * 1000.0
    ))
}

/// Changes the score of a night at WHOOP, and asserts that the morning run stores the new score.
async fn scheduled_slot(env: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let RescoredNight { cycle, was, now } = RescoredNight::rescore(env, [12.5, 91.5])?;
    // The run names the member, because a run over all members skips those who were read a moment
    // ago.
    let report = run_worker(env, &["run", "--slot=morning", "--user", MEMBER, "--json"]).await?;
    let client = env.database.client().await;
    let row = client
        .query_one(
            "SELECT local_date::TEXT, recovery_score FROM whoop_recovery WHERE user_id = $1 AND id = $2",
            &[&MEMBER, &cycle],
        )
        .await?;
    let (date, stored): (String, Option<f64>) = (row.get(0), row.get(1));
    ensure!(
        stored == Some(now),
        "the database has the score {stored:?} instead of {now}"
    );
    live::assert_recovery_shown(member, &date, now).await?;
    Ok(format!(
        "{} calls; the rescored recovery of {date} is stored: {was} → {now}",
        report["calls"]
    ))
}

async fn night_run(env: &DemoEnv) -> anyhow::Result<String> {
    let report = run_worker(env, &["run", "--slot=night", "--json"]).await?;
    let count = assert_all_stored(env, MEMBER, &simulator_records(env)?).await?;
    Ok(format!(
        "{} calls; all {count} records of WHOOP are stored",
        report["calls"]
    ))
}

/// Asserts that the database has as many records of the member as WHOOP, and returns their number.
pub(crate) async fn assert_all_stored(
    env: &DemoEnv,
    user_id: &str,
    truth: &Value,
) -> anyhow::Result<usize> {
    let client = env.database.client().await;
    let mut count = 0;
    for (table, list) in [
        ("whoop_cycle", "cycles"),
        ("whoop_recovery", "recoveries"),
        ("whoop_sleep", "sleeps"),
        ("whoop_workout", "workouts"),
    ] {
        let query = format!("SELECT count(*) FROM {table} WHERE user_id = $1");
        let stored: i64 = client.query_one(&query, &[&user_id]).await?.get(0);
        let expected = truth[list].as_array().map_or(0, Vec::len);
        ensure!(
            stored == i64::try_from(expected)?,
            "{table} has {stored} rows of {user_id}, WHOOP has {expected} records"
        );
        count += expected;
    }
    Ok(count)
}

async fn second_night(env: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let repeated = run_worker(env, &["run", "--slot=night", "--json"]).await?;
    ensure!(
        repeated["calls"] == 0,
        "nothing was due, but the run made {} calls",
        repeated["calls"]
    );
    // Sets the observed end of WHOOP's lists back to yesterday. The engine accepts the end of a
    // list only when it sees it again on another day.
    let client = env.database.client().await;
    client
        .batch_execute(
            "UPDATE whoop_sync_log SET list_end_seen_at = list_end_seen_at - INTERVAL '1 day'",
        )
        .await?;
    let report = run_worker(env, &["run", "--slot=night", "--user", MEMBER, "--json"]).await?;
    let status = member.get("sync-status", "").await?;
    ensure!(
        status["backfill"]["complete"] == true,
        "the backfill is not complete: {}",
        status["backfill"]
    );
    let written = [&report["inserted"], &report["updated"]];
    // The running cycle may have changed between the runs, so one changed record is allowed.
    ensure!(
        written[0] == 0 && written[1].as_u64().is_some_and(|updated| updated <= 1),
        "the run wrote {} new and {} changed records",
        written[0],
        written[1]
    );
    Ok(format!(
        "no calls while nothing is due; a day later, {} calls confirm the end of the history and \
         add no record",
        report["calls"]
    ))
}

async fn date_navigation(env: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let before = api_call_count(env);
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
            "the request for {date} returned {}",
            day["date"]
        );
        with_sleep += u32::from(!day["sleep"].is_null());
    }
    ensure!(with_sleep > 0, "no sleep in 30 days");
    ensure!(
        api_call_count(env) == before,
        "{} WHOOP calls were made",
        api_call_count(env) - before
    );
    Ok(format!(
        "30 days, {with_sleep} of them with a sleep, 0 WHOOP calls"
    ))
}

async fn old_date(env: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let before = api_call_count(env);
    let day = member.get("daily-data", "?date=2001-01-01").await?;
    let expected: BTreeMap<&str, &str> = ["recovery", "sleep", "cycle", "workouts"]
        .map(|part| (part, "not_recorded"))
        .into();
    ensure!(
        day["missing"] == json!(expected),
        "the missing reasons are {}",
        day["missing"]
    );
    ensure!(
        day["recovery"].is_null() && day["sleep"].is_null(),
        "the day has data: {day}"
    );
    ensure!(
        api_call_count(env) == before,
        "{} WHOOP calls were made",
        api_call_count(env) - before
    );
    Ok("not_recorded, from the database".to_owned())
}

async fn foreign_access(env: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let other_member = DemoMember::new(env, "other-member")?;
    let (status, problem) = other_member
        .send_request(Method::GET, &member.route_url("daily-data", ""), None)
        .await?;
    ensure!(
        status == StatusCode::FORBIDDEN,
        "a request with another member's token returned {status}: {problem}"
    );
    let anonymous = reqwest::Client::builder().no_proxy().build()?;
    let response = anonymous
        .get(member.route_url("daily-data", ""))
        .send()
        .await?;
    ensure!(
        response.status() == StatusCode::UNAUTHORIZED,
        "a request without a token returned {}",
        response.status()
    );
    Ok("403 for another member, 401 without a token".to_owned())
}

async fn disconnect(env: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let (status, disconnected) = member
        .send_request(Method::DELETE, &member.route_url("connection", ""), None)
        .await?;
    ensure!(
        status == StatusCode::OK,
        "the disconnect returned {status}: {disconnected}"
    );
    ensure!(
        disconnected["revoked"] == true,
        "WHOOP did not confirm the revocation: {disconnected}"
    );
    let before = api_call_count(env);
    let day = member.get("daily-data", "").await?;
    ensure!(
        day["meta"]["connection"] == "disconnected",
        "the connection is not disconnected: {}",
        day["meta"]
    );
    ensure!(
        api_call_count(env) == before,
        "WHOOP was called after the disconnect"
    );
    let (status, erased) = member
        .send_request(
            Method::DELETE,
            &member.route_url("connection", "?erase=true"),
            None,
        )
        .await?;
    ensure!(
        status == StatusCode::OK && erased["erased"] == true,
        "the erase returned {status}: {erased}"
    );
    let client = env.database.client().await;
    let row = client
        .query_one(
            "SELECT count(*) FROM whoop_sleep WHERE user_id = $1",
            &[&MEMBER],
        )
        .await?;
    ensure!(
        row.get::<_, i64>(0) == 0,
        "the database has sleeps after the erase"
    );
    Ok("revoked at WHOOP, then erased".to_owned())
}

pub(crate) fn whoop_user_id(env: &DemoEnv) -> anyhow::Result<i64> {
    let grant = env
        .sim
        .world()
        .oauth()
        .grants()
        .into_iter()
        .next()
        .context("no person is connected at the simulator")?;
    Ok(grant.whoop_user_id)
}

/// Returns all data that the simulator has of the connected person.
pub(crate) fn simulator_records(env: &DemoEnv) -> anyhow::Result<Value> {
    Ok(env.sim.world().records().truth(whoop_user_id(env)?))
}

/// Returns the number of calls to WHOOP's data API, as counted by the simulator.
pub(crate) fn api_call_count(env: &DemoEnv) -> usize {
    env.sim
        .world()
        .calls()
        .iter()
        .filter(|call| call.side == CallSide::Api)
        .count()
}

//! Soak test of the quota: two workers and two APIs share it, while members open the app.
//!
//! The test counts the calls that arrived at the simulator, and does not rely on the quota ledger.
//! With WHOOP's own limits, the test takes as long as the same work would take with WHOOP. Larger
//! limits only make the test shorter.

use std::{
    collections::HashMap,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;
use tokio::process::Child;
use whoop_sim::{CallSide, LoggedCall};

use crate::environment::SoakEnv;

/// The engine's freshness interval: data that was read within this time must not be read again.
const FRESHNESS_INTERVAL: TimeDelta = TimeDelta::minutes(15);

#[derive(Debug, clap::Args)]
pub(crate) struct QuotaSoakArgs {
    /// Number of calls to WHOOP after which the soak ends.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    calls: usize,

    /// WHOOP's limit of calls per minute.
    #[arg(long, default_value_t = 100, value_name = "N")]
    calls_per_minute: u32,

    /// WHOOP's limit of calls per day.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    calls_per_day: u32,

    /// Number of connected members.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16_000))]
    members: u16,

    /// Number of workers that run at the same time.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=8))]
    workers: u16,

    /// Scheduled run (slot) that the workers execute: morning, afternoon, evening or night.
    #[arg(long, default_value = "evening", value_name = "SLOT")]
    slot: String,

    /// Number of members who open the app per minute.
    #[arg(long, default_value_t = 4.0, value_name = "N")]
    visits_per_minute: f64,

    /// Seed that decides which members open the app. Default: a random one.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// Counts of the requests that the apps of members sent.
#[derive(Debug, Default)]
struct AppRequestCounters {
    sent: AtomicU64,
    deferred: AtomicU64,
    /// Requests whose response had another status than 200, or whose sync failed.
    failed: AtomicU64,
}

/// Results of the whole soak test.
#[derive(Debug, Default)]
struct QuotaTally {
    waves: u32,
    /// Total time during which workers were running.
    work_time: Duration,
    /// Number of calls to WHOOP during `work_time`.
    calls: usize,
    /// Lowest number of calls in a full minute of a run, not counting the run's last minute.
    min_calls_in_a_minute: Option<usize>,
    /// Maximum resident memory of a worker, in kilobytes.
    max_memory_kb: u64,
    defects: Vec<String>,
}

pub(crate) async fn soak(args: &QuotaSoakArgs) -> anyhow::Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(|| rand::rng().random());
    println!(
        "{} calls, limits of {} per minute and {} per day, {} members, {} worker(s), \
         {} app requests per minute, seed {seed}; whoop-sim replaces WHOOP",
        args.calls,
        args.calls_per_minute,
        args.calls_per_day,
        args.members,
        args.workers,
        args.visits_per_minute
    );
    let env = connected_env(args).await?;
    let env = Arc::new(env);
    let is_over = Arc::new(AtomicBool::new(false));
    let app_requests = Arc::new(AppRequestCounters::default());
    let app_request_sender = tokio::spawn(send_app_requests(
        Arc::clone(&env),
        Arc::clone(&app_requests),
        Arc::clone(&is_over),
        args.visits_per_minute,
        StdRng::seed_from_u64(seed),
    ));

    let mut tally = QuotaTally::default();
    while api_calls(&env).len() < args.calls {
        let has_quota = run_wave(&env, args, &mut tally).await?;
        let [sent, deferred] =
            [&app_requests.sent, &app_requests.deferred].map(|count| count.load(Ordering::Relaxed));
        println!("{sent} app requests so far, {deferred} deferred");
        if !has_quota {
            println!("the day quota is used up");
            break;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    app_request_sender.await?;

    evaluate(&env, args, &app_requests, &mut tally);
    let env = Arc::into_inner(env).context("the environment is still in use")?;
    env.stop().await;
    for defect in &tally.defects {
        println!("DEFECT  {defect}");
    }
    Ok(if tally.defects.is_empty() {
        println!(
            "every member was read, no list was read twice within 15 minutes, no limit was exceeded"
        );
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Connects all members, waits for their first syncs, and then sets the limits of the quota.
async fn connected_env(args: &QuotaSoakArgs) -> anyhow::Result<SoakEnv> {
    let started = Instant::now();
    let mut env = SoakEnv::build(args.members.into(), 20).await?;
    let expected = i64::from(args.members) * 4;
    let read_types = "SELECT count(*) FROM whoop_sync_log l JOIN whoop_users u USING (user_id) \
                WHERE l.sync_status = 'success' AND NOT u.first_sync_pending";
    let deadline = Instant::now() + Duration::from_secs(600);
    while env.query_count(read_types).await? < expected {
        ensure!(
            Instant::now() < deadline,
            "the first syncs did not end within 10 minutes"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    env.set_quota(args.calls_per_minute, args.calls_per_day)
        .await?;
    println!(
        "{} members connected in {:.1} s",
        args.members,
        started.elapsed().as_secs_f64()
    );
    Ok(env)
}

/// Makes all data stale, so that every member is due, and lets the workers execute one run.
///
/// Returns whether quota is left, which is the case if no member was deferred.
async fn run_wave(
    env: &SoakEnv,
    args: &QuotaSoakArgs,
    tally: &mut QuotaTally,
) -> anyhow::Result<bool> {
    env.execute_sql("UPDATE whoop_sync_log SET last_sync_at = last_sync_at - INTERVAL '1 hour'")
        .await?;
    let started = Instant::now();
    let began_at = sim_now(env);
    let before = api_calls(env).len();
    let slot = format!("--slot={}", args.slot);
    let workers: Vec<Child> = (0..args.workers)
        .map(|_| env.spawn_reporting_worker(&[&slot, "--parallel=4"]))
        .collect::<anyhow::Result<_>>()?;
    let mut reports = Vec::new();
    let memory = tokio::spawn(peak_memory_kb(
        workers.iter().filter_map(Child::id).collect(),
    ));
    for worker in workers {
        reports.push(worker_report(worker).await?);
    }
    tally.max_memory_kb = tally.max_memory_kb.max(memory.await?);
    tally.waves += 1;
    tally.work_time += started.elapsed();
    let calls = api_calls(env);
    tally.calls += calls.len() - before;
    let sum = |name: &str| -> u64 {
        let values = reports.iter().filter_map(|report| report[name].as_u64());
        values.sum()
    };
    println!(
        "wave {}: {} calls in {:.1} s, {} members in the reports, {} failed, {} deferred",
        tally.waves,
        calls.len() - before,
        started.elapsed().as_secs_f64(),
        sum("members"),
        sum("failed"),
        sum("deferred"),
    );
    let minutes = full_minutes(&calls, began_at, sim_now(env));
    println!("calls in each full minute: {minutes:?}");
    tally.min_calls_in_a_minute = tally.min_calls_in_a_minute.into_iter().chain(minutes).min();
    if sum("failed") > 0 {
        tally
            .defects
            .push(format!("the syncs of {} members failed", sum("failed")));
    }
    let is_spent = sum("deferred") > 0;
    let reads = reads_since(&calls, began_at);
    // Only the lists that the slot reads are checked, because app requests read other lists too.
    for list in slot_lists(&args.slot) {
        let read = reads
            .keys()
            .filter(|(_, path)| path.ends_with(list))
            .count();
        if !is_spent && read != usize::from(args.members) {
            tally
                .defects
                .push(format!("{list} was read for {read} members in a wave"));
        }
    }
    for ((member, path), read_times) in reads {
        let repeated = read_times
            .windows(2)
            .find(|pair| pair[1] - pair[0] < FRESHNESS_INTERVAL);
        if let Some(pair) = repeated {
            let seconds = (pair[1] - pair[0]).num_seconds();
            tally.defects.push(format!(
                "{path} of member {member} was read twice within {seconds} s"
            ));
        }
    }
    Ok(!is_spent)
}

/// Returns the ends of the API paths that this scheduled run (slot) reads.
fn slot_lists(slot: &str) -> &'static [&'static str] {
    match slot {
        "morning" => &["/recovery", "/activity/sleep"],
        "afternoon" | "evening" => &["/activity/workout", "/cycle"],
        _ => &[
            "/recovery",
            "/activity/sleep",
            "/activity/workout",
            "/cycle",
        ],
    }
}

/// Returns, for each member and API path, the times since `began_at` at which the list was read up
/// to the present.
fn reads_since(
    calls: &[LoggedCall],
    began_at: DateTime<Utc>,
) -> HashMap<(i64, String), Vec<DateTime<Utc>>> {
    let mut reads: HashMap<(i64, String), Vec<DateTime<Utc>>> = HashMap::new();
    for call in calls.iter().filter(|call| call.at >= began_at) {
        let is_first_page = !call.query.contains("nextToken");
        let is_window = window_end(call).is_some_and(|end| call.at - end < FRESHNESS_INTERVAL);
        if let (Some(member), true, true) = (call.whoop_user_id, is_first_page, is_window) {
            let list = (member, call.path.clone());
            reads.entry(list).or_default().push(call.at);
        }
    }
    reads
}

/// Returns the end of the time span that a call requests.
fn window_end(call: &LoggedCall) -> Option<DateTime<Utc>> {
    let mut parameters = call.query.split('&');
    let end = parameters.find_map(|parameter| parameter.strip_prefix("end="))?;
    end.replace("%3A", ":").parse().ok()
}

/// Returns the maximum resident memory of any of these processes, in kilobytes.
///
/// Waits until all processes have ended. Returns 0 if the system does not report the memory.
async fn peak_memory_kb(processes: Vec<u32>) -> u64 {
    let mut max_kb = 0;
    loop {
        let mut alive = 0;
        for process in &processes {
            let status = std::fs::read_to_string(format!("/proc/{process}/status"));
            let peak = status.ok().and_then(|status| {
                let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
                line.split_whitespace().nth(1)?.parse::<u64>().ok()
            });
            alive += u32::from(peak.is_some());
            max_kb = max_kb.max(peak.unwrap_or(0));
        }
        if alive == 0 {
            return max_kb;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn worker_report(worker: Child) -> anyhow::Result<Value> {
    let output = worker.wait_with_output().await?;
    let code = output.status.code();
    ensure!(
        matches!(code, Some(0 | 3 | 4)),
        "a worker exited with code {code:?}"
    );
    serde_json::from_slice(&output.stdout).context("a worker printed no JSON report")
}

async fn send_app_requests(
    env: Arc<SoakEnv>,
    app_requests: Arc<AppRequestCounters>,
    is_over: Arc<AtomicBool>,
    per_minute: f64,
    mut rng: StdRng,
) {
    if per_minute <= 0.0 {
        return;
    }
    let mut requests = tokio::task::JoinSet::new();
    while !is_over.load(Ordering::Relaxed) {
        // The pauses are random, as between independent people: most are short, some are long.
        let pause = -rng.random::<f64>().max(1e-9).ln() * 60.0 / per_minute;
        let next_at = Instant::now() + Duration::from_secs_f64(pause);
        while Instant::now() < next_at && !is_over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let member = rng.random_range(0..env.members.len());
        let api = rng.random_range(0..2);
        let (env, app_requests) = (Arc::clone(&env), Arc::clone(&app_requests));
        requests.spawn(async move {
            app_requests.sent.fetch_add(1, Ordering::Relaxed);
            let url = env.route_url(api, "daily-data", &env.members[member], "");
            let response = env
                .http
                .get(url)
                .bearer_auth(env.service_key())
                .send()
                .await;
            let day: Option<Value> = match response {
                Ok(response) if response.status().is_success() => response.json().await.ok(),
                _ => None,
            };
            match day.as_ref().and_then(|day| day["meta"]["sync"].as_str()) {
                None | Some("failed") => app_requests.failed.fetch_add(1, Ordering::Relaxed),
                Some("deferred") => app_requests.deferred.fetch_add(1, Ordering::Relaxed),
                Some(_) => 0,
            };
        });
    }
    while requests.join_next().await.is_some() {}
}

fn evaluate(
    env: &SoakEnv,
    args: &QuotaSoakArgs,
    app_requests: &AppRequestCounters,
    tally: &mut QuotaTally,
) {
    let calls = api_calls(env);
    let refused = calls.iter().filter(|call| call.status == 429).count();
    let max_calls = max_calls_in_a_minute(&calls);
    let minutes = tally.work_time.as_secs_f64() / 60.0;
    #[expect(clippy::cast_precision_loss, reason = "some thousands of calls")]
    let used_percent = tally.calls as f64 / minutes / f64::from(args.calls_per_minute) * 100.0;
    let [sent, deferred, failed] = [
        &app_requests.sent,
        &app_requests.deferred,
        &app_requests.failed,
    ]
    .map(|count| count.load(Ordering::Relaxed));
    println!(
        "{} calls; at most {max_calls} in any 60 s, limit {}; {refused} refused by WHOOP; \
         {used_percent:.1} % of the limit used while workers ran, at least {} calls in each full \
         minute; workers used at most {} MB",
        calls.len(),
        args.calls_per_minute,
        tally.min_calls_in_a_minute.unwrap_or_default(),
        tally.max_memory_kb / 1024
    );
    println!("{sent} app requests, {deferred} deferred because of the quota, {failed} failed");
    if max_calls > args.calls_per_minute as usize {
        tally.defects.push(format!("{max_calls} calls in 60 s"));
    }
    if calls.len() > args.calls_per_day as usize {
        tally
            .defects
            .push(format!("{} calls in a day", calls.len()));
    }
    if refused > 0 {
        tally.defects.push(format!("WHOOP refused {refused} calls"));
    }
    if failed > 0 {
        tally.defects.push(format!("{failed} app requests failed"));
    }
}

/// Returns the calls to the data API that the simulator has logged since the quota was set.
fn api_calls(env: &SoakEnv) -> Vec<LoggedCall> {
    let mut calls = env.world().calls();
    calls.retain(|call| call.side == CallSide::Api);
    calls
}

fn sim_now(env: &SoakEnv) -> DateTime<Utc> {
    env.world().now()
}

/// Returns the number of calls in each full minute between two instants.
///
/// The last minute is not included, because the work ends in it.
fn full_minutes(
    calls: &[LoggedCall],
    began_at: DateTime<Utc>,
    ended_at: DateTime<Utc>,
) -> Vec<usize> {
    let minutes = (ended_at - began_at).num_minutes() - 1;
    let count = |minute| {
        let from = began_at + TimeDelta::minutes(minute);
        let is_within =
            |call: &&LoggedCall| call.at >= from && call.at < from + TimeDelta::minutes(1);
        calls.iter().filter(is_within).count()
    };
    (0..minutes).map(count).collect()
}

fn max_calls_in_a_minute(calls: &[LoggedCall]) -> usize {
    let mut oldest = 0;
    let mut max_calls = 0;
    for (index, call) in calls.iter().enumerate() {
        while call.at - calls[oldest].at >= TimeDelta::minutes(1) {
            oldest += 1;
        }
        max_calls = max_calls.max(index - oldest + 1);
    }
    max_calls
}

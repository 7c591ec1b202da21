//! Two workers and two APIs that share one quota, while members open the app.
//!
//! The result is judged by the calls that the simulator counted, not by the quota ledger. With
//! WHOOP's own limits the soak takes as long as it would with WHOOP; larger limits only make it
//! shorter.

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

/// Freshness interval: data that was read within it must not be read again.
const FRESHNESS_INTERVAL: TimeDelta = TimeDelta::minutes(15);

#[derive(Debug, clap::Args)]
pub(crate) struct QuotaSoakArgs {
    /// Number of calls after which the soak ends.
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

    /// Slot that the workers run.
    #[arg(long, default_value = "evening", value_name = "SLOT")]
    slot: String,

    /// Number of members who open the app per minute.
    #[arg(long, default_value_t = 4.0, value_name = "N")]
    visits_per_minute: f64,

    /// Seed that decides which members open the app. Default: a random one.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// Responses to members who opened the app.
#[derive(Debug, Default)]
struct AppRequestCounters {
    sent: AtomicU64,
    deferred: AtomicU64,
    /// Requests without a response of status 200.
    failed: AtomicU64,
}

/// Results of all runs.
#[derive(Debug, Default)]
struct QuotaTally {
    waves: u32,
    /// Time during which workers ran.
    work_time: Duration,
    /// Number of calls in that time.
    calls: usize,
    /// Fewest calls in a full minute in which both workers had work.
    min_calls_in_a_minute: Option<usize>,
    /// Maximum resident memory of a worker, in kilobytes.
    max_memory_kb: u64,
    defects: Vec<String>,
}

pub(crate) async fn soak(args: &QuotaSoakArgs) -> anyhow::Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(|| rand::rng().random());
    println!(
        "{} calls at {} a minute and {} a day, {} members, {} worker(s), {} visits a minute, \
         seed {seed}; whoop-sim stands in for WHOOP",
        args.calls,
        args.calls_per_minute,
        args.calls_per_day,
        args.members,
        args.workers,
        args.visits_per_minute
    );
    let house = connected_env(args).await?;
    let house = Arc::new(house);
    let is_over = Arc::new(AtomicBool::new(false));
    let visits = Arc::new(AppRequestCounters::default());
    let visitors = tokio::spawn(send_app_requests(
        Arc::clone(&house),
        Arc::clone(&visits),
        Arc::clone(&is_over),
        args.visits_per_minute,
        StdRng::seed_from_u64(seed),
    ));

    let mut tally = QuotaTally::default();
    while api_calls(&house).len() < args.calls {
        let goes_on = run_wave(&house, args, &mut tally).await?;
        let [made, deferred] =
            [&visits.sent, &visits.deferred].map(|one| one.load(Ordering::Relaxed));
        println!("{made} app requests until now, {deferred} deferred");
        if !goes_on {
            println!("the day's calls are spent");
            break;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    visitors.await?;

    evaluate(&house, args, &visits, &mut tally);
    let house = Arc::into_inner(house).context("somebody still holds the house")?;
    house.stop().await;
    for defect in &tally.defects {
        println!("DEFECT  {defect}");
    }
    Ok(if tally.defects.is_empty() {
        println!("every member once, nothing twice, and never more than WHOOP allows");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Connects all members, waits for their first syncs, and sets the quota.
async fn connected_env(args: &QuotaSoakArgs) -> anyhow::Result<SoakEnv> {
    let began = Instant::now();
    let mut house = SoakEnv::build(args.members.into(), 20).await?;
    let wanted = i64::from(args.members) * 4;
    let read = "SELECT count(*) FROM whoop_sync_log l JOIN whoop_users u USING (user_id) \
                WHERE l.sync_status = 'success' AND NOT u.first_sync_pending";
    let deadline = Instant::now() + Duration::from_secs(600);
    while house.query_count(read).await? < wanted {
        ensure!(Instant::now() < deadline, "first syncs never ended");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    house
        .set_quota(args.calls_per_minute, args.calls_per_day)
        .await?;
    println!(
        "{} members connected in {:.1} s",
        args.members,
        began.elapsed().as_secs_f64()
    );
    Ok(house)
}

/// Makes all data stale, so that every member is due, and runs the workers once. Returns whether
/// quota remains.
async fn run_wave(
    house: &SoakEnv,
    args: &QuotaSoakArgs,
    tally: &mut QuotaTally,
) -> anyhow::Result<bool> {
    house
        .execute_sql("UPDATE whoop_sync_log SET last_sync_at = last_sync_at - INTERVAL '1 hour'")
        .await?;
    let began = Instant::now();
    let began_at = sim_now(house);
    let before = api_calls(house).len();
    let slot = format!("--slot={}", args.slot);
    let workers: Vec<Child> = (0..args.workers)
        .map(|_| house.spawn_reporting_worker(&[&slot, "--parallel=4"]))
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
    tally.work_time += began.elapsed();
    let calls = api_calls(house);
    tally.calls += calls.len() - before;
    let sum = |name: &str| -> u64 { reports.iter().filter_map(|one| one[name].as_u64()).sum() };
    println!(
        "wave {}: {} calls in {:.1} s, {} turns, {} failed, {} put off",
        tally.waves,
        calls.len() - before,
        began.elapsed().as_secs_f64(),
        sum("members"),
        sum("failed"),
        sum("deferred"),
    );
    let minutes = full_minutes(&calls, began_at, sim_now(house));
    println!("calls in each full minute: {minutes:?}");
    tally.min_calls_in_a_minute = tally.min_calls_in_a_minute.into_iter().chain(minutes).min();
    if sum("failed") > 0 {
        tally
            .defects
            .push(format!("{} turns failed", sum("failed")));
    }
    let is_spent = sum("deferred") > 0;
    let reads = reads_since(&calls, began_at);
    // Only the slot's lists count, because app requests read other data types as well.
    for list in slot_lists(&args.slot) {
        let read = reads
            .keys()
            .filter(|(_, path)| path.ends_with(list))
            .count();
        if !is_spent && read != usize::from(args.members) {
            tally
                .defects
                .push(format!("{list} was read of {read} members in a wave"));
        }
    }
    for ((member, path), at) in reads {
        let twice = at
            .windows(2)
            .find(|two| two[1] - two[0] < FRESHNESS_INTERVAL);
        if let Some(two) = twice {
            let apart = (two[1] - two[0]).num_seconds();
            tally.defects.push(format!(
                "{path} of {member} was read twice, {apart} s apart"
            ));
        }
    }
    Ok(!is_spent)
}

/// Returns the lists that a slot reads.
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

/// Returns the times at which each list of each member was read up to the present.
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

/// Returns the end of the window that a call requests.
fn window_end(call: &LoggedCall) -> Option<DateTime<Utc>> {
    let mut parameters = call.query.split('&');
    let end = parameters.find_map(|one| one.strip_prefix("end="))?;
    end.replace("%3A", ":").parse().ok()
}

/// Returns the maximum resident memory of these processes, in kilobytes, or 0 if the system does
/// not report it.
async fn peak_memory_kb(processes: Vec<u32>) -> u64 {
    let mut most = 0;
    loop {
        let mut alive = 0;
        for process in &processes {
            let status = std::fs::read_to_string(format!("/proc/{process}/status"));
            let peak = status.ok().and_then(|status| {
                let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
                line.split_whitespace().nth(1)?.parse::<u64>().ok()
            });
            alive += u32::from(peak.is_some());
            most = most.max(peak.unwrap_or(0));
        }
        if alive == 0 {
            return most;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn worker_report(worker: Child) -> anyhow::Result<Value> {
    let output = worker.wait_with_output().await?;
    let code = output.status.code();
    ensure!(
        matches!(code, Some(0 | 3 | 4)),
        "a worker ended with {code:?}"
    );
    serde_json::from_slice(&output.stdout).context("a worker's report")
}

async fn send_app_requests(
    house: Arc<SoakEnv>,
    visits: Arc<AppRequestCounters>,
    is_over: Arc<AtomicBool>,
    a_minute: f64,
    mut random: StdRng,
) {
    if a_minute <= 0.0 {
        return;
    }
    let mut under_way = tokio::task::JoinSet::new();
    while !is_over.load(Ordering::Relaxed) {
        // Random pauses as between independent people: most are short, some are long.
        let pause = -random.random::<f64>().max(1e-9).ln() * 60.0 / a_minute;
        let comes_at = Instant::now() + Duration::from_secs_f64(pause);
        while Instant::now() < comes_at && !is_over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let member = random.random_range(0..house.members.len());
        let api = random.random_range(0..2);
        let (house, visits) = (Arc::clone(&house), Arc::clone(&visits));
        under_way.spawn(async move {
            visits.sent.fetch_add(1, Ordering::Relaxed);
            let url = house.route_url(api, "daily-data", &house.members[member], "");
            let answer = house
                .http
                .get(url)
                .bearer_auth(house.service_key())
                .send()
                .await;
            let day: Option<Value> = match answer {
                Ok(answer) if answer.status().is_success() => answer.json().await.ok(),
                _ => None,
            };
            match day.as_ref().and_then(|day| day["meta"]["sync"].as_str()) {
                None | Some("failed") => visits.failed.fetch_add(1, Ordering::Relaxed),
                Some("deferred") => visits.deferred.fetch_add(1, Ordering::Relaxed),
                Some(_) => 0,
            };
        });
    }
    while under_way.join_next().await.is_some() {}
}

fn evaluate(
    house: &SoakEnv,
    args: &QuotaSoakArgs,
    visits: &AppRequestCounters,
    tally: &mut QuotaTally,
) {
    let calls = api_calls(house);
    let refused = calls.iter().filter(|call| call.status == 429).count();
    let most = max_calls_in_a_minute(&calls);
    let minutes = tally.work_time.as_secs_f64() / 60.0;
    #[expect(clippy::cast_precision_loss, reason = "some thousands of calls")]
    let used = tally.calls as f64 / minutes / f64::from(args.calls_per_minute) * 100.0;
    let [made, put_off, bad] =
        [&visits.sent, &visits.deferred, &visits.failed].map(|count| count.load(Ordering::Relaxed));
    println!(
        "{} calls; at most {most} in any 60 s of {} allowed; {refused} refused by WHOOP; \
         {used:.1} % of the allowance used while workers ran, {} calls in the full minute with the \
         fewest; workers had {} MB at most",
        calls.len(),
        args.calls_per_minute,
        tally.min_calls_in_a_minute.unwrap_or_default(),
        tally.max_memory_kb / 1024
    );
    println!("{made} visits, {put_off} put off because of the quota, {bad} without an answer");
    if most > args.calls_per_minute as usize {
        tally.defects.push(format!("{most} calls in 60 s"));
    }
    if calls.len() > args.calls_per_day as usize {
        tally
            .defects
            .push(format!("{} calls in a day", calls.len()));
    }
    if refused > 0 {
        tally.defects.push(format!("WHOOP refused {refused} calls"));
    }
    if bad > 0 {
        tally
            .defects
            .push(format!("{bad} visits without an answer"));
    }
}

/// Returns the calls to the data API since the quota was set.
fn api_calls(house: &SoakEnv) -> Vec<LoggedCall> {
    let mut calls = house.world().calls();
    calls.retain(|call| call.side == CallSide::Api);
    calls
}

fn sim_now(house: &SoakEnv) -> DateTime<Utc> {
    house.world().now()
}

/// Returns the calls in each full minute between two instants, without the last minute, in which
/// the work ends.
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
    let mut most = 0;
    for (place, call) in calls.iter().enumerate() {
        while call.at - calls[oldest].at >= TimeDelta::minutes(1) {
            oldest += 1;
        }
        most = most.max(place - oldest + 1);
    }
    most
}

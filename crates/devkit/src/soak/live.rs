//! Soak test of live updates: the time from a change at WHOOP to the event in the app, and the
//! memory that open event streams use.

use std::{
    collections::HashMap,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{StreamExt, TryStreamExt, stream};
use hmac::{Hmac, KeyInit, Mac};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    sync::{Mutex, mpsc},
    time::{interval, timeout},
};
use whoop_core::{Clock, SystemClock};
use whoop_sim::{SimConfig, SimDataType};

use crate::environment::SoakEnv;

/// Maximum time from a change at WHOOP to the event in the app. A later event counts as lost.
const EVENT_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum number of event streams that are being opened at the same time.
const CONCURRENT_OPENS: usize = 16;

#[derive(Debug, clap::Args)]
pub(crate) struct LiveSoakArgs {
    /// Number of connected members.
    #[arg(long, default_value_t = 150, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    members: u16,

    /// Number of event streams that are open during the measurement; a member has at most 8.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    streams: usize,

    /// Number of webhooks per second.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    webhooks_per_second: u32,

    /// Time for which webhooks are sent, in seconds.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,

    /// Number of changes at WHOOP for which the time until the app receives the event is measured.
    #[arg(long, default_value_t = 200, value_name = "N")]
    changes: usize,
}

pub(crate) async fn measure(args: &LiveSoakArgs) -> anyhow::Result<ExitCode> {
    ensure!(
        args.streams <= usize::from(args.members) * 8,
        "a member can have at most 8 streams; increase --members"
    );
    let env = SoakEnv::build(args.members.into(), 20).await?;
    println!("{} members; whoop-sim replaces WHOOP", args.members);
    env.world().send_webhooks_to(&env.webhook_url(0));
    let mut readers = open_streams(&env, args.streams).await?;
    let event_delays = time_changes(&env, &mut readers, args.changes).await?;
    let response_times = send_webhooks(&env, args).await?;
    drop(readers);
    env.stop().await;
    println!(
        "delay from a change at WHOOP to the event in the app: {}",
        latency_text(event_delays)
    );
    println!(
        "response time of a webhook: {}",
        latency_text(response_times)
    );
    Ok(ExitCode::SUCCESS)
}

/// Tasks that read the event streams, and a channel with the member and the time of each `day`
/// event.
struct EventReaders {
    arrivals: mpsc::UnboundedReceiver<(usize, Instant)>,
    readers: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for EventReaders {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
    }
}

/// Opens event streams at the second API, spread over the members.
async fn open_streams(env: &SoakEnv, count: usize) -> anyhow::Result<EventReaders> {
    let before = env.api_memory_kb(1)?;
    let (sender, arrivals) = mpsc::unbounded_channel();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let readers: Vec<tokio::task::JoinHandle<()>> = stream::iter(0..count)
        .map(|nth| {
            let (http, sender) = (http.clone(), sender.clone());
            async move {
                let index = nth % env.members.len();
                let url = env.route_url(1, "events", &env.members[index], "");
                let request = http.get(url).bearer_auth(env.service_key());
                let mut response = request.send().await?.error_for_status()?;
                let first = response.chunk().await?;
                ensure!(first.is_some(), "an event stream ended immediately");
                // Only the first stream of each member reports its events.
                let reports = nth < env.members.len();
                Ok(tokio::spawn(async move {
                    while let Ok(Some(chunk)) = response.chunk().await {
                        let is_day = String::from_utf8_lossy(&chunk).contains("event: day");
                        if reports && is_day && sender.send((index, Instant::now())).is_err() {
                            return;
                        }
                    }
                }))
            }
        })
        .buffer_unordered(CONCURRENT_OPENS)
        .try_collect()
        .await?;
    let after = env.api_memory_kb(1)?;
    println!(
        "{count} open event streams: the API uses {} MB of resident memory, {} MB before",
        after / 1024,
        before / 1024
    );
    Ok(EventReaders { arrivals, readers })
}

/// Makes one change after another in the simulator, and returns the time from each change to the
/// event in the app.
async fn time_changes(
    env: &SoakEnv,
    readers: &mut EventReaders,
    count: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut rng = StdRng::seed_from_u64(1);
    let scored_cycle = |index: usize| {
        let truth = env
            .world()
            .records()
            .truth(env.members[index].whoop_user_id);
        let recoveries = truth["recoveries"].as_array()?;
        let is_scored = |recovery: &&Value| recovery["score_state"] == "SCORED";
        Some(recoveries.iter().find(is_scored)?["cycle_id"].clone())
    };
    // A person who never wears the strap has no scored night.
    let nights: Vec<(usize, Value)> = (0..env.members.len())
        .filter_map(|index| Some((index, scored_cycle(index)?)))
        .collect();
    let mut times = Vec::with_capacity(count);
    for nth in 0..count {
        let (index, cycle_id) = &nights[rng.random_range(0..nights.len())];
        let (index, person) = (*index, env.members[*index].whoop_user_id);
        while readers.arrivals.try_recv().is_ok() {}
        let started = Instant::now();
        env.world()
            .records()
            .patch(
                person,
                SimDataType::Recovery,
                cycle_id,
                json!({"score": {"recovery_score": 1 + nth % 99}}),
            )
            .map_err(|error| anyhow::anyhow!("the simulator refused the change: {error}"))?;
        let arrival = async {
            while let Some((member, at)) = readers.arrivals.recv().await {
                if member == index {
                    return Some(at);
                }
            }
            None
        };
        let Ok(at) = timeout(EVENT_TIMEOUT, arrival).await else {
            let events = format!(
                "SELECT string_agg(concat_ws(' ', event_type, state, received_at, due_at, \
                     finished_at, attempts, looks, last_error), '; ') \
                 FROM whoop_webhook_event WHERE whoop_user_id = {person}"
            );
            bail!(
                "the event of change {nth} (WHOOP user {person}) did not arrive within \
                 {EVENT_TIMEOUT:?}; webhook events: {:?}",
                env.query_text(&events).await?
            );
        };
        let at = at.context("all event streams have ended")?;
        times.push(at - started);
    }
    Ok(times)
}

/// Sends webhooks at a fixed rate and returns their response times.
///
/// Every second webhook is about a WHOOP user who is not a member. Each webhook is sent on time,
/// even if earlier ones have no response yet.
async fn send_webhooks(env: &SoakEnv, args: &LiveSoakArgs) -> anyhow::Result<Vec<Duration>> {
    let events: Vec<(i64, String)> = env
        .members
        .iter()
        .filter_map(|member| {
            let truth = env.world().records().truth(member.whoop_user_id);
            let sleep = truth["sleeps"][0]["id"].as_str()?.to_owned();
            Some((member.whoop_user_id, sleep))
        })
        .collect();
    let url = env.webhook_url(0);
    let http = reqwest::Client::builder().no_proxy().build()?;
    let times: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let statuses: Arc<Mutex<HashMap<u16, usize>>> = Arc::default();
    let mut ticks = interval(Duration::from_secs(1) / args.webhooks_per_second);
    let mut sent = Vec::new();
    for nth in 0..args.webhooks_per_second * args.seconds {
        ticks.tick().await;
        let index = usize::try_from(nth)? % events.len();
        let (mut whoop_user_id, sleep) = events[index].clone();
        // Every second webhook is about a WHOOP user who is not a member.
        if nth % 2 == 1 {
            whoop_user_id = i64::from(nth) + 1;
        }
        let body = json!({
            "user_id": whoop_user_id, "id": sleep, "type": "sleep.updated",
            "trace_id": format!("soak-{nth}"),
        });
        let request = signed_request(&http, &url, &body)?;
        let (times, statuses) = (Arc::clone(&times), Arc::clone(&statuses));
        sent.push(tokio::spawn(async move {
            let started = Instant::now();
            let response = request.send().await;
            let took = started.elapsed();
            let status = response.map_or(0, |response| response.status().as_u16());
            times.lock().await.push(took);
            *statuses.lock().await.entry(status).or_default() += 1;
        }));
    }
    for task in sent {
        task.await?;
    }
    let statuses = statuses.lock().await;
    println!(
        "{} webhooks at {} per second; responses by status: {statuses:?}",
        times.lock().await.len(),
        args.webhooks_per_second
    );
    let times = times.lock().await.clone();
    Ok(times)
}

fn signed_request(
    http: &reqwest::Client,
    url: &str,
    body: &Value,
) -> anyhow::Result<reqwest::RequestBuilder> {
    let body = body.to_string();
    let timestamp = SystemClock.now().timestamp_millis().to_string();
    let secret = SimConfig::default().client_secret;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(timestamp.as_bytes());
    mac.update(body.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    Ok(http
        .post(url)
        .header("content-type", "application/json")
        .header("x-whoop-signature", signature)
        .header("x-whoop-signature-timestamp", timestamp)
        .body(body))
}

fn latency_text(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        let time = times.get(index).copied().unwrap_or_default();
        time.as_secs_f64() * 1000.0
    };
    format!(
        "median {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, maximum {:.1} ms, {} samples",
        at(50),
        at(95),
        at(99),
        at(100),
        times.len()
    )
}

//! Measures how fast a change arrives, from webhook to event, and the cost of open streams.

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

/// Maximum time until a change arrives; after that it counts as lost.
const EVENT_TIMEOUT: Duration = Duration::from_secs(20);

/// Number of streams that are opened at the same time.
const CONCURRENT_OPENS: usize = 16;

#[derive(Debug, clap::Args)]
pub(crate) struct LiveSoakArgs {
    /// Number of connected members.
    #[arg(long, default_value_t = 150, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    members: u16,

    /// Number of event streams that are open meanwhile; a member has at most 8.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    streams: usize,

    /// Number of webhooks per second.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    webhooks_per_second: u32,

    /// Duration of the webhooks, in seconds.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,

    /// Number of changes at WHOOP that are timed until they arrive at the app, one after another.
    #[arg(long, default_value_t = 200, value_name = "N")]
    changes: usize,
}

pub(crate) async fn measure(args: &LiveSoakArgs) -> anyhow::Result<ExitCode> {
    ensure!(
        args.streams <= usize::from(args.members) * 8,
        "a member has 8 streams at the most; name more members"
    );
    let house = SoakEnv::build(args.members.into(), 20).await?;
    println!("{} members; whoop-sim stands in for WHOOP", args.members);
    house.world().send_webhooks_to(&house.webhook_url(0));
    let mut followers = open_streams(&house, args.streams).await?;
    let told = time_changes(&house, &mut followers, args.changes).await?;
    let answered = send_webhooks(&house, args).await?;
    drop(followers);
    house.stop().await;
    println!(
        "from a change at WHOOP to the event at the app: {}",
        latency_text(told)
    );
    println!("a webhook's answer: {}", latency_text(answered));
    Ok(ExitCode::SUCCESS)
}

/// Readers of event streams, and the times at which members' changes arrived.
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

/// Opens streams at the second API, spread over the members.
async fn open_streams(house: &SoakEnv, count: usize) -> anyhow::Result<EventReaders> {
    let before = house.api_memory_kb(1)?;
    let (to, heard) = mpsc::unbounded_channel();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let readers: Vec<tokio::task::JoinHandle<()>> = stream::iter(0..count)
        .map(|nth| {
            let (http, to) = (http.clone(), to.clone());
            async move {
                let place = nth % house.members.len();
                let url = house.route_url(1, "events", &house.members[place], "");
                let request = http.get(url).bearer_auth(house.service_key());
                let mut response = request.send().await?.error_for_status()?;
                let first = response.chunk().await?;
                ensure!(first.is_some(), "a stream ended at once");
                // Only the first stream of each member reports arrivals.
                let tells = nth < house.members.len();
                Ok(tokio::spawn(async move {
                    while let Ok(Some(chunk)) = response.chunk().await {
                        let is_day = String::from_utf8_lossy(&chunk).contains("event: day");
                        if tells && is_day && to.send((place, Instant::now())).is_err() {
                            return;
                        }
                    }
                }))
            }
        })
        .buffer_unordered(CONCURRENT_OPENS)
        .try_collect()
        .await?;
    let after = house.api_memory_kb(1)?;
    println!(
        "{count} open event streams: the API has {} MB resident, {} MB before",
        after / 1024,
        before / 1024
    );
    Ok(EventReaders {
        arrivals: heard,
        readers,
    })
}

/// Makes one change at WHOOP after another, and times each until the app receives its event.
async fn time_changes(
    house: &SoakEnv,
    followers: &mut EventReaders,
    count: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut random = StdRng::seed_from_u64(1);
    let scored = |place: usize| {
        let truth = house.world().truth(house.members[place].whoop_user_id);
        let recoveries = truth["recoveries"].as_array()?;
        let is_scored = |one: &&Value| one["score_state"] == "SCORED";
        Some(recoveries.iter().find(is_scored)?["cycle_id"].clone())
    };
    // A member who never wears the strap has no scored night.
    let nights: Vec<(usize, Value)> = (0..house.members.len())
        .filter_map(|place| Some((place, scored(place)?)))
        .collect();
    let mut times = Vec::with_capacity(count);
    for nth in 0..count {
        let (place, cycle_id) = &nights[random.random_range(0..nights.len())];
        let (place, person) = (*place, house.members[*place].whoop_user_id);
        while followers.arrivals.try_recv().is_ok() {}
        let began = Instant::now();
        house
            .world()
            .patch(
                person,
                SimDataType::Recovery,
                cycle_id,
                json!({"score": {"recovery_score": 1 + nth % 99}}),
            )
            .map_err(|error| anyhow::anyhow!("the simulator: {error}"))?;
        let heard = async {
            while let Some((of, at)) = followers.arrivals.recv().await {
                if of == place {
                    return Some(at);
                }
            }
            None
        };
        let Ok(at) = timeout(EVENT_TIMEOUT, heard).await else {
            let events = format!(
                "SELECT string_agg(concat_ws(' ', event_type, state, received_at, due_at, \
                     finished_at, attempts, looks, last_error), '; ') \
                 FROM whoop_webhook_event WHERE whoop_user_id = {person}"
            );
            bail!(
                "change {nth}, of {person}, was not told within {EVENT_TIMEOUT:?}: {:?}",
                house.query_text(&events).await?
            );
        };
        let at = at.context("nobody follows")?;
        times.push(at - began);
    }
    Ok(times)
}

/// Sends webhooks at a fixed rate, about members' real records and about strangers. Each is sent on
/// time, even if earlier ones have no response yet.
async fn send_webhooks(house: &SoakEnv, args: &LiveSoakArgs) -> anyhow::Result<Vec<Duration>> {
    let events: Vec<(i64, String)> = house
        .members
        .iter()
        .filter_map(|member| {
            let truth = house.world().truth(member.whoop_user_id);
            let sleep = truth["sleeps"][0]["id"].as_str()?.to_owned();
            Some((member.whoop_user_id, sleep))
        })
        .collect();
    let url = house.webhook_url(0);
    let http = reqwest::Client::builder().no_proxy().build()?;
    let times: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let statuses: Arc<Mutex<HashMap<u16, usize>>> = Arc::default();
    let mut ticks = interval(Duration::from_secs(1) / args.webhooks_per_second);
    let mut sent = Vec::new();
    for nth in 0..args.webhooks_per_second * args.seconds {
        ticks.tick().await;
        let place = usize::try_from(nth)? % events.len();
        let (mut whoop_user_id, sleep) = events[place].clone();
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
            let began = Instant::now();
            let answer = request.send().await;
            let took = began.elapsed();
            let status = answer.map_or(0, |answer| answer.status().as_u16());
            times.lock().await.push(took);
            *statuses.lock().await.entry(status).or_default() += 1;
        }));
    }
    for one in sent {
        one.await?;
    }
    let statuses = statuses.lock().await;
    println!(
        "{} webhooks at {} a second: {statuses:?}",
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
        let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        let time = times.get(place).copied().unwrap_or_default();
        time.as_secs_f64() * 1000.0
    };
    format!(
        "median {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, at most {:.1} ms of {}",
        at(50),
        at(95),
        at(99),
        at(100),
        times.len()
    )
}

//! Acceptance steps for changes that reach the app through webhooks, events and the change feed.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::time::timeout;
use whoop_sim::SimDataType;

use super::{
    environment::DemoEnv,
    member::DemoMember,
    steps::{api_call_count, simulator_records, whoop_user_id},
};

/// Maximum time from a change at WHOOP until the app receives the event.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// A night with a recovery to which the simulated WHOOP gave a new score.
pub(crate) struct RescoredNight {
    pub(crate) cycle: String,
    pub(crate) was: f64,
    pub(crate) now: f64,
}

impl RescoredNight {
    /// Changes the score of a recovery in the simulator to one of two scores: the one that differs
    /// more from the current score.
    pub(crate) fn rescore(env: &DemoEnv, [low, high]: [f64; 2]) -> anyhow::Result<Self> {
        let truth = simulator_records(env)?;
        let recovery = truth["recoveries"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|recovery| recovery["score"]["recovery_score"].is_number())
            .context("the simulator has no scored recovery")?;
        let cycle = recovery["cycle_id"].to_string();
        let was = recovery["score"]["recovery_score"]
            .as_f64()
            .unwrap_or_default();
        let now = if was < 50.0 { high } else { low };
        let change = json!({"score": {"recovery_score": now}});
        env.sim
            .world()
            .records()
            .patch(whoop_user_id(env)?, SimDataType::Recovery, &cycle, change)
            .map_err(|error| anyhow::anyhow!("the simulator refused the change: {error}"))?;
        Ok(Self { cycle, was, now })
    }
}

/// Asserts that the stored day of this date shows a recovery with this score.
pub(crate) async fn assert_recovery_shown(
    member: &DemoMember,
    date: &str,
    score: f64,
) -> anyhow::Result<()> {
    let query = format!("?date={date}&refresh=never");
    let day = member.get("daily-data", &query).await?;
    ensure!(
        day["recovery"]["score"].as_f64() == Some(score)
            || day["others"]["recoveries"][0]["score"].as_f64() == Some(score),
        "the day {date} shows {} instead of the score {score}",
        day["recovery"]
    );
    Ok(())
}

/// Changes the score of a night at WHOOP, and asserts that the member's event stream reports the
/// change.
pub(crate) async fn webhook_event(env: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let mut events = member.open_event_stream().await?;
    let before = api_call_count(env);
    let started = Instant::now();
    let RescoredNight { was, now, .. } = RescoredNight::rescore(env, [21.5, 88.5])?;
    let event = timeout(WEBHOOK_TIMEOUT, events.next_day())
        .await
        .with_context(|| format!("no `day` event within {WEBHOOK_TIMEOUT:?}"))??;
    let took = started.elapsed();
    let date = event["date"].as_str().context("the event has no date")?;
    assert_recovery_shown(member, date, now).await?;
    Ok(format!(
        "score {was} → {now}, event after {:.2} s, {} calls",
        took.as_secs_f64(),
        api_call_count(env) - before
    ))
}

/// Reads the change feed as an app without any data does, and asserts that the app then has every
/// record.
pub(crate) async fn offline_app(env: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let mut records: BTreeSet<(String, String)> = BTreeSet::new();
    let (mut since, mut pages) = (0, 0);
    loop {
        let query = format!("?since={since}&limit=1000");
        let page = member.get("changes", &query).await?;
        pages += 1;
        for change in page["changes"].as_array().into_iter().flatten() {
            let text = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
            ensure!(
                change["seq"].as_i64() == Some(since + 1),
                "sequence number {since} is followed by {}",
                change["seq"]
            );
            since += 1;
            let record = (text("data_type"), text("id"));
            match change["op"].as_str() {
                Some("delete") => records.remove(&record),
                _ => records.insert(record),
            };
        }
        if page["more"] != json!(true) {
            break;
        }
    }
    let truth = simulator_records(env)?;
    let expected: usize = ["cycles", "recoveries", "sleeps", "workouts"]
        .iter()
        .filter_map(|list| truth[list].as_array().map(Vec::len))
        .sum();
    ensure!(
        records.len() == expected,
        "the app has {} records, WHOOP has {expected}",
        records.len()
    );
    Ok(format!(
        "{since} changes on {pages} pages result in all {expected} records"
    ))
}

/// An open event stream of a member, with the text that was received but not parsed yet.
pub(crate) struct MemberEventStream {
    pub(crate) response: reqwest::Response,
    pub(crate) text: String,
}

impl MemberEventStream {
    /// Waits for the next `day` event and returns its data.
    async fn next_day(&mut self) -> anyhow::Result<Value> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                if event.contains("event: day")
                    && let Some(data) = data
                {
                    return Ok(serde_json::from_str(data)?);
                }
            }
            let chunk = self.response.chunk().await?;
            let chunk = chunk.context("the event stream ended")?;
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}

//! Acceptance steps for changes that arrive without a request of the app.

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

/// Maximum time for a webhook's change to arrive.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// A night with a recovery that got another score at WHOOP.
pub(crate) struct RescoredNight {
    pub(crate) cycle: String,
    pub(crate) was: f64,
    pub(crate) now: f64,
}

impl RescoredNight {
    /// Rescores a scored night with the one of two scores that is farther from its own.
    pub(crate) fn rescore(stack: &DemoEnv, [low, high]: [f64; 2]) -> anyhow::Result<Self> {
        let truth = simulator_records(stack)?;
        let recovery = truth["recoveries"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|recovery| recovery["score"]["recovery_score"].is_number())
            .context("no scored recovery at the simulator")?;
        let cycle = recovery["cycle_id"].to_string();
        let was = recovery["score"]["recovery_score"]
            .as_f64()
            .unwrap_or_default();
        let now = if was < 50.0 { high } else { low };
        let change = json!({"score": {"recovery_score": now}});
        stack
            .sim
            .world()
            .patch(whoop_user_id(stack)?, SimDataType::Recovery, &cycle, change)
            .map_err(|error| anyhow::anyhow!("the simulator: {error}"))?;
        Ok(Self { cycle, was, now })
    }
}

/// Asserts that the day shows this recovery, from the database.
pub(crate) async fn assert_recovery_shown(
    member: &DemoMember,
    date: &str,
    score: f64,
) -> anyhow::Result<()> {
    let rest = format!("?date={date}&refresh=never");
    let day = member.get("daily-data", &rest).await?;
    ensure!(
        day["recovery"]["score"].as_f64() == Some(score)
            || day["others"]["recoveries"][0]["score"].as_f64() == Some(score),
        "the day shows {}",
        day["recovery"]
    );
    Ok(())
}

/// Rescores a night at WHOOP, and asserts that the member's event stream reports it.
pub(crate) async fn webhook_event(stack: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let mut events = member.open_event_stream().await?;
    let before = api_call_count(stack);
    let begun = Instant::now();
    let RescoredNight { was, now, .. } = RescoredNight::rescore(stack, [21.5, 88.5])?;
    let told = timeout(WEBHOOK_TIMEOUT, events.next_day())
        .await
        .context("nobody was told")??;
    let took = begun.elapsed();
    let date = told["date"].as_str().context("the event has no date")?;
    assert_recovery_shown(member, date, now).await?;
    Ok(format!(
        "{was} → {now} told after {:.2} s, {} calls",
        took.as_secs_f64(),
        api_call_count(stack) - before
    ))
}

/// Reads the change feed like an app without any data, and asserts that the result has every
/// record.
pub(crate) async fn offline_app(stack: &DemoEnv, member: &DemoMember) -> anyhow::Result<String> {
    let mut has: BTreeSet<(String, String)> = BTreeSet::new();
    let (mut since, mut asked) = (0, 0);
    loop {
        let rest = format!("?since={since}&limit=1000");
        let page = member.get("changes", &rest).await?;
        asked += 1;
        for change in page["changes"].as_array().into_iter().flatten() {
            let text = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
            ensure!(
                change["seq"].as_i64() == Some(since + 1),
                "after {since} came {}",
                change["seq"]
            );
            since += 1;
            let record = (text("data_type"), text("id"));
            match change["op"].as_str() {
                Some("delete") => has.remove(&record),
                _ => has.insert(record),
            };
        }
        if page["more"] != json!(true) {
            break;
        }
    }
    let truth = simulator_records(stack)?;
    let there: usize = ["cycles", "recoveries", "sleeps", "workouts"]
        .iter()
        .filter_map(|list| truth[list].as_array().map(Vec::len))
        .sum();
    ensure!(
        has.len() == there,
        "the app has {} records, WHOOP {there}",
        has.len()
    );
    Ok(format!(
        "{since} changes in {asked} answers make the {there} records"
    ))
}

/// An open event stream, with the text that was read but not parsed yet.
pub(crate) struct MemberEventStream {
    pub(crate) response: reqwest::Response,
    pub(crate) text: String,
}

impl MemberEventStream {
    /// Returns the data of the next `day` event.
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
            let chunk = chunk.context("the stream ended")?;
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}

//! Acceptance step for members with the unusual records that real exports contain: gaps, split
//! nights, short evening sleeps, unscored days.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use whoop_sim::LifePattern;

use super::{environment::DemoEnv, member::DemoMember, steps::assert_all_stored};

/// Life patterns of the simulated people, each with the user id of the member who is connected to
/// such a person.
const LIVES: [(LifePattern, &str); 4] = [
    (LifePattern::Weekdays, "demo-weekdays"),
    (LifePattern::EveningDozer, "demo-evening-dozer"),
    (LifePattern::BrokenSleeper, "demo-broken-sleeper"),
    (LifePattern::OddReadings, "demo-odd-readings"),
];

/// Days of history of each person.
///
/// The records of 18 days fit on one page of each data type. The calls for four members, together
/// with those of the other steps, then stay within WHOOP's 100 calls a minute.
const DAYS: u32 = 18;

/// Connects one person of each life pattern, and asserts that all of WHOOP's records are stored and
/// all main sleeps are shown.
pub(crate) async fn check_unusual_lives(env: &DemoEnv) -> anyhow::Result<String> {
    let (mut stored, mut shown) = (0, 0);
    for (life, user_id) in LIVES {
        let person = *env
            .sim
            .world()
            .add_people(life, 1, DAYS)?
            .first()
            .context("the simulator added no person")?;
        let member = DemoMember::new(env, user_id)?;
        member.connect_as(env, person).await?;
        member.wait_for_first_sync().await?;
        let body = json!({"wait": true});
        member.post("sync", body).await?;
        let truth = env.sim.world().records().truth(person);
        stored += assert_all_stored(env, user_id, &truth).await?;
        shown += assert_sleeps_shown(&member, &truth).await?;
    }
    Ok(format!(
        "{} members with gaps, split nights and unscored days: {stored} records, {shown} nights",
        LIVES.len()
    ))
}

/// Asserts that each main sleep of WHOOP is shown on exactly one date, and returns the number of
/// main sleeps.
async fn assert_sleeps_shown(member: &DemoMember, truth: &Value) -> anyhow::Result<usize> {
    let today = member.get("daily-data", "?refresh=never").await?;
    let today: chrono::NaiveDate = today["date"].as_str().unwrap_or_default().parse()?;
    let mut shown: Vec<String> = Vec::new();
    for back in 0..u64::from(DAYS) + 3 {
        let date = today - chrono::Days::new(back);
        let query = format!("?date={date}&refresh=never");
        let day = member.get("daily-data", &query).await?;
        let night = match day["sleep"]["parts"].as_array() {
            Some(parts) => parts.clone(),
            None => vec![day["sleep"]["id"].clone()],
        };
        let others = day["others"]["sleeps"].as_array().cloned();
        let others = others.unwrap_or_default();
        let ids = night.iter().chain(others.iter().map(|sleep| &sleep["id"]));
        shown.extend(ids.filter_map(Value::as_str).map(str::to_owned));
    }
    let main = truth["sleeps"].as_array().into_iter().flatten();
    let main: Vec<&str> = main
        .filter(|sleep| sleep["nap"] == false)
        .filter_map(|sleep| sleep["id"].as_str())
        .collect();
    for id in &main {
        let times = shown.iter().filter(|shown_id| shown_id == id).count();
        ensure!(
            times == 1,
            "{}: sleep {id} is shown {times} times",
            member.user_id
        );
    }
    Ok(main.len())
}

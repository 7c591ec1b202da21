//! One round: every token ends, everybody asks, somebody dies, all is well.

use std::time::Duration;

use futures::future::join_all;
use rand::{RngExt, rngs::StdRng};
use reqwest::{Method, RequestBuilder};
use whoop_sim::{Fault, FaultKind, ReuseMode};

use super::tally::Tally;
use crate::house::{House, Member, sync_now};

/// Requests for each member, spread over both APIs.
const CALLERS: usize = 5;

/// Who dies, if anybody.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    Nobody,
    Api(usize),
    Worker,
}

pub(crate) async fn round(
    house: &mut House,
    random: &mut StdRng,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let world = house.world();
    world.clear_faults();
    world.set_reuse_mode(if random.random() {
        ReuseMode::LoserRejected
    } else {
        ReuseMode::FamilyRevoked
    });
    world.fault(Fault {
        millis: Some(random.random_range(0..120)),
        ..Fault::new("token", FaultKind::Latency)
    });
    let before = refreshes(house);
    world.expire_access_tokens();
    // A forced read within a minute of the last one would need no token.
    house
        .sql("UPDATE whoop_sync_log SET last_sync_at = last_sync_at - INTERVAL '2 minutes'")
        .await?;

    let requests: Vec<RequestBuilder> = house
        .members
        .iter()
        .flat_map(|member| (0..CALLERS).map(move |nth| (member, nth)))
        .map(|(member, nth)| request(house, member, nth, random))
        .collect();
    let asking = tokio::spawn(async move {
        let answers = requests.into_iter().map(|request| async move {
            match request.send().await {
                Ok(answer) => Some((answer.status().as_u16(), answer.text().await.ok()?)),
                Err(_) => None,
            }
        });
        join_all(answers).await
    });
    let mut worker = match random.random_bool(0.3) {
        true => {
            let nth = random.random_range(0..house.members.len());
            Some(house.worker(&[
                "--slot=night",
                &format!("--user={}", house.members[nth].user_id),
            ])?)
        }
        false => None,
    };

    let victim = match random.random_range(0..10) {
        0..2 => Victim::Api(0),
        2..4 => Victim::Api(1),
        4 if worker.is_some() => Victim::Worker,
        _ => Victim::Nobody,
    };
    let at = Duration::from_millis(random.random_range(0..200));
    if victim != Victim::Nobody {
        tokio::time::sleep(at).await;
        tally.kills += 1;
    }
    match (victim, &mut worker) {
        (Victim::Api(nth), _) => house.kill_api(nth).await?,
        (Victim::Worker, Some(worker)) => {
            worker.kill().await?;
            house.free_leases().await?;
        }
        _ => {}
    }

    for answer in asking.await? {
        match answer {
            Some((status, body)) => {
                tally.answers += 1;
                if status >= 500 && status != 503 {
                    tally.defects.push(format!("answered {status}: {body}"));
                }
            }
            None if victim == Victim::Nobody => {
                tally.defects.push("a request got no answer".to_owned());
            }
            None => tally.cut_off += 1,
        }
    }
    if let Some(mut worker) = worker {
        worker.wait().await?;
    }
    world.clear_faults();
    for (member, before) in house.members.iter().zip(before) {
        judge(house, member, before, victim, tally).await?;
    }
    Ok(())
}

fn request(house: &House, member: &Member, nth: usize, random: &mut StdRng) -> RequestBuilder {
    let api = nth % 2;
    let request = if random.random() {
        let url = house.url(api, "daily-data", member, "?refresh=force");
        house.http.request(Method::GET, url)
    } else {
        let url = house.url(api, "sync", member, "");
        house.http.request(Method::POST, url).json(&sync_now())
    };
    request.bearer_auth(house.key())
}

fn refreshes(house: &House) -> Vec<(u32, u32)> {
    let grants = house.world().grants();
    let of = |member: &Member| {
        let theirs = grants
            .iter()
            .filter(|grant| grant.whoop_user_id == member.whoop_user_id);
        theirs.fold((0, 0), |(refreshes, reuses), grant| {
            (refreshes + grant.refreshes, reuses + grant.reuses)
        })
    };
    house.members.iter().map(of).collect()
}

/// Whether the member is connected; or else lost by a kill, and told so.
async fn judge(
    house: &House,
    member: &Member,
    (refreshes_before, reuses_before): (u32, u32),
    victim: Victim,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let works = house.is_connected(member).await;
    let nth = house
        .members
        .iter()
        .position(|one| one.user_id == member.user_id);
    let (refreshes, reuses) = refreshes(house)[nth.unwrap_or_default()];
    let (refreshed, reused) = (refreshes - refreshes_before, reuses - reuses_before);
    tally.refreshes += refreshed;
    let mut defect = |what: String| tally.defects.push(format!("{}: {what}", member.user_id));
    match works {
        Ok(()) => {
            if refreshed != 1 {
                defect(format!("{refreshed} refreshes where one was needed"));
            }
            if reused != 0 {
                defect(format!("a spent refresh token was shown {reused} times"));
            }
            return Ok(());
        }
        Err(_) if victim != Victim::Nobody && refreshed == 1 && reused <= 1 => {}
        Err(why) => {
            defect(format!(
                "lost without a crash: {why} ({refreshed} refreshes, {reused} reuses)"
            ));
        }
    }
    let (connection, detail) = house.told(member).await?;
    if connection == "reauth_required" && detail.contains("cut off") {
        tally.stranded_and_told += 1;
    } else {
        tally.defects.push(format!(
            "{}: lost, and told {connection:?}, {detail:?}",
            member.user_id
        ));
    }
    house.connect(member).await
}

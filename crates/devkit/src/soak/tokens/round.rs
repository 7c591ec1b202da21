//! One round: all tokens expire, callers request them, a process is killed, and every member is
//! checked.

use std::time::Duration;

use futures::future::join_all;
use rand::{RngExt, rngs::StdRng};
use reqwest::{Method, RequestBuilder};
use whoop_sim::{Fault, FaultKind, ReuseMode};

use super::tally::TokenTally;
use crate::environment::{SoakEnv, SoakMember, sync_request_body};

/// Number of requests for each member, spread over both APIs.
const CALLERS_PER_MEMBER: usize = 5;

/// Process to kill, if any.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KillTarget {
    NoProcess,
    Api(usize),
    Worker,
}

pub(crate) async fn run_round(
    house: &mut SoakEnv,
    random: &mut StdRng,
    tally: &mut TokenTally,
) -> anyhow::Result<()> {
    let world = house.world();
    world.clear_faults();
    world.set_reuse_mode(if random.random() {
        ReuseMode::LoserRejected
    } else {
        ReuseMode::FamilyRevoked
    });
    world.add_fault(Fault {
        millis: Some(random.random_range(0..120)),
        ..Fault::new("token", FaultKind::Latency)
    });
    let before = refresh_counts(house);
    world.expire_access_tokens();
    // A forced read within a minute of the last one would need no token.
    house
        .execute_sql("UPDATE whoop_sync_log SET last_sync_at = last_sync_at - INTERVAL '2 minutes'")
        .await?;

    let requests: Vec<RequestBuilder> = house
        .members
        .iter()
        .flat_map(|member| (0..CALLERS_PER_MEMBER).map(move |nth| (member, nth)))
        .map(|(member, nth)| build_request(house, member, nth, random))
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
            Some(house.spawn_worker(&[
                "--slot=night",
                &format!("--user={}", house.members[nth].user_id),
            ])?)
        }
        false => None,
    };

    let victim = match random.random_range(0..10) {
        0..2 => KillTarget::Api(0),
        2..4 => KillTarget::Api(1),
        4 if worker.is_some() => KillTarget::Worker,
        _ => KillTarget::NoProcess,
    };
    let at = Duration::from_millis(random.random_range(0..200));
    if victim != KillTarget::NoProcess {
        tokio::time::sleep(at).await;
        tally.kills += 1;
    }
    match (victim, &mut worker) {
        (KillTarget::Api(nth), _) => house.kill_and_restart_api(nth).await?,
        (KillTarget::Worker, Some(worker)) => {
            worker.kill().await?;
            house.release_leases().await?;
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
            None if victim == KillTarget::NoProcess => {
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
        check_member(house, member, before, victim, tally).await?;
    }
    Ok(())
}

fn build_request(
    house: &SoakEnv,
    member: &SoakMember,
    nth: usize,
    random: &mut StdRng,
) -> RequestBuilder {
    let api = nth % 2;
    let request = if random.random() {
        let url = house.route_url(api, "daily-data", member, "?refresh=force");
        house.http.request(Method::GET, url)
    } else {
        let url = house.route_url(api, "sync", member, "");
        house
            .http
            .request(Method::POST, url)
            .json(&sync_request_body())
    };
    request.bearer_auth(house.service_key())
}

fn refresh_counts(house: &SoakEnv) -> Vec<(u32, u32)> {
    let grants = house.world().grants();
    let of = |member: &SoakMember| {
        let theirs = grants
            .iter()
            .filter(|grant| grant.whoop_user_id == member.whoop_user_id);
        theirs.fold((0, 0), |(refreshes, reuses), grant| {
            (refreshes + grant.refreshes, reuses + grant.reuses)
        })
    };
    house.members.iter().map(of).collect()
}

/// Checks that the member is connected, or that the member was lost in a kill and is informed of
/// it. Reconnects a lost member.
async fn check_member(
    house: &SoakEnv,
    member: &SoakMember,
    (refreshes_before, reuses_before): (u32, u32),
    victim: KillTarget,
    tally: &mut TokenTally,
) -> anyhow::Result<()> {
    let works = house.check_connection(member).await;
    let nth = house
        .members
        .iter()
        .position(|one| one.user_id == member.user_id);
    let (refreshes, reuses) = refresh_counts(house)[nth.unwrap_or_default()];
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
        Err(_) if victim != KillTarget::NoProcess && refreshed == 1 && reused <= 1 => {}
        Err(why) => {
            defect(format!(
                "lost without a crash: {why} ({refreshed} refreshes, {reused} reuses)"
            ));
        }
    }
    let (connection, detail) = house.connection_status(member).await?;
    if connection == "reauth_required" && detail.contains("cut off") {
        tally.stranded_and_informed += 1;
    } else {
        tally.defects.push(format!(
            "{}: lost, and told {connection:?}, {detail:?}",
            member.user_id
        ));
    }
    house.connect(member).await
}

//! One round: all access tokens expire, callers send requests that need new ones, a process is
//! killed, and every member is checked.

use std::time::Duration;

use futures::future::join_all;
use rand::{RngExt, rngs::StdRng};
use reqwest::{Method, RequestBuilder};
use whoop_sim::{Fault, FaultKind, ReuseMode};

use super::tally::TokenTally;
use crate::environment::{SoakEnv, SoakMember, sync_request_body};

/// Number of requests for each member, spread over both API processes.
const CALLERS_PER_MEMBER: usize = 5;

/// The process that is killed in a round.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KillTarget {
    NoProcess,
    Api(usize),
    Worker,
}

pub(crate) async fn run_round(
    env: &mut SoakEnv,
    rng: &mut StdRng,
    tally: &mut TokenTally,
) -> anyhow::Result<()> {
    let world = env.world();
    world.clear_faults();
    world.oauth().set_reuse_mode(if rng.random() {
        ReuseMode::LoserRejected
    } else {
        ReuseMode::FamilyRevoked
    });
    world.add_fault(Fault {
        millis: Some(rng.random_range(0..120)),
        ..Fault::new("token", FaultKind::Latency)
    });
    let before = refresh_counts(env);
    world.oauth().expire_access_tokens();
    // A forced read within a minute of the last sync makes no call and needs no token. The last
    // sync is therefore moved back by two minutes.
    env.execute_sql("UPDATE whoop_sync_log SET last_sync_at = last_sync_at - INTERVAL '2 minutes'")
        .await?;

    let requests: Vec<RequestBuilder> = env
        .members
        .iter()
        .flat_map(|member| (0..CALLERS_PER_MEMBER).map(move |nth| (member, nth)))
        .map(|(member, nth)| build_request(env, member, nth, rng))
        .collect();
    let responses = tokio::spawn(async move {
        let responses = requests.into_iter().map(|request| async move {
            match request.send().await {
                Ok(response) => Some((response.status().as_u16(), response.text().await.ok()?)),
                Err(_) => None,
            }
        });
        join_all(responses).await
    });
    let mut worker = match rng.random_bool(0.3) {
        true => {
            let nth = rng.random_range(0..env.members.len());
            Some(env.spawn_worker(&[
                "--slot=night",
                &format!("--user={}", env.members[nth].user_id),
            ])?)
        }
        false => None,
    };

    let victim = match rng.random_range(0..10) {
        0..2 => KillTarget::Api(0),
        2..4 => KillTarget::Api(1),
        4 if worker.is_some() => KillTarget::Worker,
        _ => KillTarget::NoProcess,
    };
    let kill_after = Duration::from_millis(rng.random_range(0..200));
    if victim != KillTarget::NoProcess {
        tokio::time::sleep(kill_after).await;
        tally.kills += 1;
    }
    match (victim, &mut worker) {
        (KillTarget::Api(nth), _) => env.kill_and_restart_api(nth).await?,
        (KillTarget::Worker, Some(worker)) => {
            worker.kill().await?;
            env.release_leases().await?;
        }
        _ => {}
    }

    for response in responses.await? {
        match response {
            Some((status, body)) => {
                tally.answers += 1;
                if status >= 500 && status != 503 {
                    tally
                        .defects
                        .push(format!("a request returned {status}: {body}"));
                }
            }
            None if victim == KillTarget::NoProcess => {
                tally.defects.push("a request got no response".to_owned());
            }
            None => tally.cut_off += 1,
        }
    }
    if let Some(mut worker) = worker {
        worker.wait().await?;
    }
    world.clear_faults();
    for (member, before) in env.members.iter().zip(before) {
        check_member(env, member, before, victim, tally).await?;
    }
    Ok(())
}

fn build_request(
    env: &SoakEnv,
    member: &SoakMember,
    nth: usize,
    rng: &mut StdRng,
) -> RequestBuilder {
    let api = nth % 2;
    let request = if rng.random() {
        let url = env.route_url(api, "daily-data", member, "?refresh=force");
        env.http.request(Method::GET, url)
    } else {
        let url = env.route_url(api, "sync", member, "");
        env.http
            .request(Method::POST, url)
            .json(&sync_request_body())
    };
    request.bearer_auth(env.service_key())
}

fn refresh_counts(env: &SoakEnv) -> Vec<(u32, u32)> {
    let grants = env.world().oauth().grants();
    let counts_of = |member: &SoakMember| {
        let member_grants = grants
            .iter()
            .filter(|grant| grant.whoop_user_id == member.whoop_user_id);
        member_grants.fold((0, 0), |(refreshes, reuses), grant| {
            (refreshes + grant.refreshes, reuses + grant.reuses)
        })
    };
    env.members.iter().map(counts_of).collect()
}

/// Checks that the member is still connected, or that a kill explains the lost connection and the
/// API reports the reason.
///
/// Connects a member again whose connection was lost.
async fn check_member(
    env: &SoakEnv,
    member: &SoakMember,
    (refreshes_before, reuses_before): (u32, u32),
    victim: KillTarget,
    tally: &mut TokenTally,
) -> anyhow::Result<()> {
    let connection = env.check_connection(member).await;
    let index = env
        .members
        .iter()
        .position(|other| other.user_id == member.user_id);
    let (refreshes, reuses) = refresh_counts(env)[index.unwrap_or_default()];
    let (refreshed, reused) = (refreshes - refreshes_before, reuses - reuses_before);
    tally.refreshes += refreshed;
    let mut add_defect = |text: String| tally.defects.push(format!("{}: {text}", member.user_id));
    match connection {
        Ok(()) => {
            if refreshed != 1 {
                add_defect(format!("{refreshed} refreshes instead of 1"));
            }
            if reused != 0 {
                add_defect(format!("a spent refresh token was used {reused} times"));
            }
            return Ok(());
        }
        Err(_) if victim != KillTarget::NoProcess && refreshed == 1 && reused <= 1 => {}
        Err(reason) => {
            add_defect(format!(
                "disconnected, and no kill explains it: {reason} \
                 ({refreshed} refreshes, {reused} reuses)"
            ));
        }
    }
    let (status, detail) = env.connection_status(member).await?;
    if status == "reauth_required" && detail.contains("was interrupted") {
        tally.stranded_and_informed += 1;
    } else {
        tally.defects.push(format!(
            "{}: disconnected, but the API shows {status:?}, {detail:?}",
            member.user_id
        ));
    }
    env.connect(member).await
}

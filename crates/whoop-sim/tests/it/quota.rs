//! Tests of the quota and of the call log.

use std::time::Duration;

use crate::support::{Member, frozen, http, send};
use whoop_sim::{CallSide, SimConfig, SimServer};

#[tokio::test]
async fn the_headers_are_as_whoop_documents_them() {
    let config = SimConfig {
        calls_per_minute: 100,
        calls_per_day: 10_000,
        ..frozen()
    };
    let sim = SimServer::start(config).await.unwrap();
    let answer = Member::connect(&sim, 0).await.get("cycle").await;

    assert_eq!(
        answer.header("x-ratelimit-limit"),
        "100, 100;window=60, 10000;window=86400"
    );
    assert_eq!(answer.header("x-ratelimit-remaining"), "99");
    assert_eq!(answer.header("x-ratelimit-reset"), "60");
}

#[tokio::test]
async fn members_share_the_quota_which_is_free_again_after_a_minute() {
    let config = SimConfig {
        calls_per_minute: 4,
        ..frozen()
    };
    let sim = SimServer::start(config).await.unwrap();
    let (one, two) = (
        Member::connect(&sim, 0).await,
        Member::connect(&sim, 1).await,
    );
    for _ in 0..2 {
        assert_eq!(one.get("cycle").await.status, 200);
        assert_eq!(two.get("cycle").await.status, 200);
    }
    sim.world().advance(Duration::from_millis(23_500));

    let refused = one.get("cycle").await;
    assert_eq!((refused.status, refused.text.as_str()), (429, ""));
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    assert_eq!(refused.header("x-ratelimit-reset"), "37");

    sim.world().advance(Duration::from_secs(37));
    assert_eq!(two.get("cycle").await.status, 200);
}

#[tokio::test]
async fn calls_over_the_day_limit_are_refused() {
    let config = SimConfig {
        calls_per_minute: 100,
        calls_per_day: 2,
        ..frozen()
    };
    let sim = SimServer::start(config).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    member.get("cycle").await;
    member.get("cycle").await;

    let refused = member.get("cycle").await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.header("x-ratelimit-limit"),
        "2, 100;window=60, 2;window=86400"
    );
    assert_eq!(refused.header("x-ratelimit-reset"), "86400");
}

#[tokio::test]
async fn every_call_is_logged_with_its_member() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 1).await;
    member.get("cycle?limit=3").await;
    send(http().get(format!("{}/_sim/people", sim.base_url()))).await;

    let calls = sim.world().calls();
    assert_eq!(calls.len(), 2, "the simulator's own routes are not logged");
    assert_eq!(
        (calls[0].side, calls[0].whoop_user_id),
        (CallSide::OAuth, Some(member.id))
    );
    assert_eq!(calls[1].path, "/developer/v2/cycle");
    assert_eq!((calls[1].query.as_str(), calls[1].status), ("limit=3", 200));
    assert_eq!(calls[1].whoop_user_id, Some(member.id));

    let url = format!("{}/_sim/calls", sim.base_url());
    let page = send(http().get(format!("{url}?since=1"))).await.json();
    assert_eq!(page["totals"]["all"], 1);
    assert_eq!(page["totals"]["max_api_calls_in_60_seconds"], 1);
    assert_eq!(page["calls"][0]["path"], "/developer/v2/cycle");

    assert_eq!(send(http().delete(&url)).await.status, 204);
    assert_eq!(sim.world().call_count(), 0);
}

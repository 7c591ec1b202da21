use std::time::Duration;

use whoop_client::{PageWalker, RetryPolicy, WhoopError};
use whoop_core::record::{Cycle, Sleep, Workout};
use whoop_sim::{Fault, FaultKind, SimConfig};

use super::member::{connected, short_history};
use crate::recorded_limits::RecordedLimits;

#[tokio::test]
async fn the_last_call_of_the_minute_closes_the_gate_before_a_429() {
    let member = connected(SimConfig {
        calls_per_minute: 3,
        ..short_history()
    })
    .await;
    let (whoop, limits) = RecordedLimits::of(&member.whoop);
    for _ in 0..3 {
        whoop.fetch_profile(&member.access_token).await.unwrap();
    }

    let error = whoop.fetch_profile(&member.access_token).await;

    assert!(matches!(
        error,
        Err(WhoopError::RateLimited { day: false, .. })
    ));
    assert_eq!(member.sim.world().call_count(), 3);
    let rate_limit = limits.latest();
    assert_eq!((rate_limit.limit, rate_limit.remaining), (3, 0));
    assert_eq!(rate_limit.windows.len(), 2);
}

#[tokio::test]
async fn a_used_up_day_limit_is_reported_as_such() {
    let member = connected(SimConfig {
        calls_per_day: 2,
        ..short_history()
    })
    .await;
    let whoop = member.whoop.with_retry_policy(RetryPolicy::scheduled());
    for _ in 0..2 {
        whoop.fetch_profile(&member.access_token).await.unwrap();
    }

    let error = whoop.fetch_profile(&member.access_token).await;

    assert!(matches!(
        error,
        Err(WhoopError::RateLimited { day: true, .. })
    ));
}

#[tokio::test]
async fn temporary_faults_are_not_visible_to_the_caller() {
    for fault in [
        Fault::status("sleep", 502),
        Fault::new("sleep", FaultKind::Reset),
        Fault::new("sleep", FaultKind::Truncate),
    ] {
        let member = connected(short_history()).await;
        member.fault(1, fault);

        let page = member.first_page::<Sleep>().await.unwrap();

        assert_eq!(page.records.len(), 25);
        assert_eq!(member.sim.world().call_count(), 2);
    }
}

#[tokio::test]
async fn an_answer_that_stalls_half_way_ends_at_the_timeout() {
    let member = connected(short_history()).await;
    member.fault(1, Fault::new("sleep", FaultKind::Stall));
    let policy = RetryPolicy {
        call_timeout: Duration::from_millis(300),
        ..RetryPolicy::interactive()
    };
    let walker = PageWalker::new(member.everything());
    let query = walker.query().unwrap();
    let whoop = member.whoop.with_retry_policy(policy);

    let error = whoop.fetch_page::<Sleep>(&member.access_token, query).await;

    assert!(matches!(error, Err(WhoopError::TimedOut)));
}

#[tokio::test]
async fn html_instead_of_json_is_an_error() {
    let member = connected(short_history()).await;
    member.fault(1, Fault::new("cycle", FaultKind::NotJson));

    let error = member.first_page::<Cycle>().await.unwrap_err();

    assert!(matches!(
        error,
        WhoopError::Decode {
            what: "v2/cycle",
            ..
        }
    ));
}

#[tokio::test]
async fn only_the_invalid_record_of_a_page_is_rejected() {
    let member = connected(short_history()).await;
    member.fault(1, Fault::new("workout", FaultKind::BrokenRecord));

    let page = member.first_page::<Workout>().await.unwrap();

    assert_eq!(page.records.len(), 24);
    let [rejected] = page.rejected.as_slice() else {
        panic!("expected one rejected record, got {:?}", page.rejected);
    };
    assert!(
        rejected.reason.contains("updated_at"),
        "{}",
        rejected.reason
    );
    let id = rejected.record_id.as_deref().unwrap();
    assert!(
        member
            .truth("workouts")
            .iter()
            .any(|workout| workout["id"] == id)
    );
}

#[tokio::test]
async fn a_404_for_a_list_is_an_empty_page_while_the_profile_can_be_fetched() {
    let member = connected(short_history()).await;
    member.fault(2, Fault::status("workout", 404));

    let page = member.first_page::<Workout>().await.unwrap();
    assert!(page.records.is_empty() && page.not_found);

    member.sim.world().oauth().expire_access_tokens();
    let error = member.first_page::<Workout>().await.unwrap_err();
    assert!(matches!(error, WhoopError::Unauthorized));
}

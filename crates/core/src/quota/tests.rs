use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;

const LIMITS: QuotaLimits = QuotaLimits {
    per_minute: 100,
    per_day: 10_000,
};

fn noon() -> DateTime<Utc> {
    "2026-03-20T12:00:00Z".parse().unwrap()
}

fn after(seconds: f64) -> DateTime<Utc> {
    noon() + std::time::Duration::from_secs_f64(seconds)
}

/// Takes up to four permits at a time as soon as they are available, between the times `from` and
/// `until`. Returns the time of each permit.
fn take_all(
    ledger: &mut QuotaLedger,
    class: PriorityClass,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Vec<DateTime<Utc>> {
    let (mut now, mut permits) = (from, Vec::new());
    while now < until {
        match ledger.take(now, LIMITS, class, 4) {
            PermitDecision::Granted(calls) => permits.extend((0..calls).map(|_| now)),
            PermitDecision::Wait { until, .. } => now = until,
        }
    }
    permits
}

/// Simulates an app request with four calls while a run takes as many permits as it can. Each call
/// is sent as soon as a permit is available.
///
/// Returns the time between the request and the last of the four permits.
fn app_request(ledger: &mut QuotaLedger, opened: DateTime<Utc>) -> TimeDelta {
    let (mut now, mut wanted) = (opened, 4);
    while wanted > 0 {
        match ledger.take(now, LIMITS, PriorityClass::Interactive, wanted) {
            PermitDecision::Granted(calls) => wanted -= calls,
            PermitDecision::Wait { until, .. } => {
                // The run waits for the same time and may take the permits before the app request
                // does.
                now = until;
                ledger.take(now, LIMITS, PriorityClass::Scheduled, 4);
            }
        }
    }
    now - opened
}

fn fewest_in_a_minute(permits: &[DateTime<Utc>], from: DateTime<Utc>, minutes: i64) -> usize {
    (0..minutes)
        .map(|minute| {
            let begins = from + TimeDelta::minutes(minute);
            let ends = begins + TimeDelta::minutes(1);
            permits
                .iter()
                .filter(|at| **at >= begins && **at < ends)
                .count()
        })
        .min()
        .unwrap_or(0)
}

#[test]
fn a_run_uses_at_least_95_of_100_calls_in_every_minute() {
    let mut ledger = QuotaLedger::default();
    let end = noon() + TimeDelta::minutes(60);
    let permits = take_all(&mut ledger, PriorityClass::Scheduled, noon(), end);

    let fewest = fewest_in_a_minute(&permits, noon(), 60);
    assert!(fewest >= 95, "{fewest}");
}

#[test]
fn three_app_requests_a_minute_beside_a_run_wait_four_seconds_at_most_and_95_of_100_calls_are_used()
{
    let mut ledger = QuotaLedger::default();
    let mut permits = Vec::new();
    let mut now = noon();
    let mut next_request = 7.0;
    let mut wanted = 0;
    let mut requested_at = now;
    let mut longest = TimeDelta::zero();
    while now < noon() + TimeDelta::minutes(20) {
        let mut next = now + TimeDelta::milliseconds(500);
        if now >= after(next_request) && wanted == 0 {
            (wanted, requested_at) = (4, now);
            next_request += 20.0;
        }
        if wanted > 0 {
            match ledger.take(now, LIMITS, PriorityClass::Interactive, wanted) {
                PermitDecision::Granted(calls) => {
                    wanted -= calls;
                    permits.extend((0..calls).map(|_| now));
                    longest = longest.max(now - requested_at);
                }
                PermitDecision::Wait { until, .. } => next = next.min(until),
            }
        }
        match ledger.take(now, LIMITS, PriorityClass::Scheduled, 4) {
            PermitDecision::Granted(calls) => permits.extend((0..calls).map(|_| now)),
            PermitDecision::Wait { until, .. } => next = next.min(until),
        }
        now = next;
    }

    assert!(longest <= TimeDelta::seconds(4), "{longest}");
    let fewest = fewest_in_a_minute(&permits, noon(), 20);
    assert!(fewest >= 95, "{fewest}");
}

#[test]
fn the_first_member_to_open_the_app_during_a_run_waits_four_seconds_at_most() {
    for start in [10.0, 31.0, 55.0, 61.9, 130.0, 185.9] {
        let mut ledger = QuotaLedger::default();
        take_all(&mut ledger, PriorityClass::Scheduled, noon(), after(start));
        let waited = app_request(&mut ledger, after(start));
        assert!(waited <= TimeDelta::seconds(4), "after {start} s: {waited}");
    }
}

#[test]
fn eight_app_requests_a_minute_beside_a_run_wait_four_seconds_at_most() {
    let mut ledger = QuotaLedger::default();
    let (mut wanted, mut requested_at, mut run) = (0, noon(), 0);
    let mut longest = TimeDelta::zero();
    for tick in 0..20 * 60 * 10 {
        let now = noon() + TimeDelta::milliseconds(100 * tick);
        if tick % 75 == 0 {
            (wanted, requested_at) = (wanted + 4, now);
        }
        if wanted > 0
            && let PermitDecision::Granted(calls) =
                ledger.take(now, LIMITS, PriorityClass::Interactive, wanted)
        {
            wanted -= calls;
            longest = longest.max(now - requested_at);
        }
        if let PermitDecision::Granted(calls) =
            ledger.take(now, LIMITS, PriorityClass::Scheduled, 16)
        {
            run += calls;
        }
    }
    assert!(longest <= TimeDelta::seconds(4), "{longest}");
    assert!(run >= 20 * 40, "the run got {run} calls in 20 minutes");
}

#[test]
fn calls_that_members_need_in_a_day_are_reserved_for_them() {
    let mut ledger = QuotaLedger::default();
    ledger.set_need(PriorityClass::Interactive, 7_200);
    let end = noon() + TimeDelta::hours(20);
    let run = take_all(&mut ledger, PriorityClass::Scheduled, noon(), end).len();

    assert!((1_000..=2_800).contains(&run), "{run}");
}

#[test]
fn background_work_reserves_a_part_of_the_day_for_members() {
    let mut ledger = QuotaLedger::default();
    for minute in 0..24 * 60 {
        let now = noon() + TimeDelta::minutes(minute);
        ledger.take(now, LIMITS, PriorityClass::Interactive, 5);
    }
    let tomorrow = noon() + TimeDelta::days(1);

    let available = ledger.available_in_day(tomorrow, LIMITS, PriorityClass::Scheduled);

    assert!((2_250..=2_300).contains(&available), "{available}");
}

#[test]
fn a_class_gets_its_guaranteed_share_beside_a_greedy_class() {
    let mut ledger = QuotaLedger::default();
    ledger.set_need(PriorityClass::Inactive, 1_290);
    let evening = noon() + TimeDelta::hours(20);
    take_all(&mut ledger, PriorityClass::Scheduled, noon(), evening);

    assert!(ledger.available_in_day(evening, LIMITS, PriorityClass::Inactive) >= 850);
    assert!(ledger.available_in_day(evening, LIMITS, PriorityClass::Backfill) >= 25);
    assert!(ledger.available_in_day(evening, LIMITS, PriorityClass::Webhook) >= 50);
}

#[test]
fn a_class_of_low_priority_gets_its_share_of_a_busy_minute() {
    let mut ledger = QuotaLedger::default();
    let mut permits = [0; 5];
    for half_seconds in 0..1_200 {
        let now = noon() + TimeDelta::milliseconds(500 * half_seconds);
        for class in PriorityClass::ALL {
            if let PermitDecision::Granted(calls) = ledger.take(now, LIMITS, class, 8) {
                permits[class.index()] += calls;
            }
        }
    }
    let [interactive, webhook, scheduled, inactive, _] = permits.map(|calls| calls / 10);
    assert!((60..=75).contains(&interactive), "{permits:?}");
    assert!(webhook >= 10 && scheduled >= 7, "{permits:?}");
    assert!(inactive >= 4, "{permits:?}");
    // The backfill gets about one permit in each of the ten minutes.
    let backfill = permits[PriorityClass::Backfill.index()];
    assert!(backfill >= 7, "{permits:?}");
}

#[test]
fn a_class_that_waits_gets_the_next_permit_before_one_of_lower_priority() {
    let mut ledger = QuotaLedger::default();
    take_all(&mut ledger, PriorityClass::Backfill, noon(), after(200.0));
    let PermitDecision::Wait { until, .. } =
        ledger.take(after(200.0), LIMITS, PriorityClass::Webhook, 1)
    else {
        panic!("expected a wait, but a permit was granted");
    };

    let backfill = ledger.take(until, LIMITS, PriorityClass::Backfill, 1);
    assert!(
        matches!(backfill, PermitDecision::Wait { .. }),
        "{backfill:?}"
    );
    let webhook = ledger.take(until, LIMITS, PriorityClass::Webhook, 1);
    assert_eq!(webhook, PermitDecision::Granted(1));
}

#[test]
fn returned_permits_can_be_taken_again() {
    let mut ledger = QuotaLedger::default();
    take_all(&mut ledger, PriorityClass::Scheduled, noon(), after(90.0));
    let now = after(90.700_123_4);
    let before = ledger.usage(now);
    let PermitDecision::Granted(calls) = ledger.take(now, LIMITS, PriorityClass::Interactive, 2)
    else {
        panic!("expected a permit");
    };
    let row = serde_json::to_string(&ledger).unwrap();
    let mut ledger: QuotaLedger = serde_json::from_str(&row).unwrap();
    ledger.return_unused(now, LIMITS, PriorityClass::Interactive, calls);

    assert_eq!(ledger.usage(now), before);
}

#[test]
fn a_used_up_day_names_the_time_of_the_next_permit() {
    let mut ledger = QuotaLedger::default();
    let night = noon() + TimeDelta::hours(12);
    take_all(&mut ledger, PriorityClass::Backfill, noon(), night);

    let PermitDecision::Wait { until, reason } =
        ledger.take(night, LIMITS, PriorityClass::Backfill, 1)
    else {
        panic!("expected a wait, but a permit was granted");
    };

    assert_eq!(reason, WaitReason::Quota(LimitWindow::Day));
    let first = noon() + DAY_LENGTH;
    assert!(
        until >= first && until <= first + TimeDelta::minutes(10),
        "{until}"
    );
}

#[test]
fn calls_of_another_program_are_subtracted() {
    let mut ledger = QuotaLedger::default();
    ledger.take(noon(), LIMITS, PriorityClass::Scheduled, 10);
    let counted = |ledger: &mut QuotaLedger, at, calls| {
        ledger.record_whoop_count(at, LimitWindow::Minute, calls, TimeDelta::seconds(30))
    };

    assert!(counted(&mut ledger, after(1.0), 70));
    assert_eq!(
        ledger.available(after(2.0), LIMITS, PriorityClass::Interactive),
        30
    );
    // Another process reads the same count in WHOOP's reply headers. It is already known.
    assert!(!counted(&mut ledger, after(2.0), 70));
    assert_eq!(
        ledger.available(after(31.0), LIMITS, PriorityClass::Interactive),
        90
    );
}

#[test]
fn a_whoop_count_below_our_own_changes_nothing() {
    let mut ledger = QuotaLedger::default();
    ledger.take(noon(), LIMITS, PriorityClass::Scheduled, 10);

    let reset = TimeDelta::seconds(30);
    assert!(!ledger.record_whoop_count(after(1.0), LimitWindow::Minute, 7, reset));
    assert_eq!(
        ledger.available(after(2.0), LIMITS, PriorityClass::Interactive),
        90
    );
}

#[test]
fn after_a_refusal_no_class_gets_a_permit_before_the_limit_resets() {
    let mut ledger = QuotaLedger::default();
    ledger.record_rate_limit(after(37.0), LimitWindow::Minute);
    ledger.record_rate_limit(after(12.0), LimitWindow::Minute);

    let refused = PermitDecision::Wait {
        until: after(37.0),
        reason: WaitReason::Quota(LimitWindow::Minute),
    };
    for class in PriorityClass::ALL {
        assert_eq!(ledger.take(after(36.0), LIMITS, class, 1), refused);
    }
    let first = ledger.take(after(37.0), LIMITS, PriorityClass::Interactive, 1);
    assert_eq!(first, PermitDecision::Granted(1));
}

#[test]
fn permits_with_a_time_in_the_future_delay_calls_for_at_most_one_window() {
    // For one minute, the clock of the database was a day ahead.
    let mut ledger = QuotaLedger::default();
    let ahead = noon() + TimeDelta::days(1);
    let end = ahead + TimeDelta::minutes(1);
    take_all(&mut ledger, PriorityClass::Scheduled, ahead, end);
    ledger.record_rate_limit(ahead + TimeDelta::seconds(60), LimitWindow::Minute);

    let mut clamped = ledger.clone().with_clamped_times(noon());

    assert_eq!(
        clamped.available(noon(), LIMITS, PriorityClass::Interactive),
        0
    );
    let soon = after(130.0);
    let granted = clamped.take(soon, LIMITS, PriorityClass::Interactive, 4);
    assert_eq!(granted, PermitDecision::Granted(4));
    let unclamped = ledger.available(soon, LIMITS, PriorityClass::Interactive);
    assert_eq!(unclamped, 0, "without clamped times");
}

#[test]
fn a_ledger_survives_storing_and_reading() {
    let mut ledger = QuotaLedger::default();
    take_all(&mut ledger, PriorityClass::Scheduled, noon(), after(300.0));
    ledger.record_rate_limit(after(400.0), LimitWindow::Day);
    ledger.record_whoop_count(after(301.0), LimitWindow::Day, 5_000, TimeDelta::hours(3));
    for member in [1, 2, 1, 2, 1] {
        ledger.record_call_failure(after(302.0), member);
    }

    let text = serde_json::to_string(&ledger).unwrap();
    let restored: QuotaLedger = serde_json::from_str(&text).unwrap();

    assert_eq!(
        restored.usage(after(301.0)),
        ledger.usage(after(301.0)),
        "{text}"
    );
    let empty = serde_json::from_str::<QuotaLedger>("{}").unwrap();
    assert_eq!(empty, QuotaLedger::default());
}

#[test]
fn a_row_of_an_older_version_keeps_the_calls_of_the_day() {
    let text = format!(
        r#"{{"minute":[{{"at":1,"calls":3,"waiting":0}}],"waited_at":null,
            "day":{{"slices":[{{"from":{},"made":[7,0,90,0,0],"wanted":[9,0,90,0,0]}}],
                    "expected":[1.5,0,0,0,0],"since":null,"needs":[0,0,0,4,0]}}}}"#,
        noon().timestamp()
    );

    let mut ledger: QuotaLedger = serde_json::from_str(&text).unwrap();

    assert_eq!(ledger.usage(after(60.0)).day, 97);
    let almost_out = noon() + TimeDelta::hours(24) + TimeDelta::minutes(9);
    assert_eq!(ledger.usage(almost_out).day, 97);
    assert_eq!(ledger.usage(almost_out + TimeDelta::minutes(1)).day, 0);
    let day = QuotaLimits {
        per_minute: 100,
        per_day: 97,
    };
    let refused = ledger.take(after(60.0), day, PriorityClass::Interactive, 1);
    let reason = WaitReason::Quota(LimitWindow::Day);
    assert!(matches!(refused, PermitDecision::Wait { reason: found, .. } if found == reason));
}

#[test]
fn the_calls_of_a_minute_expire_together_24_hours_after_its_end() {
    let mut ledger = QuotaLedger::default();
    for seconds in [0.0, 59.0, 60.0] {
        ledger.take(after(seconds), LIMITS, PriorityClass::Interactive, 10);
    }

    let tomorrow = noon() + TimeDelta::hours(24);
    let used = |seconds| ledger.usage(tomorrow + TimeDelta::seconds(seconds)).day;
    assert_eq!((used(0), used(59)), (30, 30));
    assert_eq!((used(60), used(119), used(120)), (10, 10, 0));
}

#[test]
fn calls_are_scarce_if_members_and_runs_together_need_nearly_the_whole_day() {
    let mut ledger = QuotaLedger::default();
    assert!(!ledger.is_scarce(noon(), LIMITS));

    ledger.set_need(PriorityClass::Interactive, 5_500);
    assert!(!ledger.is_scarce(noon(), LIMITS));
    let night = noon() + TimeDelta::hours(12);
    take_all(&mut ledger, PriorityClass::Scheduled, noon(), night);
    assert!(ledger.is_scarce(night, LIMITS));

    let mut busy = QuotaLedger::default();
    busy.set_need(PriorityClass::Interactive, 9_500);
    assert!(busy.is_scarce(noon(), LIMITS));
}

#[test]
fn an_outage_of_an_hour_costs_less_than_100_calls() {
    let mut ledger = QuotaLedger::default();
    let (mut now, mut calls, mut begins) = (noon(), 0, 0);
    while now < after(3_600.0) {
        match ledger.take(now, LIMITS, PriorityClass::Scheduled, 4) {
            PermitDecision::Granted(granted) => {
                for call in 0..granted {
                    calls += 1;
                    begins += u32::from(ledger.record_call_failure(now, u64::from(call % 3)));
                }
            }
            PermitDecision::Wait { until, .. } => now = until,
        }
        // A member opens the app every two minutes.
        if now.timestamp() % 120 == 0
            && let PermitDecision::Granted(granted) =
                ledger.take(now, LIMITS, PriorityClass::Interactive, 4)
        {
            calls += granted;
        }
    }
    assert!(calls < 100, "{calls}");
    assert_eq!(begins, 1);

    assert_eq!(ledger.usage(now).outage_since, Some(noon()));
    assert_eq!(ledger.record_call_success(), Some(noon()));
    let granted = ledger.take(now, LIMITS, PriorityClass::Scheduled, 2);
    assert_eq!(granted, PermitDecision::Granted(2));
}

#[test]
fn failures_of_one_member_are_no_outage() {
    let mut ledger = QuotaLedger::default();
    for _ in 0..50 {
        assert!(!ledger.record_call_failure(noon(), 1));
    }
    let granted = ledger.take(noon(), LIMITS, PriorityClass::Scheduled, 4);
    assert_eq!(granted, PermitDecision::Granted(4));
}

#[test]
fn a_data_type_that_has_been_failing_for_an_hour_is_known_to_fail() {
    let since = |minutes| Some(noon() - TimeDelta::minutes(minutes));

    assert!(!is_known_to_fail(None, noon()));
    assert!(!is_known_to_fail(since(59), noon()));
    assert!(is_known_to_fail(since(60), noon()));
}

/// Permit requests: the milliseconds since the previous request, the priority class, the number of
/// requested permits, and the number of permits that are given back.
fn requests() -> impl Strategy<Value = Vec<(i64, PriorityClass, u32, u32)>> {
    let pause = prop_oneof![0..500_i64, 500..30_000_i64, 60_000..3_000_000_i64];
    let class = prop::sample::select(PriorityClass::ALL.to_vec());
    prop::collection::vec((pause, class, 1_u32..40, 0_u32..3), 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Part of law 7 (the quota is never exceeded): for any order of requests, no minute and no day
    /// contains more calls than the limit.
    #[test]
    fn no_minute_and_no_day_contains_more_calls_than_whoop_allows(requests in requests()) {
        let limits = QuotaLimits { per_minute: 30, per_day: 200 };
        let mut ledger = QuotaLedger::default();
        let mut now = noon();
        let mut permits: Vec<(DateTime<Utc>, u32)> = Vec::new();
        for (pause, class, want, unused) in requests {
            now += TimeDelta::milliseconds(pause);
            if let PermitDecision::Granted(calls) = ledger.take(now, limits, class, want) {
                prop_assert!(calls <= want && calls > 0);
                let unused = unused.min(calls);
                ledger.return_unused(now, limits, class, unused);
                permits.push((now, calls - unused));
            }
            let within = |length| permits.iter().filter(|(at, _)| now - *at < length).map(|(_, calls)| calls).sum::<u32>();
            prop_assert!(within(TimeDelta::seconds(60)) <= 30);
            prop_assert!(within(TimeDelta::days(1)) <= 200);
        }
    }

    /// A class that requests a permit again at the time that the ledger returned gets one within
    /// five minutes, regardless of the permits that other classes took before.
    #[test]
    fn every_class_gets_a_permit_within_some_minutes(requests in requests(), class in prop::sample::select(PriorityClass::ALL.to_vec())) {
        let mut ledger = QuotaLedger::default();
        let mut now = noon();
        for (pause, other, want, _) in requests {
            now += TimeDelta::milliseconds(pause);
            ledger.take(now, LIMITS, other, want);
        }
        let begins = now;
        let granted = (0..600).any(|_| {
            match ledger.take(now, LIMITS, class, 1) {
                PermitDecision::Granted(_) => true,
                PermitDecision::Wait { until, .. } => {
                    assert!(until > now);
                    now = until;
                    false
                }
            }
        });
        prop_assert!(granted && now - begins <= TimeDelta::minutes(5), "{:?}", now - begins);
    }
}

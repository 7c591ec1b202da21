//! Tests of the reasons for absent parts.

use whoop_core::{
    DataType,
    day::{ConnectionStatus, DayRecords, MissingReason},
    record::ScoreState,
};

use super::{Known, at, day, day_known, now, whole_night};

#[test]
fn a_score_that_is_not_there_is_explained_by_its_state() {
    for (word, reason) in [
        ("PENDING_SCORE", MissingReason::PendingScore),
        ("UNSCORABLE", MissingReason::Unscorable),
        ("AWAITING_STARS", MissingReason::PendingScore),
    ] {
        let mut records = whole_night();
        let state = ScoreState::from(word.to_owned());
        records.recoveries[0].score_state = state.clone();
        records.sleeps[0].score_state = state.clone();
        records.cycles[0].score_state = state;
        // A running cycle would show its strain so far.
        records.cycles[0].end = Some(at(23));

        let day = day(&records);

        for part in ["recovery", "sleep", "cycle"] {
            assert_eq!(day.missing[part], reason, "{part} {word}");
        }
        // A recovery without a score has no content; the other parts have times.
        assert_eq!(day.recovery, None, "{word}");
        let sleep = day.sleep.unwrap();
        assert_eq!((sleep.state.as_str(), sleep.duration_milli), (word, None));
        let cycle = day.cycle.unwrap();
        assert_eq!((cycle.state.as_str(), cycle.calories), (word, None));
        assert_eq!(day.others, None, "{word}");
    }
}

#[test]
fn an_absent_part_has_the_reason_that_fits_what_is_known() {
    let every_part = |known: &Known| {
        let day = day_known(&DayRecords::default(), known);
        let reasons: Vec<MissingReason> = ["recovery", "sleep", "cycle", "workouts"]
            .map(|part| day.missing[part])
            .to_vec();
        assert!(
            reasons.windows(2).all(|two| two[0] == two[1]),
            "{reasons:?}"
        );
        reasons[0]
    };
    let base = Known::nothing();

    assert_eq!(every_part(&Known::everything()), MissingReason::NotRecorded);
    assert_eq!(every_part(&base), MissingReason::NotSynced);
    for connection in [
        ConnectionStatus::Disconnected,
        ConnectionStatus::NeverConnected,
    ] {
        let known = Known {
            connection,
            ..base.clone()
        };
        assert_eq!(every_part(&known), MissingReason::NotSynced);
    }
    let quota = Known {
        quota_spent: true,
        ..base
    };
    assert_eq!(every_part(&quota), MissingReason::Quota);
    let reauth = Known {
        connection: ConnectionStatus::ReauthRequired,
        ..quota
    };
    assert_eq!(every_part(&reauth), MissingReason::ReauthRequired);
    // A date that was read completely is still known after the connection ended.
    let known = Known {
        coverage: Known::everything().coverage,
        ..reauth
    };
    assert_eq!(every_part(&known), MissingReason::NotRecorded);
}

#[test]
fn each_part_is_explained_by_the_coverage_of_its_own_type() {
    for read in DataType::ALL {
        let mut known = Known::nothing();
        known.coverage.retain(|one| one.data_type != read);
        let all = Known::everything().coverage;
        known
            .coverage
            .extend(all.into_iter().filter(|one| one.data_type == read));

        let day = day_known(&DayRecords::default(), &known);

        let recorded: Vec<&str> = day
            .missing
            .iter()
            .filter(|(_, reason)| **reason == MissingReason::NotRecorded)
            .map(|(part, _)| *part)
            .collect();
        let part = match read {
            DataType::Workout => "workouts",
            other => other.as_str(),
        };
        assert_eq!(recorded, [part]);
    }
}

#[test]
fn a_record_that_another_names_is_not_synced_until_its_type_is_read_again() {
    let read_at = |minutes: i64| {
        let mut known = Known::everything();
        for coverage in &mut known.coverage {
            coverage.last_sync_at = Some(now() - chrono::TimeDelta::minutes(minutes));
        }
        known
    };
    let mut records = whole_night();
    records.cycles.clear();
    records.sleeps[0].stored_at = now() - chrono::TimeDelta::minutes(5);
    let missing =
        |records: &DayRecords, minutes, part| day_known(records, &read_at(minutes)).missing[part];
    assert_eq!(missing(&records, 6, "cycle"), MissingReason::NotSynced);
    assert_eq!(missing(&records, 4, "cycle"), MissingReason::NotRecorded);

    // The same holds for a recovery without its night.
    let mut records = whole_night();
    records.sleeps.clear();
    records.recoveries[0].stored_at = now() - chrono::TimeDelta::minutes(5);
    assert_eq!(missing(&records, 6, "sleep"), MissingReason::NotSynced);
    assert_eq!(missing(&records, 4, "sleep"), MissingReason::NotRecorded);

    // A time in the future proves nothing.
    records.recoveries[0].stored_at = now() + chrono::TimeDelta::minutes(5);
    assert_eq!(missing(&records, 6, "sleep"), MissingReason::NotRecorded);
}

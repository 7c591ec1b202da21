//! Tests of the reasons for absent parts of a day.

use whoop_core::{
    DataType,
    day::{ConnectionStatus, DayRecords, MissingReason},
    record::ScoreState,
};

use super::{DaySettings, at, complete_day, day, day_with, now};

#[test]
fn a_missing_score_is_explained_by_the_score_state() {
    for (word, reason) in [
        ("PENDING_SCORE", MissingReason::PendingScore),
        ("UNSCORABLE", MissingReason::Unscorable),
        ("AWAITING_STARS", MissingReason::PendingScore),
    ] {
        let mut records = complete_day();
        let state = ScoreState::from(word.to_owned());
        records.recoveries[0].score_state = state.clone();
        records.sleeps[0].score_state = state.clone();
        records.cycles[0].score_state = state;
        // The cycle is closed, because the figures so far of a running cycle are shown even without
        // a score.
        records.cycles[0].end = Some(at(23));

        let day = day(&records);

        for part in ["recovery", "sleep", "cycle"] {
            assert_eq!(day.missing[part], reason, "{part} {word}");
        }
        // A recovery without a score is omitted. The sleep and the cycle are included, because they
        // have times.
        assert_eq!(day.recovery, None, "{word}");
        let sleep = day.sleep.unwrap();
        assert_eq!((sleep.state.as_str(), sleep.duration_milli), (word, None));
        let cycle = day.cycle.unwrap();
        assert_eq!((cycle.state.as_str(), cycle.calories), (word, None));
        assert_eq!(day.others, None, "{word}");
    }
}

#[test]
fn an_absent_part_has_the_reason_that_fits_the_coverage_and_the_connection() {
    let common_reason = |settings: &DaySettings| {
        let day = day_with(&DayRecords::default(), settings);
        let reasons: Vec<MissingReason> = ["recovery", "sleep", "cycle", "workouts"]
            .map(|part| day.missing[part])
            .to_vec();
        assert!(
            reasons.windows(2).all(|pair| pair[0] == pair[1]),
            "{reasons:?}"
        );
        reasons[0]
    };
    let base = DaySettings::nothing_read();

    assert_eq!(
        common_reason(&DaySettings::all_read()),
        MissingReason::NotRecorded
    );
    assert_eq!(common_reason(&base), MissingReason::NotSynced);
    for connection in [
        ConnectionStatus::Disconnected,
        ConnectionStatus::NeverConnected,
    ] {
        let settings = DaySettings {
            connection,
            ..base.clone()
        };
        assert_eq!(common_reason(&settings), MissingReason::NotSynced);
    }
    let quota = DaySettings {
        quota_exhausted: true,
        ..base
    };
    assert_eq!(common_reason(&quota), MissingReason::Quota);
    let reauth = DaySettings {
        connection: ConnectionStatus::ReauthRequired,
        ..quota
    };
    assert_eq!(common_reason(&reauth), MissingReason::ReauthRequired);
    // If a date was read completely, this remains known after the connection ended.
    let settings = DaySettings {
        coverage: DaySettings::all_read().coverage,
        ..reauth
    };
    assert_eq!(common_reason(&settings), MissingReason::NotRecorded);
}

#[test]
fn each_part_is_explained_by_the_coverage_of_its_own_type() {
    for read in DataType::ALL {
        let mut settings = DaySettings::nothing_read();
        settings.coverage.retain(|one| one.data_type != read);
        let all = DaySettings::all_read().coverage;
        settings
            .coverage
            .extend(all.into_iter().filter(|one| one.data_type == read));

        let day = day_with(&DayRecords::default(), &settings);

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
        let mut settings = DaySettings::all_read();
        for coverage in &mut settings.coverage {
            coverage.last_sync_at = Some(now() - chrono::TimeDelta::minutes(minutes));
        }
        settings
    };
    let mut records = complete_day();
    records.cycles.clear();
    records.sleeps[0].stored_at = now() - chrono::TimeDelta::minutes(5);
    let missing =
        |records: &DayRecords, minutes, part| day_with(records, &read_at(minutes)).missing[part];
    assert_eq!(missing(&records, 6, "cycle"), MissingReason::NotSynced);
    assert_eq!(missing(&records, 4, "cycle"), MissingReason::NotRecorded);

    // The same applies to a recovery that names a sleep that is not stored.
    let mut records = complete_day();
    records.sleeps.clear();
    records.recoveries[0].stored_at = now() - chrono::TimeDelta::minutes(5);
    assert_eq!(missing(&records, 6, "sleep"), MissingReason::NotSynced);
    assert_eq!(missing(&records, 4, "sleep"), MissingReason::NotRecorded);

    // A time in the future was written by a process with a wrong clock and is ignored.
    records.recoveries[0].stored_at = now() + chrono::TimeDelta::minutes(5);
    assert_eq!(missing(&records, 6, "sleep"), MissingReason::NotRecorded);
}

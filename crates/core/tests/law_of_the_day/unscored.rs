//! Part of law 10 (no figure is a guess): the figures of a record that is not `SCORED` are null,
//! even if WHOOP sent some.

use serde_json::json;
use whoop_core::record::ScoreState;

use crate::{NIGHT, complete_day, day};

#[test]
fn figures_of_a_record_that_is_not_scored_are_null() {
    for state in ["PENDING_SCORE", "UNSCORABLE", "FINALIZED"] {
        let mut records = complete_day();
        let state = || ScoreState::from(state.to_owned());
        records.recoveries[0].score_state = state();
        records.sleeps[0].score_state = state();
        records.cycles[0].score_state = state();
        records.cycles[0].end = Some(crate::at(23));
        records.cycles[0].step_count = Some(7_000);
        records.workouts[0].score_state = state();
        records.workouts[0].strain = Some(4.5);

        let day = serde_json::to_value(day(&records)).unwrap();

        assert_eq!(day["recovery"], json!(null));
        for (part, figures) in [
            (
                "sleep",
                &["duration", "duration_milli", "performance", "stages"][..],
            ),
            ("cycle", &["strain", "calories", "kilojoule", "steps"]),
        ] {
            for figure in figures {
                assert_eq!(day[part][figure], json!(null), "{part}.{figure}");
            }
        }
        assert_eq!(day["workouts"][0]["strain"], json!(null));
        // Ids and times are included, because they are not figures.
        assert_eq!(day["sleep"]["id"], "night");
        assert_eq!(day["cycle"]["id"], json!(NIGHT));
    }
}

#[test]
fn the_running_strain_of_an_open_cycle_is_shown_with_its_state() {
    let mut records = complete_day();
    records.cycles[0].score_state = ScoreState::PendingScore;

    let running = serde_json::to_value(day(&records)).unwrap();
    assert_eq!(running["cycle"]["strain"], 14.2);
    assert_eq!(running["cycle"]["state"], "PENDING_SCORE");
    assert_eq!(running["missing"]["cycle"], "pending_score");

    // A running cycle with zero energy has no measurement yet.
    records.cycles[0].strain = Some(0.0);
    records.cycles[0].kilojoule = Some(0.0);
    let zeros = serde_json::to_value(day(&records)).unwrap();
    assert_eq!(zeros["cycle"]["strain"], json!(null));
}

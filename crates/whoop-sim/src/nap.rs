//! Changes a nap to a main sleep, or a main sleep to a nap.
//!
//! The sleep keeps its id. The recovery of the sleep and the cycle that begins with it are created
//! or deleted.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::{
    clock,
    data_type::SimDataType,
    edit::{EditError, find_record, patch_record, remove_record},
    life::{Person, SeededRng},
    record::SimRecord,
};

/// Time from the change of a nap until WHOOP has scored the recovery of the new main sleep.
const SCORED_AFTER: TimeDelta = TimeDelta::minutes(4);

pub(crate) fn to_sleep(
    person: &mut Person,
    id: &str,
    now: DateTime<Utc>,
    mut rng: SeededRng,
) -> Result<(), EditError> {
    let nap = find_record(person, SimDataType::Sleep, id).ok_or(EditError::NoSuchRecord)?;
    if !nap.nap {
        return Err(EditError::Invalid("this sleep is not a nap"));
    }
    let (start, end) = (nap.start, nap.end);
    let (old_id, old) = cycle_of(person, nap)?;
    let new_id = person.cycle_id(start).to_string();
    if find_record(person, SimDataType::Cycle, &new_id).is_some() {
        return Err(EditError::IdTaken);
    }

    let mut cycle = old.to_value();
    let was_open = cycle["end"].is_null();
    cycle["id"] = json!(person.cycle_id(start));
    cycle["start"] = json!(clock::format_instant(start));
    cycle["created_at"] = json!(clock::format_instant(now));
    cycle["updated_at"] = json!(clock::format_instant(now));
    let cycle = SimRecord::from_value(SimDataType::Cycle, &cycle, (start, old.end))
        .ok_or(EditError::Invalid("the cycle has no valid id"))?;

    let change = json!({"nap": false, "cycle_id": person.cycle_id(start)});
    patch_record(person, SimDataType::Sleep, id, &change, now)?;
    let change = json!({"end": clock::format_instant(start)});
    patch_record(person, SimDataType::Cycle, &old_id, &change, now)?;
    // If this sleep was a main sleep before, its change to a nap deleted this cycle.
    person.edits.unmark_deleted(SimDataType::Cycle, &new_id);
    person.records.put(SimDataType::Cycle, cycle);
    if was_open {
        person.edits.set_replacement(&new_id, &old_id);
    }

    let mut recovery = json!({
        "cycle_id": person.cycle_id(start), "sleep_id": id, "user_id": person.whoop_user_id,
        "created_at": clock::format_instant(now), "updated_at": clock::format_instant(now),
        "score_state": "PENDING_SCORE", "score": null,
    });
    let record = |value: &serde_json::Value| {
        SimRecord::from_value(SimDataType::Recovery, value, (start, end))
    };
    let pending = record(&recovery).ok_or(EditError::Invalid("the recovery has no valid id"))?;
    person.edits.unmark_deleted(SimDataType::Recovery, &new_id);
    person.records.put(SimDataType::Recovery, pending);
    recovery["score_state"] = json!("SCORED");
    recovery["score"] = person.draw_recovery_score(&mut rng);
    recovery["updated_at"] = json!(clock::format_instant(now + SCORED_AFTER));
    if let Some(scored) = record(&recovery) {
        person.schedule_record(now + SCORED_AFTER, SimDataType::Recovery, scored);
    }
    Ok(())
}

pub(crate) fn to_nap(person: &mut Person, id: &str, now: DateTime<Utc>) -> Result<(), EditError> {
    let sleep = find_record(person, SimDataType::Sleep, id).ok_or(EditError::NoSuchRecord)?;
    if sleep.nap {
        return Err(EditError::Invalid("this sleep is already a nap"));
    }
    let (removed_id, removed) = cycle_of(person, sleep)?;
    let is_in_cycle = |it: &&SimRecord| {
        it.cycle_id
            .is_some_and(|cycle| cycle.to_string() == removed_id)
    };
    let other_night = person
        .records
        .newest_first(SimDataType::Sleep)
        .filter(is_in_cycle)
        .find(|it| it.id != id && !it.nap)
        .map(|it| it.id.clone());
    if let Some(other_night) = other_night {
        // The cycle keeps its other main sleep, and the recovery now belongs to that sleep.
        patch_record(person, SimDataType::Sleep, id, &json!({"nap": true}), now)?;
        if find_record(person, SimDataType::Recovery, id).is_some() {
            let change = json!({"sleep_id": other_night});
            patch_record(person, SimDataType::Recovery, &removed_id, &change, now)?;
        }
        return Ok(());
    }
    let earlier = person
        .records
        .newest_first(SimDataType::Cycle)
        .find(|cycle| cycle.start < removed.start)
        .ok_or(EditError::Invalid(
            "there is no earlier cycle to which the nap could belong",
        ))?;
    let earlier_id = earlier.id.clone();
    let earlier_number = earlier.to_value()["id"].clone();
    let sleep_ids: Vec<String> = person
        .records
        .newest_first(SimDataType::Sleep)
        .filter(is_in_cycle)
        .map(|it| it.id.clone())
        .collect();
    for sleep_id in sleep_ids {
        let change = json!({"cycle_id": earlier_number});
        patch_record(person, SimDataType::Sleep, &sleep_id, &change, now)?;
    }
    patch_record(person, SimDataType::Sleep, id, &json!({"nap": true}), now)?;
    remove_record(person, SimDataType::Recovery, &removed_id);
    remove_record(person, SimDataType::Cycle, &removed_id);
    let end = match removed.end {
        Some(end) => json!(clock::format_instant(end)),
        None => {
            person.edits.set_replacement(&earlier_id, &removed_id);
            json!({"$null": true})
        }
    };
    patch_record(
        person,
        SimDataType::Cycle,
        &earlier_id,
        &json!({"end": end}),
        now,
    )
}

fn cycle_of(person: &Person, sleep: &SimRecord) -> Result<(String, SimRecord), EditError> {
    let cycle = sleep
        .cycle_id
        .and_then(|cycle| find_record(person, SimDataType::Cycle, &cycle.to_string()))
        .ok_or(EditError::Invalid("this sleep belongs to no cycle"))?;
    Ok((cycle.id.clone(), cycle.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::life::{LifePattern, PersonSpec};

    fn now() -> DateTime<Utc> {
        clock::parse("2026-11-20T18:00:00Z").unwrap()
    }

    fn napper() -> Person {
        let (life, days) = (LifePattern::Napper, 30);
        Person::new(2, 4, PersonSpec { life, days }, now(), now())
    }

    fn newest(person: &Person, nap: bool) -> String {
        let mut sleeps = person.records.newest_first(SimDataType::Sleep);
        sleeps.find(|it| it.nap == nap).unwrap().id.clone()
    }

    fn cycles(person: &Person) -> Vec<Value> {
        let cycles = person.records.newest_first(SimDataType::Cycle);
        cycles.map(SimRecord::to_value).collect()
    }

    fn assert_contiguous(person: &Person) {
        let cycles = cycles(person);
        assert!(cycles[0]["end"].is_null());
        for pair in cycles.windows(2) {
            assert_eq!(pair[1]["end"], pair[0]["start"]);
        }
    }

    #[test]
    fn a_nap_that_becomes_a_sleep_begins_a_cycle_and_gets_a_recovery() {
        let mut person = napper();
        let id = newest(&person, true);
        let before = cycles(&person).len();

        to_sleep(&mut person, &id, now(), SeededRng::new(1, 1)).unwrap();

        let sleep = find_record(&person, SimDataType::Sleep, &id)
            .unwrap()
            .to_value();
        let recovery = find_record(&person, SimDataType::Recovery, &id)
            .unwrap()
            .to_value();
        assert_eq!(sleep["nap"], false);
        assert_eq!(sleep["cycle_id"], recovery["cycle_id"]);
        assert_eq!(recovery["score_state"], "PENDING_SCORE");
        assert_eq!(cycles(&person).len(), before + 1);
        assert_contiguous(&person);

        person.advance_to(now() + SCORED_AFTER);
        let recovery = find_record(&person, SimDataType::Recovery, &id)
            .unwrap()
            .to_value();
        assert_eq!(recovery["score_state"], "SCORED");
        person.advance_to(now() + TimeDelta::days(3));
        assert_contiguous(&person);
    }

    #[test]
    fn a_sleep_that_becomes_a_nap_loses_its_cycle_and_recovery() {
        let mut person = napper();
        let id = newest(&person, false);
        let before = cycles(&person).len();

        to_nap(&mut person, &id, now()).unwrap();

        assert_eq!(
            find_record(&person, SimDataType::Sleep, &id)
                .unwrap()
                .to_value()["nap"],
            true
        );
        assert!(find_record(&person, SimDataType::Recovery, &id).is_none());
        assert_eq!(cycles(&person).len(), before - 1);
        assert_contiguous(&person);
        person.advance_to(now() + TimeDelta::days(3));
        assert_contiguous(&person);
    }

    #[test]
    fn a_part_of_a_night_that_becomes_a_nap_does_not_delete_the_cycle() {
        let (life, days) = (LifePattern::BrokenSleeper, 30);
        let mut person = Person::new(2, 15, PersonSpec { life, days }, now(), now());
        let nights = |person: &Person, cycle: &Value| -> Vec<Value> {
            let sleeps = person.records.newest_first(SimDataType::Sleep);
            let main = sleeps.filter(|it| !it.nap).map(SimRecord::to_value);
            main.filter(|it| it["cycle_id"] == cycle["id"]).collect()
        };
        let before = cycles(&person);
        let split = before.iter().find(|it| nights(&person, it).len() == 2);
        let split = split.unwrap().clone();
        let [later, first] = nights(&person, &split).try_into().unwrap();
        let id = first["id"].as_str().unwrap();
        assert!(find_record(&person, SimDataType::Recovery, id).is_some());

        to_nap(&mut person, id, now()).unwrap();

        assert_eq!(nights(&person, &split).len(), 1);
        assert_eq!(cycles(&person).len(), before.len());
        let id = later["id"].as_str().unwrap();
        let recovery = find_record(&person, SimDataType::Recovery, id)
            .unwrap()
            .to_value();
        assert_eq!(recovery["cycle_id"], split["id"]);
    }

    #[test]
    fn a_sleep_changed_to_a_nap_and_back_has_a_recovery() {
        let mut person = napper();
        let id = newest(&person, false);

        to_nap(&mut person, &id, now()).unwrap();
        to_sleep(&mut person, &id, now(), SeededRng::new(1, 1)).unwrap();

        assert!(find_record(&person, SimDataType::Recovery, &id).is_some());
        assert_contiguous(&person);
        person.advance_to(now() + TimeDelta::days(3));
        assert_contiguous(&person);
        let again = to_sleep(&mut person, &id, now(), SeededRng::new(1, 1));
        assert!(matches!(again, Err(EditError::Invalid(_))));
    }
}

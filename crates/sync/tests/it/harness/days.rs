//! Check of law 5 (local dates): the stored dates must equal the dates that the rules assign when
//! they see all of WHOOP's records at once.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use whoop_core::{
    DataType,
    date_assignment::{
        CycleTimes, DateAssignment, DateAssignmentInput, RecoveryLinks, SleepTimes, assign_dates,
    },
    local_date::of_sleep,
    record::{Cycle, Recovery, Sleep},
};

use super::{Member, Stage};

/// Local date of each record as text, such as `2026-05-02` for the key `cycle 3`.
///
/// The text contains `others` if the app shows another record for this date, and `night of` with a
/// date if the sleep is part of the night of that other date.
type Dates = BTreeMap<String, String>;

fn parse<R: DeserializeOwned>(record: &Value) -> R {
    serde_json::from_value(record.clone()).unwrap()
}

impl Stage {
    pub(crate) async fn assert_days_follow_from_whoops_records(&self, member: &Member) {
        assert_eq!(
            self.stored_dates(member).await,
            self.expected_dates(member),
            "{member:?}"
        );
    }

    async fn stored_dates(&self, member: &Member) -> Dates {
        let query = "SELECT jsonb_build_object('record', 'sleep ' || id, 'date', local_date
                         || CASE WHEN in_others THEN ' others' ELSE '' END
                         || coalesce(' night of ' || night_date, ''))::text
             FROM whoop_sleep WHERE user_id = $1
             UNION ALL SELECT jsonb_build_object('record', 'recovery ' || id, 'date', local_date
                         || CASE WHEN in_others THEN ' others' ELSE '' END)::text
             FROM whoop_recovery WHERE user_id = $1
             UNION ALL SELECT jsonb_build_object('record', 'cycle ' || id, 'date', local_date
                         || CASE WHEN in_others THEN ' others' ELSE '' END)::text
             FROM whoop_cycle WHERE user_id = $1";
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let rows = self.texts(query, member).await;
        rows.into_iter()
            .map(|row| serde_json::from_str::<Value>(&row.unwrap()).unwrap())
            .map(|row| (text(&row["record"]), text(&row["date"])))
            .collect()
    }

    fn expected_dates(&self, member: &Member) -> Dates {
        let list = |data_type| self.listed(member, data_type);
        let cycles = list(DataType::Cycle);
        let recoveries = list(DataType::Recovery);
        let sleeps = list(DataType::Sleep);
        let input = DateAssignmentInput {
            cycles: cycles
                .iter()
                .map(|one| CycleTimes::from(&parse::<Cycle>(one)))
                .collect(),
            recoveries: recoveries
                .iter()
                .map(|one| RecoveryLinks::from(&parse::<Recovery>(one)))
                .collect(),
            sleeps: sleeps
                .iter()
                .map(|one| SleepTimes::from(&parse::<Sleep>(one)))
                .collect(),
        };
        let days = assign_dates(&input);
        let others = |assigned: &DateAssignment| if assigned.in_others { " others" } else { "" };
        let mut dates = Dates::new();
        for sleep in &input.sleeps {
            let date = of_sleep(sleep.start, sleep.end, sleep.timezone_offset.as_deref());
            let mut text = date.to_string();
            if let Some(assigned) = days.sleeps.get(&sleep.id) {
                text += others(assigned);
                if assigned.local_date != date {
                    text += &format!(" night of {}", assigned.local_date);
                }
            }
            dates.insert(format!("sleep {}", sleep.id), text);
        }
        for (id, assigned) in &days.cycles {
            let text = format!("{}{}", assigned.local_date, others(assigned));
            dates.insert(format!("cycle {id}"), text);
        }
        for (id, assigned) in &days.recoveries {
            let text = format!("{}{}", assigned.local_date, others(assigned));
            dates.insert(format!("recovery {id}"), text);
        }
        dates
    }
}

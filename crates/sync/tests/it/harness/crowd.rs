//! Scheduled runs and app requests of generated members, in chronological order.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_capacity::{MemberEvent, SimulationParameters};
use whoop_core::plan::Slot;

pub(crate) enum CrowdDue {
    Slot(Slot),
    /// The member with this index opens the app.
    AppRequest(usize),
}

pub(crate) fn crowd_agenda(parameters: &SimulationParameters) -> Vec<(DateTime<Utc>, CrowdDue)> {
    let crowd = parameters.member_generator();
    let mut agenda = Vec::new();
    let mut events = crowd.carried_over_events(parameters.begins);
    for day in 0..i64::from(parameters.days) {
        let midnight = parameters.begins + TimeDelta::days(day);
        for slot in Slot::ALL {
            let begins = midnight + TimeDelta::hours(slot.hour().into());
            agenda.push((begins, CrowdDue::Slot(slot)));
        }
        events.extend(crowd.day_events(midnight));
    }
    let ends = parameters.begins + TimeDelta::days(parameters.days.into());
    for one in events {
        if one.event == MemberEvent::AppOpened && one.at < ends {
            agenda.push((one.at, CrowdDue::AppRequest(one.member)));
        }
    }
    agenda.sort_by_key(|(at, _)| *at);
    agenda
}

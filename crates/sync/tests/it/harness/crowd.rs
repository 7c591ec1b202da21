//! Events of generated members, in chronological order.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_capacity::{MemberEvent, SimulationParameters};
use whoop_core::plan::Slot;

pub(crate) enum CrowdDue {
    Slot(Slot),
    /// The member with this index opens the app.
    Visit(usize),
}

pub(crate) fn crowd_agenda(setting: &SimulationParameters) -> Vec<(DateTime<Utc>, CrowdDue)> {
    let crowd = setting.member_generator();
    let mut agenda = Vec::new();
    let mut happenings = crowd.carried_over_events(setting.begins);
    for day in 0..i64::from(setting.days) {
        let midnight = setting.begins + TimeDelta::days(day);
        for slot in Slot::ALL {
            let begins = midnight + TimeDelta::hours(slot.hour().into());
            agenda.push((begins, CrowdDue::Slot(slot)));
        }
        happenings.extend(crowd.day_events(midnight));
    }
    let ends = setting.begins + TimeDelta::days(setting.days.into());
    for one in happenings {
        if one.event == MemberEvent::AppOpened && one.at < ends {
            agenda.push((one.at, CrowdDue::Visit(one.member)));
        }
    }
    agenda.sort_by_key(|(at, _)| *at);
    agenda
}

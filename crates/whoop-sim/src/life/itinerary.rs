//! Where somebody is, and since when.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Chance, Life,
    zone::{
        AUCKLAND, BERLIN, CHATHAM, HONOLULU, KATHMANDU, LONDON, LOS_ANGELES, NEW_YORK, ST_JOHNS,
        TOKYO, Zone,
    },
};

/// Auckland to Honolulu and Honolulu to Tokyo cross the date line, each way once.
const ROUTE: [Zone; 8] = [
    LONDON,
    NEW_YORK,
    LOS_ANGELES,
    AUCKLAND,
    HONOLULU,
    TOKYO,
    KATHMANDU,
    BERLIN,
];

#[derive(Debug)]
pub(crate) struct Itinerary {
    /// Arrivals, oldest first; the first one lies before everything.
    stays: Vec<(DateTime<Utc>, Zone)>,
    journey: Option<Journey>,
}

/// A journey without end, planned as far as it is asked for.
#[derive(Debug)]
struct Journey {
    chance: Chance,
    stop: usize,
    planned_until: DateTime<Utc>,
}

impl Itinerary {
    pub(crate) fn of(life: Life, mut chance: Chance, from: DateTime<Utc>) -> Self {
        let home = match life {
            Life::OrdinarySleeper
            | Life::NightShiftNurse
            | Life::Decade
            | Life::LongBreaks
            | Life::BrokenSleeper => BERLIN,
            Life::DaylightSaver | Life::Newcomer | Life::Weekdays => NEW_YORK,
            Life::EveningDozer => ST_JOHNS,
            Life::OddReadings => CHATHAM,
            Life::Napper => AUCKLAND,
            Life::Athlete | Life::LongCycle => LOS_ANGELES,
            Life::Parent | Life::StrapOff | Life::MembershipLapsed => LONDON,
            Life::Traveller => {
                let stop = chance.index(ROUTE.len());
                return Self {
                    stays: vec![(DateTime::<Utc>::MIN_UTC, ROUTE[stop])],
                    journey: Some(Journey {
                        chance,
                        stop,
                        planned_until: from,
                    }),
                };
            }
        };
        Self {
            stays: vec![(DateTime::<Utc>::MIN_UTC, home)],
            journey: None,
        }
    }

    /// Plans on until `until`; places before it are known then.
    pub(crate) fn plan_until(&mut self, until: DateTime<Utc>) {
        let Some(journey) = &mut self.journey else {
            return;
        };
        while journey.planned_until < until {
            journey.planned_until += TimeDelta::hours(journey.chance.int(3 * 24, 8 * 24));
            journey.stop = (journey.stop + 1) % ROUTE.len();
            self.stays
                .push((journey.planned_until, ROUTE[journey.stop]));
        }
    }

    pub(crate) fn zone_at(&self, at: DateTime<Utc>) -> Zone {
        let arrived = self.stays.partition_point(|(since, _)| *since <= at);
        self.stays[arrived.saturating_sub(1)].1
    }

    pub(crate) fn offset_minutes(&self, at: DateTime<Utc>) -> i64 {
        self.zone_at(at).offset_minutes(at)
    }
}

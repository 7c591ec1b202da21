//! The time zones in which a person stays, with the times of arrival.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    LifePattern, SeededRng,
    time_zone::{
        AUCKLAND, BERLIN, CHATHAM, HONOLULU, KATHMANDU, LONDON, LOS_ANGELES, NEW_YORK, ST_JOHNS,
        SimTimeZone, TOKYO,
    },
};

/// Stops of a traveller. Auckland to Honolulu and Honolulu to Tokyo cross the date line, once in
/// each direction.
const TRAVEL_ROUTE: [SimTimeZone; 8] = [
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
    /// Times of arrival with the time zone of each stop, oldest first. The first arrival is before
    /// all records.
    stays: Vec<(DateTime<Utc>, SimTimeZone)>,
    travel: Option<TravelPlan>,
}

/// A journey without an end. Its stops are planned up to `planned_until`.
#[derive(Debug)]
struct TravelPlan {
    rng: SeededRng,
    stop: usize,
    planned_until: DateTime<Utc>,
}

impl Itinerary {
    pub(crate) fn for_life(life: LifePattern, mut rng: SeededRng, from: DateTime<Utc>) -> Self {
        let home = match life {
            LifePattern::OrdinarySleeper
            | LifePattern::NightShiftNurse
            | LifePattern::Decade
            | LifePattern::LongBreaks
            | LifePattern::BrokenSleeper => BERLIN,
            LifePattern::DaylightSaver | LifePattern::Newcomer | LifePattern::Weekdays => NEW_YORK,
            LifePattern::EveningDozer => ST_JOHNS,
            LifePattern::OddReadings => CHATHAM,
            LifePattern::Napper => AUCKLAND,
            LifePattern::Athlete | LifePattern::LongCycle => LOS_ANGELES,
            LifePattern::Parent | LifePattern::StrapOff | LifePattern::MembershipLapsed => LONDON,
            LifePattern::Traveller => {
                let stop = rng.index(TRAVEL_ROUTE.len());
                return Self {
                    stays: vec![(DateTime::<Utc>::MIN_UTC, TRAVEL_ROUTE[stop])],
                    travel: Some(TravelPlan {
                        rng,
                        stop,
                        planned_until: from,
                    }),
                };
            }
        };
        Self {
            stays: vec![(DateTime::<Utc>::MIN_UTC, home)],
            travel: None,
        }
    }

    /// Extends the plan at least to `until`, so that the time zone is known at all times before it.
    pub(crate) fn plan_until(&mut self, until: DateTime<Utc>) {
        let Some(travel) = &mut self.travel else {
            return;
        };
        while travel.planned_until < until {
            travel.planned_until += TimeDelta::hours(travel.rng.int_between(3 * 24, 8 * 24));
            travel.stop = (travel.stop + 1) % TRAVEL_ROUTE.len();
            self.stays
                .push((travel.planned_until, TRAVEL_ROUTE[travel.stop]));
        }
    }

    pub(crate) fn zone_at(&self, at: DateTime<Utc>) -> SimTimeZone {
        let arrived = self.stays.partition_point(|(since, _)| *since <= at);
        self.stays[arrived.saturating_sub(1)].1
    }

    pub(crate) fn offset_minutes(&self, at: DateTime<Utc>) -> i64 {
        self.zone_at(at).offset_minutes(at)
    }
}

//! Where somebody is, and since when.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Chance, Life,
    zone::{AUCKLAND, BERLIN, HONOLULU, KATHMANDU, LONDON, LOS_ANGELES, NEW_YORK, TOKYO, Zone},
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

pub(crate) struct Itinerary {
    /// Arrivals, oldest first; the first one lies before everything.
    stays: Vec<(DateTime<Utc>, Zone)>,
}

impl Itinerary {
    pub(crate) fn of(
        life: Life,
        chance: &mut Chance,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Self {
        let home = match life {
            Life::OrdinarySleeper | Life::NightShiftNurse => BERLIN,
            Life::DaylightSaver | Life::Newcomer => NEW_YORK,
            Life::Napper => AUCKLAND,
            Life::Athlete => LOS_ANGELES,
            Life::Parent | Life::StrapOff => LONDON,
            Life::Traveller => return Self::round_the_world(chance, from, until),
        };
        Self {
            stays: vec![(DateTime::<Utc>::MIN_UTC, home)],
        }
    }

    fn round_the_world(chance: &mut Chance, from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        let mut stop = chance.index(ROUTE.len());
        let mut stays = vec![(DateTime::<Utc>::MIN_UTC, ROUTE[stop])];
        let mut arrival = from;
        loop {
            arrival += TimeDelta::hours(chance.int(3 * 24, 8 * 24));
            if arrival >= until {
                return Self { stays };
            }
            stop = (stop + 1) % ROUTE.len();
            stays.push((arrival, ROUTE[stop]));
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

//! Life patterns: the habits that distinguish the simulated people.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::seeded_rng::ScoringDelay;

/// Habits of a simulated person.
///
/// People are assigned these patterns in order, and again from the first one after the last. The
/// first three patterns cover the most cases, because a simulator has three people by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifePattern {
    /// Sleeps regularly in a time zone with summer time, and does sport in the evening.
    OrdinarySleeper,
    /// Sleeps in the daytime for four days, then at night for four days, and misses some sleeps.
    NightShiftNurse,
    /// Travels through eight time zones and crosses the date line in both directions.
    Traveller,
    /// Sleeps through both clock changes of the year, in New York.
    DaylightSaver,
    /// Naps on most afternoons; has an older strap that measures no skin temperature and oxygen.
    Napper,
    /// Sleeps twice on most nights; the second sleep is a nap or starts a cycle of its own.
    Parent,
    /// Trains up to three times a day.
    Athlete,
    /// Takes the strap off for days.
    StrapOff,
    /// Joined a few days ago; WHOOP calibrates during the first four nights.
    Newcomer,
    /// Stopped paying three weeks before the simulator's start and has no newer records.
    MembershipLapsed,
    /// Stays awake every fifth night, so that a cycle lasts 40 hours.
    LongCycle,
    /// Has ten years of history, even if fewer days are configured.
    Decade,
    /// Takes the strap off every weekend, so that there is a gap every week.
    Weekdays,
    /// Has two first cycles that WHOOP scored with zeros later, and takes the strap off for weeks.
    LongBreaks,
    /// Sometimes falls asleep briefly in the evening, which WHOOP records as the main sleep. Enters
    /// naps by hand, some with an efficiency above 100 %.
    EveningDozer,
    /// Is awake for an hour on most nights; WHOOP records such a night as two main sleeps of one
    /// cycle.
    BrokenSleeper,
    /// Has unusual records: unscorable records with a score of zeros, values out of range, and UTC
    /// offsets that lag behind a clock change.
    OddReadings,
}

const LIFE_PATTERNS: [LifePattern; 17] = [
    LifePattern::OrdinarySleeper,
    LifePattern::NightShiftNurse,
    LifePattern::Traveller,
    LifePattern::DaylightSaver,
    LifePattern::Napper,
    LifePattern::Parent,
    LifePattern::Athlete,
    LifePattern::StrapOff,
    LifePattern::Newcomer,
    LifePattern::MembershipLapsed,
    LifePattern::LongCycle,
    LifePattern::Decade,
    LifePattern::Weekdays,
    LifePattern::LongBreaks,
    LifePattern::EveningDozer,
    LifePattern::BrokenSleeper,
    LifePattern::OddReadings,
];

impl LifePattern {
    /// Returns the pattern of the person with this index.
    pub(crate) fn for_index(index: usize) -> Self {
        LIFE_PATTERNS[index % LIFE_PATTERNS.len()]
    }

    /// Returns `n` if every `n`-th night has no sleep that WHOOP records.
    pub(crate) fn missed_night_interval(self) -> Option<usize> {
        match self {
            Self::NightShiftNurse => Some(7),
            Self::StrapOff => Some(9),
            Self::OrdinarySleeper | Self::Traveller => Some(19),
            _ => None,
        }
    }

    /// Returns `n` if days without the strap follow every `n`-th night.
    pub(crate) fn strap_off_interval(self) -> Option<usize> {
        match self {
            Self::StrapOff => Some(14),
            Self::LongBreaks => Some(40),
            _ => None,
        }
    }

    /// Returns the probability of a nap in the afternoon.
    pub(crate) fn nap_probability(self) -> f64 {
        match self {
            Self::Napper => 0.75,
            Self::NightShiftNurse | Self::EveningDozer => 0.3,
            Self::OrdinarySleeper | Self::Traveller | Self::Athlete => 0.12,
            _ => 0.03,
        }
    }

    /// Returns `n` if every `n`-th day ends with a workout that lasts past midnight.
    pub(crate) fn late_sport_interval(self) -> Option<usize> {
        match self {
            Self::OrdinarySleeper => Some(8),
            Self::Traveller | Self::Athlete | Self::DaylightSaver => Some(12),
            _ => None,
        }
    }

    /// Returns the time that WHOOP needs to score this person's sleeps and recoveries.
    pub(crate) fn scoring_delay(self) -> ScoringDelay {
        match self {
            Self::NightShiftNurse | Self::Parent => ScoringDelay::Long,
            _ => ScoringDelay::Short,
        }
    }

    /// Returns the time by which the UTC offset in the records lags behind the real one.
    pub(crate) fn offset_lag(self) -> TimeDelta {
        match self {
            Self::OddReadings | Self::Parent => TimeDelta::hours(20),
            _ => TimeDelta::zero(),
        }
    }
}

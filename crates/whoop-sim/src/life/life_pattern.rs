//! Life patterns: the habits that distinguish the simulated people.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::seeded_rng::ScoringDelay;

/// Habits of a simulated person.
///
/// The first person has the first pattern, the second person the second, and so on. After the last
/// pattern, the first pattern is used again. The first three patterns cover the most cases, because
/// a simulator has three people by default.
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
    /// Naps on most afternoons. The strap is an older one that measures neither skin temperature
    /// nor blood oxygen.
    Napper,
    /// Sleeps twice on most nights. The second sleep is a nap, or a main sleep that starts a new
    /// cycle.
    Parent,
    /// Trains up to three times a day.
    Athlete,
    /// Takes the strap off for days.
    StrapOff,
    /// Joined WHOOP a few days ago. WHOOP calibrates during the first four nights.
    Newcomer,
    /// Stopped paying for WHOOP three weeks before the simulator's start, and has no newer records.
    MembershipLapsed,
    /// Stays awake every fifth night, so that a cycle lasts 40 hours.
    LongCycle,
    /// Has ten years of history, even if fewer days are configured.
    Decade,
    /// Takes the strap off every weekend, so that there is a gap every week.
    Weekdays,
    /// Takes the strap off for weeks. WHOOP created this person's first two cycles days late, with
    /// a score of zeros.
    LongBreaks,
    /// Sometimes falls asleep for a short time in the evening, which WHOOP records as the main
    /// sleep.
    ///
    /// Enters naps by hand, some with an efficiency above 100 %.
    EveningDozer,
    /// Is awake for an hour on most nights. WHOOP records such a night as two main sleeps of one
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
    /// Returns the pattern of the person with this index, counted from zero.
    pub(crate) fn for_index(index: usize) -> Self {
        LIFE_PATTERNS[index % LIFE_PATTERNS.len()]
    }

    /// Returns `n` if every `n`-th night has no sleep that WHOOP records; `None` if every night has
    /// one.
    pub(crate) fn missed_night_interval(self) -> Option<usize> {
        match self {
            Self::NightShiftNurse => Some(7),
            Self::StrapOff => Some(9),
            Self::OrdinarySleeper | Self::Traveller => Some(19),
            _ => None,
        }
    }

    /// Returns `n` if the strap is off for some days after every `n`-th night; `None` if there is
    /// no such `n`.
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

    /// Returns `n` if every `n`-th day ends with a workout that lasts past midnight; `None` if no
    /// day does.
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

    /// Returns the time after a change of the UTC offset during which records still have the old
    /// offset.
    pub(crate) fn offset_lag(self) -> TimeDelta {
        match self {
            Self::OddReadings | Self::Parent => TimeDelta::hours(20),
            _ => TimeDelta::zero(),
        }
    }
}

//! What sets one life apart from another.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::seeded_rng::ScoringDelay;

/// The people take these in turn, so the first three show the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifePattern {
    /// Regular nights in a zone with summer time, sport in the evening.
    OrdinarySleeper,
    /// Sleeps by day for four days, by night for four, and misses some.
    NightShiftNurse,
    /// Half the world in two months, over the date line both ways.
    Traveller,
    /// Sleeps through both changes of the clocks in another part of the world.
    DaylightSaver,
    /// A nap most afternoons; an older strap without temperature and oxygen.
    Napper,
    /// Two sleeps a night, the second a nap or the start of a cycle of its own.
    Parent,
    /// Up to three workouts a day.
    Athlete,
    /// Leaves the strap off for days.
    StrapOff,
    /// Joined a few days ago; WHOOP is still calibrating.
    Newcomer,
    /// Stopped paying three weeks before the simulator's start; nothing is new since.
    MembershipLapsed,
    /// Stays up through every fifth night, so that a cycle lasts 40 hours.
    LongCycle,
    /// Ten years of history, however few days the others have.
    Decade,
    /// Wears the strap from Monday to Friday: a gap every week.
    Weekdays,
    /// Began with days that WHOOP scored with zeros afterwards, and takes the strap off for
    /// weeks.
    LongBreaks,
    /// Falls asleep in the evening, which WHOOP takes for the night; enters naps by hand, some
    /// with an efficiency above 100 %.
    EveningDozer,
    /// Wakes up for an hour: WHOOP records the night as two main sleeps of one cycle.
    BrokenSleeper,
    /// Cycles and workouts without a score, or with one although they are unscored; values
    /// out of range; offsets that lag behind a change of the clocks.
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
    /// The lives in turn.
    pub(crate) fn for_index(index: usize) -> Self {
        LIFE_PATTERNS[index % LIFE_PATTERNS.len()]
    }

    /// Every so many-th night goes by without a sleep that WHOOP could see.
    pub(crate) fn missed_night_interval(self) -> Option<usize> {
        match self {
            Self::NightShiftNurse => Some(7),
            Self::StrapOff => Some(9),
            Self::OrdinarySleeper | Self::Traveller => Some(19),
            _ => None,
        }
    }

    /// Every so many-th night is followed by days without the strap.
    pub(crate) fn strap_off_interval(self) -> Option<usize> {
        match self {
            Self::StrapOff => Some(14),
            Self::LongBreaks => Some(40),
            _ => None,
        }
    }

    /// The chance of a nap in the afternoon.
    pub(crate) fn nap_probability(self) -> f64 {
        match self {
            Self::Napper => 0.75,
            Self::NightShiftNurse | Self::EveningDozer => 0.3,
            Self::OrdinarySleeper | Self::Traveller | Self::Athlete => 0.12,
            _ => 0.03,
        }
    }

    /// Every so many-th day ends with sport that runs past midnight.
    pub(crate) fn late_sport_interval(self) -> Option<usize> {
        match self {
            Self::OrdinarySleeper => Some(8),
            Self::Traveller | Self::Athlete | Self::DaylightSaver => Some(12),
            _ => None,
        }
    }

    /// Some people wait for their scores for most of a day.
    pub(crate) fn scoring_delay(self) -> ScoringDelay {
        match self {
            Self::NightShiftNurse | Self::Parent => ScoringDelay::Long,
            _ => ScoringDelay::Short,
        }
    }

    /// Records show the offset of this long ago.
    pub(crate) fn offset_lag(self) -> TimeDelta {
        match self {
            Self::OddReadings | Self::Parent => TimeDelta::hours(20),
            _ => TimeDelta::zero(),
        }
    }
}

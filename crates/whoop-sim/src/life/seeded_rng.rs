//! Random values from a seeded generator.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

/// A random number generator with a seed.
///
/// People do not share generators, so adding a person does not change the other people.
#[derive(Debug)]
pub(crate) struct SeededRng(ChaCha8Rng);

impl SeededRng {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Creates an independent generator. Its seed is drawn from this generator.
    pub(crate) fn fork(&mut self) -> Self {
        Self(ChaCha8Rng::from_rng(&mut self.0))
    }

    pub(crate) fn float_between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// Returns a random integer from `low` to `high`, both included.
    pub(crate) fn int_between(&mut self, low: i64, high: i64) -> i64 {
        self.0.random_range(low..=high)
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        self.0.random_range(0..length)
    }

    pub(crate) fn random_bool(&mut self, probability: f64) -> bool {
        self.0.random::<f64>() < probability
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    pub(crate) fn random_minutes(&mut self, low: i64, high: i64) -> TimeDelta {
        TimeDelta::milliseconds(self.int_between(low * 60_000, high * 60_000))
    }

    /// Draws the times at which WHOOP creates a record, scores it, and changes the score.
    ///
    /// WHOOP creates most records within minutes after their end, `ended`. If the strap was out of
    /// reach of its phone, it uploads the record hours or days later. WHOOP scores some records a
    /// second time.
    pub(crate) fn draw_scoring_times(
        &mut self,
        ended: DateTime<Utc>,
        scoring_delay: ScoringDelay,
    ) -> ScoringTimes {
        let delay = match self.int_between(0, 79) {
            0..=3 => self.random_minutes(8 * 60, 11 * 60),
            4 => self.random_minutes(2 * 24 * 60, 4 * 24 * 60),
            _ => self.random_minutes(3, 9),
        };
        let created = ended + delay;
        let pending = match scoring_delay {
            ScoringDelay::Long => self.random_minutes(14 * 60, 22 * 60),
            ScoringDelay::Short => TimeDelta::milliseconds(self.int_between(9_000, 280_000)),
        };
        let finalized = created + pending;
        let rescore_delay = self.random_minutes(24 * 60, 6 * 24 * 60);
        ScoringTimes {
            created,
            finalized,
            rescored: self.random_bool(0.05).then(|| finalized + rescore_delay),
        }
    }
}

/// Time that WHOOP needs to score the records of one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScoringDelay {
    /// WHOOP scores a record less than five minutes after it has created the record.
    Short,
    /// WHOOP scores a record most of a day, 14 to 22 hours, after it has created the record.
    Long,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ScoringTimes {
    /// Time at which WHOOP creates the record. The score is then pending.
    pub(crate) created: DateTime<Utc>,
    /// Time at which WHOOP scores the record. From then on, its state is SCORED or UNSCORABLE.
    pub(crate) finalized: DateTime<Utc>,
    /// Time at which WHOOP changes the score; `None` if WHOOP does not change it.
    pub(crate) rescored: Option<DateTime<Utc>>,
}

impl ScoringTimes {
    /// Returns the times, delayed so that the record is created at `earliest` or later.
    ///
    /// A strap uploads its data in chronological order, so a record is created after those before
    /// it.
    pub(crate) fn not_before(self, earliest: DateTime<Utc>) -> Self {
        let delay = (earliest - self.created).max(TimeDelta::zero());
        Self {
            created: self.created + delay,
            finalized: self.finalized + delay,
            rescored: self.rescored.map(|at| at + delay),
        }
    }
}

//! Dice, all thrown from one seeded generator.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

/// One person's dice. Two people never share them, so adding a person changes
/// nobody else.
#[derive(Debug)]
pub(crate) struct Chance(ChaCha8Rng);

impl Chance {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    pub(crate) fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// Both ends included.
    pub(crate) fn int(&mut self, low: i64, high: i64) -> i64 {
        self.0.random_range(low..=high)
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        self.0.random_range(0..length)
    }

    pub(crate) fn odds(&mut self, probability: f64) -> bool {
        self.0.random::<f64>() < probability
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    pub(crate) fn minutes(&mut self, low: i64, high: i64) -> TimeDelta {
        TimeDelta::milliseconds(self.int(low * 60_000, high * 60_000))
    }

    /// When something that ended was stored, and when it was last changed.
    ///
    /// Most of it arrives in minutes. A strap that was out of reach of its phone
    /// uploads hours or days later, and WHOOP scores some nights anew.
    pub(crate) fn stored(&mut self, ended: DateTime<Utc>, now: DateTime<Utc>) -> Stored {
        let delay = match self.int(0, 39) {
            0..=2 => self.minutes(8 * 60, 11 * 60),
            3 => self.minutes(2 * 24 * 60, 4 * 24 * 60),
            _ => self.minutes(3, 9),
        };
        let created = (ended + delay).min(now);
        let rework = match self.int(0, 19) {
            0 => self.minutes(24 * 60, 6 * 24 * 60),
            _ => TimeDelta::milliseconds(self.int(9_000, 280_000)),
        };
        Stored {
            created,
            updated: (created + rework).min(now),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
}

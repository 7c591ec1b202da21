//! A launch: many new members connect within a short time.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// New members who connect beside those who are connected already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    pub members: usize,
    /// Time within which they connect, each at a random moment.
    pub within: TimeDelta,
    /// Time of the first connect, from the beginning of the simulation.
    pub begins_after: TimeDelta,
}

impl Launch {
    /// A launch at 18:00 of the second day, when members also open the app.
    pub fn second_evening(members: usize, within: TimeDelta) -> Self {
        Self {
            members,
            within,
            begins_after: TimeDelta::hours(24 + 18),
        }
    }

    /// The moments at which the members connect, in order.
    pub(crate) fn connect_times(&self, begins: DateTime<Utc>, seed: u64) -> Vec<DateTime<Utc>> {
        let mut dice = ChaCha8Rng::seed_from_u64(seed ^ 0x1a0c_4d05);
        let within = self.within.num_milliseconds().max(1);
        let mut connects: Vec<_> = (0..self.members)
            .map(|_| TimeDelta::milliseconds(dice.random_range(0..within)))
            .map(|after| begins + self.begins_after + after)
            .collect();
        connects.sort_unstable();
        connects
    }
}

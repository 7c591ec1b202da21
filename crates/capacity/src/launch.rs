//! Launch: many new members connect within a short time.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// New members who connect within a short time, in addition to the members who are already
/// connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    pub members: usize,
    /// Length of the time span in which the new members connect, each at a random time.
    pub within: TimeDelta,
    /// Time from the beginning of the simulation to the beginning of this time span.
    pub begins_after: TimeDelta,
}

impl Launch {
    /// Creates a launch that begins at 18:00 of the second day, when members who are already
    /// connected also open the app.
    pub fn second_evening(members: usize, within: TimeDelta) -> Self {
        Self {
            members,
            within,
            begins_after: TimeDelta::hours(24 + 18),
        }
    }

    /// Returns the times at which the new members connect, in ascending order.
    pub(crate) fn connect_times(&self, begins: DateTime<Utc>, seed: u64) -> Vec<DateTime<Utc>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x1a0c_4d05);
        let within = self.within.num_milliseconds().max(1);
        let mut connect_times: Vec<_> = (0..self.members)
            .map(|_| TimeDelta::milliseconds(rng.random_range(0..within)))
            .map(|after| begins + self.begins_after + after)
            .collect();
        connect_times.sort_unstable();
        connect_times
    }
}

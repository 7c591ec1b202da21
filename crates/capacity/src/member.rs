//! A simulated member: what is stored of them, and what WHOOP has beyond it.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use whoop_core::{
    DataType,
    coverage::{Coverage, WindowRead},
    plan::{Call, Night, roster::Standing, visits::Visits, webhook_signals::WebhookSignals},
};

use super::Event;

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) coverage: Vec<Coverage>,
    pub(super) visits: Visits,
    pub(super) heard: Option<WebhookSignals>,
    /// The oldest change at WHOOP that was not read.
    unread: [Option<DateTime<Utc>>; 4],
    night_scored: Option<NaiveDate>,
    sleep_read: Option<NaiveDate>,
    recovery_read: Option<NaiveDate>,
}

impl Member {
    /// A member whose whole history is stored, last read some time ago.
    pub(super) fn new(last: DateTime<Utc>, visits: Visits, heard: Option<WebhookSignals>) -> Self {
        let read = |data_type| Coverage {
            data_type,
            last_sync_at: Some(last),
            covered_from: Some(last - TimeDelta::days(365)),
            covered_until: Some(last),
            earlier: None,
            whole_history: true,
            list_end: None,
        };
        Self {
            coverage: DataType::ALL.into_iter().map(read).collect(),
            visits,
            heard,
            unread: [Some(last); 4],
            night_scored: None,
            sleep_read: None,
            recovery_read: None,
        }
    }

    pub(super) fn standing(&self) -> Standing {
        let mut last_sync_at = [None; 4];
        for (at, one) in last_sync_at.iter_mut().zip(&self.coverage) {
            *at = one.last_sync_at;
        }
        Standing {
            not_granted: Vec::new(),
            is_failing: false,
            backing_off: Vec::new(),
            last_sync_at,
            visits: self.visits,
            signals: self.heard,
            open_beyond: [0; 4],
        }
    }

    /// WHOOP has something new. Returns the types of which it sends an event.
    pub(super) fn changes(&mut self, event: Event, at: DateTime<Utc>) -> &'static [DataType] {
        let announced: &[DataType] = match event {
            Event::Wakes | Event::NightScored | Event::NightRescored => {
                &[DataType::Recovery, DataType::Sleep]
            }
            Event::Naps => &[DataType::Sleep],
            Event::Trains => &[DataType::Workout],
            Event::Visits => &[],
        };
        // A recovery that waits for its score is announced, and says nothing.
        let changed: &[DataType] = match event {
            Event::Wakes => &[DataType::Sleep],
            _ => announced,
        };
        if event == Event::NightScored {
            self.night_scored = Some(at.date_naive());
        }
        for (unread, one) in self.unread.iter_mut().zip(&self.coverage) {
            if changed.contains(&one.data_type) {
                unread.get_or_insert(at);
            }
        }
        announced
    }

    pub(super) fn read(&mut self, call: &Call, at: DateTime<Utc>) {
        for (unread, one) in self.unread.iter_mut().zip(&mut self.coverage) {
            if one.data_type == call.data_type {
                *unread = None;
                *one = one.with(WindowRead {
                    until: at,
                    oldest: Some(call.window.must_reach),
                    list_ended: false,
                    read_at: at,
                });
                one.last_sync_at = Some(at);
            }
        }
        if let Some(heard) = &mut self.heard {
            heard.close(call.data_type);
        }
        self.night_is_here(call.data_type);
    }

    /// What an event named was fetched by its id, which makes no list fresh.
    pub(super) fn fetch(&mut self, data_type: DataType) {
        for (unread, one) in self.unread.iter_mut().zip(&self.coverage) {
            if one.data_type == data_type {
                *unread = None;
            }
        }
        if let Some(heard) = &mut self.heard {
            heard.close(data_type);
        }
        self.night_is_here(data_type);
    }

    /// Whether a list of a type was read since.
    pub(super) fn was_read_since(&self, data_type: DataType, heard: DateTime<Utc>) -> bool {
        let mut types = self.coverage.iter();
        types.any(|one| one.data_type == data_type && one.last_sync_at > Some(heard))
    }

    fn night_is_here(&mut self, data_type: DataType) {
        match data_type {
            DataType::Recovery => self.recovery_read = self.night_scored,
            DataType::Sleep => self.sleep_read = self.night_scored,
            DataType::Workout | DataType::Cycle => {}
        }
    }

    pub(super) fn night(&self, date: NaiveDate) -> Night {
        if self.sleep_read != Some(date) {
            Night::Unscored
        } else if self.recovery_read != Some(date) {
            Night::SleepScored
        } else {
            Night::Scored
        }
    }

    /// How far what is stored is behind what WHOOP has.
    pub(super) fn behind(&self, data_type: DataType, now: DateTime<Utc>) -> TimeDelta {
        let mut types = self.coverage.iter().zip(self.unread);
        let Some((coverage, unread)) = types.find(|(one, _)| one.data_type == data_type) else {
            return TimeDelta::zero();
        };
        // The running cycle changes all the time.
        let since = match data_type {
            DataType::Cycle => coverage.last_sync_at,
            _ => unread,
        };
        since.map_or(TimeDelta::zero(), |since| now - since)
    }

    /// How long ago the type that was longest not read was read.
    pub(super) fn age(&self, now: DateTime<Utc>) -> TimeDelta {
        let oldest = self
            .coverage
            .iter()
            .filter_map(|one| one.last_sync_at)
            .min();
        oldest.map_or(TimeDelta::zero(), |oldest| now - oldest)
    }
}

//! Webhook signals: the data types of a member that changed at WHOOP since they were read.

use chrono::{DateTime, TimeDelta, Utc};

use crate::DataType;

/// Time for which the absence of webhooks proves that nothing changed: after the latest webhook of
/// the member, and after the last read of the data type. The time is limited because webhooks may
/// be lost.
pub const SILENCE_TRUSTED_FOR: TimeDelta = TimeDelta::hours(48);

/// Time after an app request in which the member is assumed to be looking at the data.
pub const APP_IN_USE_WITHIN: TimeDelta = TimeDelta::minutes(15);

/// Maximum delay between a change at WHOOP and its webhook while webhooks arrive.
pub const MAX_WEBHOOK_DELAY: TimeDelta = TimeDelta::minutes(15);

/// Tolerated difference between WHOOP's clock and this service's clock.
pub const WHOOP_CLOCK_SKEW: TimeDelta = TimeDelta::minutes(1);

/// Whether the signals of a member wait for the next app request, which reads the announced
/// changes. They wait if the quota is scarce, unless the member is looking at the data.
pub fn waits_for_app_request(
    is_scarce: bool,
    last_seen_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> bool {
    is_scarce && last_seen_at.is_none_or(|at| now - at >= APP_IN_USE_WITHIN)
}

/// The open signals of a member, if the member's webhooks arrive: the data types that WHOOP
/// announced and that were not read since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WebhookSignals([bool; 4]);

/// Meaning of the webhooks for a data type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The data type changed since it was read.
    Changed,
    /// The data type did not change since it was read.
    Unchanged,
    /// The webhooks prove nothing about the data type.
    Unknown,
}

impl WebhookSignals {
    /// Returns the signals of a member; `None` if the member's latest webhook, at `latest`, is more
    /// than [`SILENCE_TRUSTED_FOR`] ago.
    pub fn trusted(
        latest: Option<DateTime<Utc>>,
        open: impl IntoIterator<Item = DataType>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        latest
            .is_some_and(|at| now - at < SILENCE_TRUSTED_FOR)
            .then(|| open.into_iter().collect())
    }

    /// Opens the signal of a data type.
    pub fn open(&mut self, data_type: DataType) {
        self.set(data_type, true);
    }

    /// Closes the signal of a data type that was read.
    pub fn close(&mut self, data_type: DataType) {
        self.set(data_type, false);
    }

    fn set(&mut self, data_type: DataType, is_open: bool) {
        let mut slots = DataType::ALL.iter().zip(&mut self.0);
        if let Some((_, slot)) = slots.find(|(one, _)| **one == data_type) {
            *slot = is_open;
        }
    }

    /// Returns the signal of a data type that was last read at `read`.
    pub fn signal(&self, data_type: DataType, read: DateTime<Utc>, now: DateTime<Utc>) -> Signal {
        let mut slots = DataType::ALL.iter().zip(self.0);
        if slots.any(|(one, is_open)| *one == data_type && is_open) {
            return Signal::Changed;
        }
        // WHOOP has no webhook for cycles, and the running cycle changes continuously.
        if data_type == DataType::Cycle || now - read >= SILENCE_TRUSTED_FOR {
            return Signal::Unknown;
        }
        Signal::Unchanged
    }
}

impl FromIterator<DataType> for WebhookSignals {
    fn from_iter<T: IntoIterator<Item = DataType>>(open: T) -> Self {
        let mut signals = Self::default();
        for data_type in open {
            signals.open(data_type);
        }
        signals
    }
}

/// Whether the webhook about a change that a list showed is missing.
///
/// It is missing if the change happened after the last read and more than [`MAX_WEBHOOK_DELAY`] ago,
/// and the latest webhook about the data type is older than the change.
///
/// A data type without any webhook (`signal_at` is `None`) proves nothing.
pub fn is_unannounced(
    change: DateTime<Utc>,
    last_read: Option<DateTime<Utc>>,
    signal_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> bool {
    last_read.is_some_and(|read| change > read)
        && now - change > MAX_WEBHOOK_DELAY
        && signal_at.is_some_and(|at| at < change - WHOOP_CLOCK_SKEW)
}

/// Returns the time before which all reads are in doubt, because no webhook of any member arrived
/// after an unannounced change; `None` if webhooks arrived then, so that only a single one was
/// lost.
///
/// `next_webhook` is the first webhook of any member since a minute before the change. If one
/// webhook in 1,000 is lost, a service with 1,000 members loses four per day, and other members'
/// webhooks arrive within 15 minutes of nearly every lost one. With 25 members, 15 minutes without
/// a webhook are common, but a webhook is lost only every ten days. So single losses cost less than
/// one extra read per day at any number of members. An outage of the receiver costs one extra read
/// per member and data type.
pub fn doubted_before(
    change: DateTime<Utc>,
    next_webhook: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let doubted = next_webhook.unwrap_or(now) - MAX_WEBHOOK_DELAY;
    (doubted > change).then_some(doubted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::noon;

    fn ago(minutes: i64) -> DateTime<Utc> {
        noon() - TimeDelta::minutes(minutes)
    }

    #[test]
    fn a_signal_counts_until_it_is_closed() {
        let mut signals: WebhookSignals = [DataType::Sleep].into_iter().collect();
        let of_sleep = |signals: &WebhookSignals| signals.signal(DataType::Sleep, ago(1), noon());

        assert_eq!(of_sleep(&signals), Signal::Changed);
        signals.close(DataType::Sleep);
        assert_eq!(of_sleep(&signals), Signal::Unchanged);
        let of_cycle = signals.signal(DataType::Cycle, ago(1), noon());
        assert_eq!(of_cycle, Signal::Unknown);
    }

    #[test]
    fn the_absence_of_webhooks_is_trusted_for_two_days() {
        let latest = |hours| {
            WebhookSignals::trusted(Some(noon() - TimeDelta::hours(hours)), None, noon()).is_some()
        };
        assert!(latest(47) && !latest(48));
        assert_eq!(WebhookSignals::trusted(None, None, noon()), None);
    }

    #[test]
    fn a_change_is_unannounced_if_it_is_old_enough_and_its_webhook_did_not_arrive() {
        let is_unannounced = |change, last_read, signal_at| {
            super::is_unannounced(
                ago(change),
                Some(ago(last_read)),
                Some(ago(signal_at)),
                noon(),
            )
        };
        assert!(is_unannounced(60, 120, 90));
        // The webhook arrived.
        assert!(!is_unannounced(60, 120, 59));
        assert!(!is_unannounced(60, 120, 61));
        // The webhook may still arrive.
        assert!(!is_unannounced(15, 120, 90));
        // The change was read before.
        assert!(!is_unannounced(60, 59, 90));
        assert!(!super::is_unannounced(ago(60), None, Some(ago(90)), noon()));
        assert!(!super::is_unannounced(
            ago(60),
            Some(ago(120)),
            None,
            noon()
        ));
    }

    #[test]
    fn reads_are_in_doubt_only_if_no_member_had_a_webhook() {
        let doubted = |next: Option<i64>| doubted_before(ago(120), next.map(ago), noon());

        assert_eq!(doubted(None), Some(ago(15)));
        assert_eq!(doubted(Some(40)), Some(ago(55)));
        assert_eq!(doubted(Some(105)), None);
        assert_eq!(doubted(Some(121)), None);
    }
}

//! Webhook signals: the data types of a member for which a webhook announced a change that was not
//! read yet.

use chrono::{DateTime, TimeDelta, Utc};

use crate::DataType;

/// Time for which the absence of a webhook is accepted as evidence that nothing changed: 48 hours.
///
/// The time counts from the latest webhook of the member, and from the last read of the data type.
/// It is limited because webhooks may be lost.
pub const SILENCE_TRUSTED_FOR: TimeDelta = TimeDelta::hours(48);

/// Time after an app request for which the member is assumed to be still using the app: 15 minutes.
pub const APP_IN_USE_WITHIN: TimeDelta = TimeDelta::minutes(15);

/// Maximum time between a change at WHOOP and the arrival of the webhook about it: 15 minutes. A
/// webhook that has not arrived by then counts as lost.
pub const MAX_WEBHOOK_DELAY: TimeDelta = TimeDelta::minutes(15);

/// Tolerated difference between WHOOP's clock and the clock of this service: one minute.
pub const WHOOP_CLOCK_SKEW: TimeDelta = TimeDelta::minutes(1);

/// Returns whether the service waits for the member's next app request before it reads the changes
/// that webhooks announced for the member.
///
/// This is the case if the quota is scarce, unless the member is using the app now.
pub fn waits_for_app_request(
    is_scarce: bool,
    last_seen_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> bool {
    is_scarce && last_seen_at.is_none_or(|at| now - at >= APP_IN_USE_WITHIN)
}

/// Open webhook signals of a member whose webhooks arrive: the data types for which WHOOP announced
/// a change that was not read yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WebhookSignals([bool; 4]);

/// Evidence that the member's webhooks give about one data type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// WHOOP announced a change of the data type that was not read yet.
    Changed,
    /// The data type did not change since its last read, because a webhook would have announced a
    /// change.
    Unchanged,
    /// The webhooks give no evidence of whether the data type changed since its last read.
    Unknown,
}

impl WebhookSignals {
    /// Creates the signals of a member from the data types with an open signal.
    ///
    /// Returns `None` if the member's latest webhook arrived [`SILENCE_TRUSTED_FOR`] ago or
    /// earlier, or never: it is then not known whether the member's webhooks arrive.
    pub fn trusted(
        latest: Option<DateTime<Utc>>,
        open: impl IntoIterator<Item = DataType>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        latest
            .is_some_and(|at| now - at < SILENCE_TRUSTED_FOR)
            .then(|| open.into_iter().collect())
    }

    /// Opens the signal of a data type, because a webhook announced a change.
    pub fn open(&mut self, data_type: DataType) {
        self.set(data_type, true);
    }

    /// Closes the signal of a data type, because the data type was read up to the present.
    pub fn close(&mut self, data_type: DataType) {
        self.set(data_type, false);
    }

    fn set(&mut self, data_type: DataType, is_open: bool) {
        let mut slots = DataType::ALL.iter().zip(&mut self.0);
        if let Some((_, slot)) = slots.find(|(one, _)| **one == data_type) {
            *slot = is_open;
        }
    }

    /// Returns the evidence about changes of a data type since its last read at the time `read`.
    pub fn signal(&self, data_type: DataType, read: DateTime<Utc>, now: DateTime<Utc>) -> Signal {
        let mut slots = DataType::ALL.iter().zip(self.0);
        if slots.any(|(one, is_open)| *one == data_type && is_open) {
            return Signal::Changed;
        }
        // WHOOP sends no webhooks about cycles, and the running cycle changes continuously.
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

/// Returns whether WHOOP did not announce a change that a read of a list has shown.
///
/// A change is unannounced if all of these conditions hold:
///
/// - it happened after the last read of the data type, so that no earlier read contained it;
/// - it happened more than [`MAX_WEBHOOK_DELAY`] ago, so that its webhook is overdue;
/// - a webhook about the data type has arrived before, and the latest one (at `signal_at`) is older
///   than the change.
///
/// If no webhook about the data type has ever arrived (`signal_at` is `None`), the function returns
/// `false`, because it is not known whether WHOOP sends any.
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

/// Returns the time before which all reads are in doubt because webhooks were missed.
///
/// `change` is the time of a change that WHOOP did not announce. `next_webhook` is the time of the
/// first webhook about any member since one minute before the change; `None` if none has arrived.
/// If `next_webhook` arrived within 15 minutes after the change, only a single webhook was lost,
/// and the result is `None`. Otherwise, the webhooks of all members may have been missed until 15
/// minutes before `next_webhook`, or before `now` if there is none. This is the returned time:
/// every data type that was last read before it has to be read again.
///
/// This rule causes few additional reads. Assume that one webhook in 1,000 is lost. A service with
/// 1,000 members then loses four webhooks per day, but after nearly every lost webhook, a webhook
/// about another member arrives within 15 minutes. A service with 25 members often receives no
/// webhook for 15 minutes, but loses a webhook only every ten days. With any number of members,
/// single losses therefore cost the service at most about one additional read per day. An outage of
/// the receiver costs one additional read per member and data type.
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
        // A webhook arrived after the change, or at most one minute before it.
        assert!(!is_unannounced(60, 120, 59));
        assert!(!is_unannounced(60, 120, 61));
        // The change happened only 15 minutes ago, so that its webhook may still arrive.
        assert!(!is_unannounced(15, 120, 90));
        // The change had already been read, or the data type was never read, or no webhook about
        // the data type has ever arrived.
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

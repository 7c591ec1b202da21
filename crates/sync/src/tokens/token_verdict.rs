//! Decides what refused tokens mean: that the member has to connect WHOOP again, or that WHOOP has
//! an outage.
//!
//! Only `invalid_grant` proves that a token pair is dead. WHOOP also answers `invalid_request` for
//! a dead refresh token, and 401 for a dead access token. During an outage, however, it gives these
//! answers for the valid tokens of all members. In both cases, the results of the other members
//! decide.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_storage::acceptance::OtherMembersActivity;

/// Time for which the answer `invalid_request` to a refresh counts as an outage of WHOOP.
const INVALID_REQUEST_GRACE: TimeDelta = TimeDelta::minutes(30);

/// Minimum time between the first and the last refusal of newly issued access tokens, after which
/// the connection counts as dead.
const REJECTION_GRACE: TimeDelta = TimeDelta::minutes(5);

/// Minimum time between the first and the last refusal of newly issued access tokens if no other
/// member is connected. It is longer, because no other member shows whether WHOOP accepts tokens.
const SOLE_MEMBER_REJECTION_GRACE: TimeDelta = TimeDelta::hours(1);

/// Whether a refresh token that WHOOP refuses with `invalid_request` is dead.
///
/// It is dead if the refusals began (`since`) at least 30 minutes ago, and WHOOP has renewed
/// another member's tokens since then.
pub(super) fn is_dead_refresh_token(
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    others: OtherMembersActivity,
) -> bool {
    now - since >= INVALID_REQUEST_GRACE && others.were_refreshed
}

/// Whether a member has to connect again after WHOOP's API refused access tokens that WHOOP had
/// just issued.
///
/// This is the case if the first refusal (`since`) is at least 5 minutes old, and since then a sync
/// of another member has succeeded but no sync of this member. If no other member is connected, an
/// hour of refusals is enough. If other members are connected and WHOOP refuses the tokens of all
/// of them, WHOOP has an outage, regardless of its duration.
pub(super) fn is_dead_connection(
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    others: OtherMembersActivity,
) -> bool {
    let duration = now - since;
    if others.are_connected {
        duration >= REJECTION_GRACE && others.were_synced
    } else {
        duration >= SOLE_MEMBER_REJECTION_GRACE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_REFUSED: OtherMembersActivity = OtherMembersActivity {
        are_connected: true,
        were_synced: false,
        were_refreshed: false,
    };
    const ALL_ACCEPTED: OtherMembersActivity = OtherMembersActivity {
        were_synced: true,
        were_refreshed: true,
        ..ALL_REFUSED
    };
    const NONE: OtherMembersActivity = OtherMembersActivity {
        are_connected: false,
        ..ALL_REFUSED
    };

    fn decide_after(
        minutes: i64,
        is_dead: fn(DateTime<Utc>, DateTime<Utc>, OtherMembersActivity) -> bool,
        others: OtherMembersActivity,
    ) -> bool {
        let since = DateTime::UNIX_EPOCH;
        is_dead(since, since + TimeDelta::minutes(minutes), others)
    }

    #[test]
    fn invalid_request_is_final_after_half_an_hour_if_other_tokens_are_renewed() {
        assert!(!decide_after(29, is_dead_refresh_token, ALL_ACCEPTED));
        assert!(decide_after(30, is_dead_refresh_token, ALL_ACCEPTED));
        assert!(!decide_after(10_000, is_dead_refresh_token, ALL_REFUSED));
        assert!(!decide_after(10_000, is_dead_refresh_token, NONE));
    }

    #[test]
    fn a_refused_access_token_is_final_if_other_tokens_are_accepted_or_there_are_none() {
        assert!(!decide_after(4, is_dead_connection, ALL_ACCEPTED));
        assert!(decide_after(5, is_dead_connection, ALL_ACCEPTED));
        assert!(!decide_after(10_000, is_dead_connection, ALL_REFUSED));
        assert!(!decide_after(59, is_dead_connection, NONE));
        assert!(decide_after(60, is_dead_connection, NONE));
    }
}

//! Rate limit for the requests of each member, so that one app that sends requests in a loop cannot
//! overload the service.

use std::{fmt, num::NonZeroU32, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use whoop_core::UserId;

use crate::problem::Problem;

/// Number of members in the rate limiter above which members without recent requests are removed
/// from it.
const MAX_TRACKED_MEMBERS: usize = 100_000;

/// Rate limiter with a separate limit for each member; `None` if there is no limit.
///
/// Requests with a service key are not counted, because a service reads the data of many members.
pub(crate) struct RequestRateLimiter(Option<DefaultKeyedRateLimiter<UserId>>);

impl fmt::Debug for RequestRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestRateLimiter")
            .field(&self.0.is_some())
            .finish()
    }
}

impl RequestRateLimiter {
    /// Returns a limiter that allows each member `requests` requests per minute, which may all be
    /// sent at once. 0 means no limit.
    pub(crate) fn per_minute(requests: u32) -> Self {
        Self(NonZeroU32::new(requests).map(|max| RateLimiter::keyed(Quota::per_minute(max))))
    }

    pub(crate) fn take(&self, user_id: &UserId) -> Result<(), Problem> {
        let Some(limiter) = &self.0 else {
            return Ok(());
        };
        if limiter.len() > MAX_TRACKED_MEMBERS {
            limiter.retain_recent();
        }
        limiter.check_key(user_id).map_err(|refused| {
            let wait = refused.wait_time_from(limiter.clock().now());
            Problem::too_many_requests(whole_seconds(wait))
        })
    }
}

/// Converts a wait to whole seconds. The wait is rounded up, so that a retry after it is accepted.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_has_a_limit_of_their_own() {
        let limiter = RequestRateLimiter::per_minute(2);
        let [alice, bob] = ["alice", "bob"].map(|name| UserId::try_from(name.to_owned()).unwrap());

        assert!(limiter.take(&alice).is_ok() && limiter.take(&alice).is_ok());
        assert!(limiter.take(&alice).is_err());
        assert!(limiter.take(&bob).is_ok());
        assert!((0..1_000).all(|_| RequestRateLimiter::per_minute(0).take(&alice).is_ok()));
    }

    #[test]
    fn a_wait_is_rounded_up() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
    }
}

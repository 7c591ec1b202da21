//! Queue of one priority class: calls that wait for permits, in the order in which they were added.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use super::task::{QueueRefusal, TaskId, WhoopRequest};

/// Maximum number of permits that a process requests from the ledger at once.
pub(super) const MAX_PERMITS_PER_REQUEST: usize = 16;

#[derive(Debug, Clone, Copy)]
pub(super) struct QueuedCall {
    pub(super) task: TaskId,
    pub(super) request: WhoopRequest,
    pub(super) queued_at: DateTime<Utc>,
}

impl QueuedCall {
    /// Returns the time until which the call waits for a permit. After that, the call is given up.
    pub(super) fn deadline(&self) -> DateTime<Utc> {
        self.queued_at + self.request.remaining_wait
    }
}

#[derive(Debug, Default)]
pub(super) struct CallQueue {
    calls: VecDeque<QueuedCall>,
    /// Earliest deadline of the queued calls. It may be too early, because a call with this
    /// deadline may have left the queue.
    earliest_deadline: Option<DateTime<Utc>>,
    /// Latest refusal of permits for this class by the quota ledger.
    pub(super) refusal: Option<QueueRefusal>,
    /// Time at which permits are requested again for the queued calls; `None` if no request is
    /// planned.
    pub(super) retry_at: Option<DateTime<Utc>>,
}

impl CallQueue {
    pub(super) fn push(&mut self, call: QueuedCall) {
        let deadline = call.deadline();
        let earliest = self.earliest_deadline.filter(|at| *at <= deadline);
        self.earliest_deadline = Some(earliest.unwrap_or(deadline));
        self.calls.push_back(call);
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Removes the first calls of the queue, at most `count`, and returns them.
    pub(super) fn take_first(&mut self, count: usize) -> impl Iterator<Item = QueuedCall> {
        self.calls.drain(..count.min(self.calls.len()))
    }

    /// Removes the calls with a deadline before `until`, the end of the refusal, and returns them.
    pub(super) fn take_timed_out(&mut self, until: DateTime<Utc>) -> Vec<QueuedCall> {
        if self.earliest_deadline.is_none_or(|at| at >= until) {
            return Vec::new();
        }
        let (waiting, timed_out) = std::mem::take(&mut self.calls)
            .into_iter()
            .partition::<VecDeque<_>, _>(|call| call.deadline() >= until);
        self.earliest_deadline = waiting.iter().map(QueuedCall::deadline).min();
        self.calls = waiting;
        timed_out.into()
    }
}

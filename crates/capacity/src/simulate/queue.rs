//! The queue of a priority class: requests that wait for permits, first in, first out.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use super::task::{Refusal, Request, TaskId};

/// Maximum number of permits that one process takes at once.
pub(super) const LARGEST_REQUEST: usize = 16;

#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) task: TaskId,
    pub(super) request: Request,
    pub(super) joined_at: DateTime<Utc>,
}

impl Caller {
    /// The caller waits no longer than until then.
    pub(super) fn deadline(&self) -> DateTime<Utc> {
        self.joined_at + self.request.patience
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    callers: VecDeque<Caller>,
    /// No caller's deadline is earlier.
    earliest_deadline: Option<DateTime<Utc>>,
    /// The ledger's last refusal.
    pub(super) refusal: Option<Refusal>,
    /// The callers ask again then.
    pub(super) asks_at: Option<DateTime<Utc>>,
}

impl Queue {
    pub(super) fn join(&mut self, caller: Caller) {
        let deadline = caller.deadline();
        let earliest = self.earliest_deadline.filter(|at| *at <= deadline);
        self.earliest_deadline = Some(earliest.unwrap_or(deadline));
        self.callers.push_back(caller);
    }

    pub(super) fn len(&self) -> usize {
        self.callers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }

    /// Removes the first callers, at most `count`.
    pub(super) fn take_first(&mut self, count: usize) -> impl Iterator<Item = Caller> {
        self.callers.drain(..count.min(self.callers.len()))
    }

    /// Removes the callers that do not wait until the refusal ends.
    pub(super) fn take_impatient(&mut self, until: DateTime<Utc>) -> Vec<Caller> {
        if self.earliest_deadline.is_none_or(|at| at >= until) {
            return Vec::new();
        }
        let (patient, impatient) = std::mem::take(&mut self.callers)
            .into_iter()
            .partition::<VecDeque<_>, _>(|caller| caller.deadline() >= until);
        self.earliest_deadline = patient.iter().map(Caller::deadline).min();
        self.callers = patient;
        impatient.into()
    }
}

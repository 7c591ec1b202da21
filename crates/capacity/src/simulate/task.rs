//! Syncs of single members: their calls, and the result so far.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_client::Pace;
use whoop_core::{
    DataType,
    plan::Call,
    quota::{PriorityClass, WaitReason},
};

use super::webhook::Announcement;

/// First pause before a failed call is sent again; each further pause is twice as long.
const FIRST_PAUSE: TimeDelta = TimeDelta::milliseconds(200);

const LONGEST_PAUSE: TimeDelta = TimeDelta::seconds(5);

/// Place of a task in [`Tasks`].
pub(super) type TaskId = usize;

/// The reason for a task, which decides what follows its calls.
#[derive(Debug, Clone)]
pub(super) enum Purpose {
    AppRequest(AppRequest),
    /// A selected member of a run, by the run's number.
    Selected(usize),
    /// History, for a member of a run.
    History(usize),
    Webhook(Announcement),
    Connect(ConnectStage),
}

/// An app request that waits for calls.
#[derive(Debug, Clone)]
pub(super) struct AppRequest {
    /// Data types that would be read if calls were plentiful.
    pub(super) due: Vec<DataType>,
    pub(super) asked: Vec<DataType>,
    pub(super) conserves_quota: bool,
    /// Whether the calls that follow from the first ones were made.
    pub(super) is_second_round: bool,
}

/// Stages of a new member's first sync, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectStage {
    Profile,
    Lists,
    BodyMeasurement,
    History,
}

/// Calls for one member that are made side by side.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) member: usize,
    pub(super) class: PriorityClass,
    pub(super) purpose: Purpose,
    /// Time at which the task was begun, before its token was refreshed.
    pub(super) began_at: DateTime<Utc>,
    pub(super) requests: Vec<Request>,
    /// Requests that are neither answered nor refused.
    pub(super) open: usize,
    pub(super) refusal: Option<Refusal>,
    pub(super) has_failed: bool,
}

/// The quota or the circuit breaker refused a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) until: DateTime<Utc>,
    pub(super) reason: WaitReason,
}

/// A call, with the calls that follow from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) what: What,
    /// Time that the call may still wait for permits.
    pub(super) patience: TimeDelta,
    /// Number of its failures.
    pub(super) failures: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// A page of a list up to the present, and the number of pages after it.
    List {
        call: Call,
        more: u32,
    },
    /// A page of a list that is older than the coverage.
    History(Call),
    ById,
    Profile,
    BodyMeasurement,
}

impl Request {
    pub(super) fn new(what: What, patience: TimeDelta) -> Self {
        Self {
            what,
            patience,
            failures: 0,
        }
    }

    /// The pause before the call is sent again, or `None` if it is not.
    pub(super) fn retry_pause(&self, pace: &Pace) -> Option<TimeDelta> {
        let doubled = FIRST_PAUSE * (1 << self.failures.min(8));
        (self.failures < pace.retries).then_some(doubled.min(LONGEST_PAUSE))
    }
}

impl Task {
    pub(super) fn new(
        member: usize,
        class: PriorityClass,
        purpose: Purpose,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            member,
            class,
            purpose,
            began_at: now,
            requests: Vec::new(),
            open: 0,
            refusal: None,
            has_failed: false,
        }
    }

    pub(super) fn with(mut self, requests: impl IntoIterator<Item = Request>) -> Self {
        self.requests.extend(requests);
        self
    }

    pub(super) fn pace(&self) -> Pace {
        match self.class {
            PriorityClass::Interactive | PriorityClass::Webhook => Pace::interactive(),
            PriorityClass::Scheduled | PriorityClass::Inactive | PriorityClass::Backfill => {
                Pace::scheduled()
            }
        }
    }
}

/// The longest wait of a call for permits.
pub(super) fn patience(pace: Pace) -> TimeDelta {
    TimeDelta::from_std(pace.longest_wait).unwrap_or(TimeDelta::MAX)
}

/// The tasks that are under way.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    tasks: Vec<Option<Task>>,
    free: Vec<TaskId>,
}

impl Tasks {
    pub(super) fn add(&mut self, task: Task) -> TaskId {
        match self.free.pop() {
            Some(id) => {
                if let Some(place) = self.tasks.get_mut(id) {
                    *place = Some(task);
                }
                id
            }
            None => {
                self.tasks.push(Some(task));
                self.tasks.len() - 1
            }
        }
    }

    pub(super) fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        self.tasks.get_mut(id)?.as_mut()
    }

    pub(super) fn remove(&mut self, id: TaskId) -> Option<Task> {
        let task = self.tasks.get_mut(id)?.take();
        self.free.extend(task.is_some().then_some(id));
        task
    }
}

//! Syncs of single members (tasks): the calls of each sync, and its result so far.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_client::RetryPolicy;
use whoop_core::{
    DataType,
    plan::ReadRequest,
    quota::{PriorityClass, WaitReason},
};

use super::webhook::SimulatedWebhook;

/// First pause before a failed call is sent again: 200 ms. Each further pause is twice as long.
const FIRST_PAUSE: TimeDelta = TimeDelta::milliseconds(200);

const LONGEST_PAUSE: TimeDelta = TimeDelta::seconds(5);

/// Index of a task in [`ActiveTasks`].
pub(super) type TaskId = usize;

/// Purpose of a task, which determines the step that follows the calls of the task.
#[derive(Debug, Clone)]
pub(super) enum TaskPurpose {
    AppRequest(AppRequest),
    /// Sync of a member that a run selected. The value is the index of the run.
    SelectedMember(usize),
    /// Backfill of a member's history in a run. The value is the index of the run.
    Backfill(usize),
    Webhook(SimulatedWebhook),
    Connect(ConnectStage),
}

/// App request that waits for its calls to WHOOP.
#[derive(Debug, Clone)]
pub(super) struct AppRequest {
    /// Data types that would be read if the quota were plentiful.
    pub(super) due: Vec<DataType>,
    pub(super) requested: Vec<DataType>,
    pub(super) conserves_quota: bool,
    /// Whether the second round of reads has begun: reads that became necessary by the result of
    /// the first ones.
    pub(super) is_second_round: bool,
}

/// Stages of a new member's first sync, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectStage {
    Profile,
    Lists,
    BodyMeasurement,
    Backfill,
}

/// Sync of one member: calls that are sent in parallel.
#[derive(Debug, Clone)]
pub(super) struct SyncTask {
    pub(super) member: usize,
    pub(super) class: PriorityClass,
    pub(super) purpose: TaskPurpose,
    /// Time at which the task began, before any token refresh.
    pub(super) began_at: DateTime<Utc>,
    pub(super) requests: Vec<WhoopRequest>,
    /// Number of requests that were neither answered nor given up.
    pub(super) open_requests: usize,
    pub(super) refusal: Option<QueueRefusal>,
    pub(super) has_failed: bool,
}

/// Refusal of permits by the ledger, because of the quota or the circuit breaker.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueRefusal {
    pub(super) until: DateTime<Utc>,
    pub(super) reason: WaitReason,
}

/// Request of a task: a call, and the further calls that follow from its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct WhoopRequest {
    pub(super) target: RequestTarget,
    /// Time for which the call may still wait for a permit.
    pub(super) remaining_wait: TimeDelta,
    /// Number of times that the call has failed.
    pub(super) failures: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum RequestTarget {
    /// Page of a list up to the present, and the number of pages that follow it.
    List {
        read: ReadRequest,
        remaining_pages: u32,
    },
    /// Page of history that is older than the coverage.
    Backfill(ReadRequest),
    ById,
    Profile,
    BodyMeasurement,
}

impl WhoopRequest {
    pub(super) fn new(target: RequestTarget, max_wait: TimeDelta) -> Self {
        Self {
            target,
            remaining_wait: max_wait,
            failures: 0,
        }
    }

    /// Returns the pause before the call is sent again; `None` if the retry policy allows no
    /// further retry.
    pub(super) fn retry_pause(&self, retry_policy: &RetryPolicy) -> Option<TimeDelta> {
        let doubled = FIRST_PAUSE * (1 << self.failures.min(8));
        (self.failures < retry_policy.retries).then_some(doubled.min(LONGEST_PAUSE))
    }
}

impl SyncTask {
    pub(super) fn new(
        member: usize,
        class: PriorityClass,
        purpose: TaskPurpose,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            member,
            class,
            purpose,
            began_at: now,
            requests: Vec::new(),
            open_requests: 0,
            refusal: None,
            has_failed: false,
        }
    }

    pub(super) fn with(mut self, requests: impl IntoIterator<Item = WhoopRequest>) -> Self {
        self.requests.extend(requests);
        self
    }

    pub(super) fn retry_policy(&self) -> RetryPolicy {
        match self.class {
            PriorityClass::Interactive | PriorityClass::Webhook => RetryPolicy::interactive(),
            PriorityClass::Scheduled | PriorityClass::Inactive | PriorityClass::Backfill => {
                RetryPolicy::scheduled()
            }
        }
    }
}

/// Returns the maximum time for which a call with this retry policy waits for a permit.
pub(super) fn longest_wait(retry_policy: RetryPolicy) -> TimeDelta {
    TimeDelta::from_std(retry_policy.max_wait).unwrap_or(TimeDelta::MAX)
}

/// Tasks that are running now. The ids of ended tasks are used again.
#[derive(Debug, Default)]
pub(super) struct ActiveTasks {
    tasks: Vec<Option<SyncTask>>,
    free: Vec<TaskId>,
}

impl ActiveTasks {
    pub(super) fn add(&mut self, task: SyncTask) -> TaskId {
        match self.free.pop() {
            Some(id) => {
                if let Some(slot) = self.tasks.get_mut(id) {
                    *slot = Some(task);
                }
                id
            }
            None => {
                self.tasks.push(Some(task));
                self.tasks.len() - 1
            }
        }
    }

    pub(super) fn get_mut(&mut self, id: TaskId) -> Option<&mut SyncTask> {
        self.tasks.get_mut(id)?.as_mut()
    }

    pub(super) fn remove(&mut self, id: TaskId) -> Option<SyncTask> {
        let task = self.tasks.get_mut(id)?.take();
        self.free.extend(task.is_some().then_some(id));
        task
    }
}

//! New members: reads the newest data first (first sync), then the body measurement and 30 days of
//! history.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_client::RetryPolicy;
use whoop_core::{
    DataType,
    plan::{
        BACKFILL_AFTER_CONNECT, ReadReason, ReadRequest, ReadWindow,
        webhook_signals::WebhookSignals,
    },
    quota::PriorityClass,
};

use super::{
    Simulation,
    event_queue::SimulationEvent,
    run::backfill_requests,
    task::{ConnectStage, RequestTarget, SyncTask, TaskPurpose, WhoopRequest, longest_wait},
};
use crate::{MemberEvent, ScheduledEvent, simulated_member::SimulatedMember};

/// Time span that the first sync reads: 48 hours, which is one page of each data type.
const FIRST_SYNC_WINDOW: TimeDelta = TimeDelta::hours(48);

/// Maximum time that a call of the first sync waits for its permit: three hours. On the day of a
/// launch, the queue contains several thousand calls.
const FIRST_SYNC_MAX_WAIT: TimeDelta = TimeDelta::hours(3);

/// Pause before a failed stage of a first sync is repeated: one minute.
const STAGE_RETRY_PAUSE: TimeDelta = TimeDelta::minutes(1);

/// Times at which a new member's app requests data, counted from the time at which the member
/// connects.
const APP_REQUESTS_AFTER: [TimeDelta; 2] = [TimeDelta::seconds(10), TimeDelta::minutes(10)];

/// Adds a new member who connects at the time `now`, and begins the member's first sync.
pub(super) fn connect_member(simulation: &mut Simulation<'_>, now: DateTime<Utc>) {
    let index = simulation.members.len();
    let signals = simulation
        .parameters
        .webhooks
        .map(|_| WebhookSignals::from_iter(DataType::ALL));
    let member = SimulatedMember::connecting(now, now - BACKFILL_AFTER_CONNECT, signals);
    simulation.members.push(member);
    for after in APP_REQUESTS_AFTER {
        let at = now + after;
        let app_open = ScheduledEvent {
            at,
            member: index,
            event: MemberEvent::AppOpened,
        };
        simulation
            .events
            .add(at, SimulationEvent::MemberEvent(app_open));
    }
    begin_stage(simulation, now, index, ConnectStage::Profile);
}

pub(super) fn end_connect_stage(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    task: &SyncTask,
    stage: ConnectStage,
) {
    let is_done = task.refusal.is_none() && !task.has_failed;
    let next = match stage {
        ConnectStage::Profile | ConnectStage::Lists if !is_done => {
            return repeat_stage(simulation, now, task.member, stage);
        }
        ConnectStage::Profile => ConnectStage::Lists,
        ConnectStage::Lists => {
            simulation.counters.launch.record_first_sync(now);
            ConnectStage::BodyMeasurement
        }
        // If the quota does not allow the backfill now, the next night run continues it.
        ConnectStage::BodyMeasurement | ConnectStage::Backfill if !is_done => return,
        ConnectStage::BodyMeasurement | ConnectStage::Backfill => ConnectStage::Backfill,
    };
    begin_stage(simulation, now, task.member, next);
}

fn repeat_stage(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    member: usize,
    stage: ConnectStage,
) {
    let at = now + STAGE_RETRY_PAUSE;
    simulation
        .events
        .add(at, SimulationEvent::StageRepeated(member, stage));
}

pub(super) fn begin_stage(
    simulation: &mut Simulation<'_>,
    now: DateTime<Utc>,
    member: usize,
    stage: ConnectStage,
) {
    let class = match stage {
        ConnectStage::Profile | ConnectStage::Lists => PriorityClass::Scheduled,
        ConnectStage::BodyMeasurement | ConnectStage::Backfill => PriorityClass::Backfill,
    };
    let requests: Vec<WhoopRequest> = match stage {
        ConnectStage::Profile => vec![WhoopRequest::new(
            RequestTarget::Profile,
            FIRST_SYNC_MAX_WAIT,
        )],
        ConnectStage::Lists => first_sync_requests(now).collect(),
        ConnectStage::BodyMeasurement => {
            let max_wait = longest_wait(RetryPolicy::scheduled());
            vec![WhoopRequest::new(RequestTarget::BodyMeasurement, max_wait)]
        }
        ConnectStage::Backfill => {
            backfill_requests(super::run::backfill_reads(simulation, now, member)).collect()
        }
    };
    if requests.is_empty() {
        return;
    }
    let task = SyncTask::new(member, class, TaskPurpose::Connect(stage), now);
    simulation.begin_task(now, task.with(requests));
}

/// Returns the requests of the first sync: one page of each data type.
fn first_sync_requests(now: DateTime<Utc>) -> impl Iterator<Item = WhoopRequest> {
    DataType::ALL.into_iter().map(move |data_type| {
        let read_request = ReadRequest {
            data_type,
            window: ReadWindow {
                must_reach: now - FIRST_SYNC_WINDOW,
                end: now,
            },
            reason: ReadReason::NeverRead,
        };
        WhoopRequest::new(
            RequestTarget::List {
                read: read_request,
                remaining_pages: 0,
            },
            FIRST_SYNC_MAX_WAIT,
        )
    })
}

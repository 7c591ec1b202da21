//! New members: the first sync, then the body measurement and a month of history.

use chrono::{DateTime, TimeDelta, Utc};
use whoop_client::Pace;
use whoop_core::{
    DataType,
    plan::{Call, FIRST_HISTORY, Reason, Window, webhook_signals::WebhookSignals},
    quota::PriorityClass,
};

use super::{
    Simulation,
    agenda::Due,
    run::history_requests,
    task::{ConnectStage, Purpose, Request, Task, What, patience},
};
use crate::{Event, Happening, member::Member};

/// The first sync reads this much, which is one page of each data type.
const FIRST_DAYS: TimeDelta = TimeDelta::hours(48);

/// Longest wait of a call of the first sync for its permit. On launch day the queue is some
/// thousands of calls long.
const FIRST_SYNC_PATIENCE: TimeDelta = TimeDelta::hours(3);

/// Pause before a first sync that failed is tried again.
const AGAIN_AFTER: TimeDelta = TimeDelta::minutes(1);

/// Times after the connect at which a new member's app asks for data.
const ASKS_AFTER: [TimeDelta; 2] = [TimeDelta::seconds(10), TimeDelta::minutes(10)];

impl Simulation<'_> {
    /// A new member connects.
    pub(super) fn connect(&mut self, now: DateTime<Utc>) {
        let place = self.members.len();
        let heard = self
            .setting
            .webhooks
            .map(|_| WebhookSignals::from_iter(DataType::ALL));
        let member = Member::connecting(now, now - FIRST_HISTORY, heard);
        self.members.push(member);
        for after in ASKS_AFTER {
            let at = now + after;
            let asks = Happening {
                at,
                member: place,
                event: Event::Visits,
            };
            self.agenda.add(at, Due::Happens(asks));
        }
        self.begin_stage(now, place, ConnectStage::Profile);
    }

    pub(super) fn end_connect_stage(
        &mut self,
        now: DateTime<Utc>,
        task: &Task,
        stage: ConnectStage,
    ) {
        let is_done = task.refusal.is_none() && !task.has_failed;
        let next = match stage {
            ConnectStage::Profile | ConnectStage::Lists if !is_done => {
                return self.repeat_stage(now, task.member, stage);
            }
            ConnectStage::Profile => ConnectStage::Lists,
            ConnectStage::Lists => {
                self.tally.launch.first_sync_ended(now);
                ConnectStage::BodyMeasurement
            }
            // The night's run goes on with histories that the quota does not allow now.
            ConnectStage::BodyMeasurement | ConnectStage::History if !is_done => return,
            ConnectStage::BodyMeasurement | ConnectStage::History => ConnectStage::History,
        };
        self.begin_stage(now, task.member, next);
    }

    fn repeat_stage(&mut self, now: DateTime<Utc>, member: usize, stage: ConnectStage) {
        let at = now + AGAIN_AFTER;
        self.agenda.add(at, Due::RepeatsStage(member, stage));
    }

    pub(super) fn begin_stage(&mut self, now: DateTime<Utc>, member: usize, stage: ConnectStage) {
        let class = match stage {
            ConnectStage::Profile | ConnectStage::Lists => PriorityClass::Scheduled,
            ConnectStage::BodyMeasurement | ConnectStage::History => PriorityClass::Backfill,
        };
        let requests: Vec<Request> = match stage {
            ConnectStage::Profile => vec![Request::new(What::Profile, FIRST_SYNC_PATIENCE)],
            ConnectStage::Lists => first_lists(now).collect(),
            ConnectStage::BodyMeasurement => {
                let patience = patience(Pace::scheduled());
                vec![Request::new(What::BodyMeasurement, patience)]
            }
            ConnectStage::History => history_requests(self.history_calls(now, member)).collect(),
        };
        if requests.is_empty() {
            return;
        }
        let task = Task::new(member, class, Purpose::Connect(stage), now);
        self.begin(now, task.with(requests));
    }
}

/// One page of each data type.
fn first_lists(now: DateTime<Utc>) -> impl Iterator<Item = Request> {
    DataType::ALL.into_iter().map(move |data_type| {
        let call = Call {
            data_type,
            window: Window {
                must_reach: now - FIRST_DAYS,
                end: now,
            },
            reason: Reason::NeverRead,
        };
        Request::new(What::List { call, more: 0 }, FIRST_SYNC_PATIENCE)
    })
}

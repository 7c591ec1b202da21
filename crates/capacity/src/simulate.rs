//! Discrete-event simulation of the service: handles all events of the simulated days in the order
//! of their times.

mod app_request;
mod call;
mod call_queue;
mod event_queue;
mod first_sync;
mod run;
mod task;
mod webhook;

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::{
    DataType,
    plan::{Slot, run::interactive_calls_per_day, webhook_signals::WebhookSignals},
    quota::{PriorityClass, QuotaLedger},
};

use self::{
    call_queue::CallQueue,
    event_queue::{EventQueue, SimulationEvent},
    run::ActiveRun,
    task::{ActiveTasks, SyncTask, TaskId},
    webhook::SimulatedInbox,
};
use super::{
    MemberEvent, MemberGenerator, ScheduledEvent, SimulationParameters, SimulationReport,
    counters::SimulationCounters, simulated_member::SimulatedMember,
};

/// Minimum remaining lifetime of an access token: one minute. If less remains, the token is
/// refreshed before a call is sent.
const MIN_TOKEN_LIFETIME: TimeDelta = TimeDelta::minutes(1);

const TOKEN_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// Time after an outage for which app requests may still return data from before the outage: two
/// minutes. By then, a probe has succeeded, and WHOOP has sent the webhooks of the outage.
const OUTAGE_AFTERMATH: TimeDelta = TimeDelta::minutes(2);

struct Simulation<'a> {
    parameters: &'a SimulationParameters,
    member_generator: MemberGenerator,
    /// All connected members. New members of a launch are added when they connect.
    members: Vec<SimulatedMember>,
    ledger: QuotaLedger,
    /// Whether a call has failed since the last call that WHOOP answered.
    has_failures: bool,
    /// Time of the latest successful read of any member.
    latest_read: DateTime<Utc>,
    events: EventQueue,
    tasks: ActiveTasks,
    queues: [CallQueue; PriorityClass::ALL.len()],
    runs: Vec<ActiveRun>,
    inbox: SimulatedInbox,
    /// Beginning and end of each outage of WHOOP.
    outages: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    counters: SimulationCounters,
}

/// Simulates all days and returns the report. Equal parameters always give equal reports.
pub fn simulate(parameters: &SimulationParameters) -> SimulationReport {
    let mut simulation = Simulation::new(parameters);
    let begins = parameters.begins;
    for scheduled in simulation.member_generator.carried_over_events(begins) {
        let event = SimulationEvent::MemberEvent(scheduled);
        simulation.events.add(scheduled.at, event);
    }
    for day in 0..i64::from(parameters.days) {
        let midnight = begins + TimeDelta::days(day);
        simulation.events.add(midnight, SimulationEvent::Midnight);
        for slot in Slot::ALL {
            let begins = midnight + TimeDelta::hours(slot.hour().into());
            simulation
                .events
                .add(begins, SimulationEvent::RunBegins(slot));
        }
    }
    if let Some(launch) = parameters.launch {
        for at in launch.connect_times(begins, parameters.seed) {
            simulation.events.add(at, SimulationEvent::MemberConnects);
        }
    }
    let ends = begins + TimeDelta::days(i64::from(parameters.days));
    while let Some((at, event)) = simulation.events.next() {
        if at >= ends {
            break;
        }
        simulation.handle_event(at, event);
    }
    SimulationReport::of(parameters, simulation.counters)
}

/// Creates the member with this index, in the member's state at the beginning of the simulation.
fn initial_member(
    parameters: &SimulationParameters,
    generator: &MemberGenerator,
    index: usize,
) -> SimulatedMember {
    let begins = parameters.begins;
    let app_opens = generator.app_opens_before(index, begins);
    let last_read_before = generator.initial_read_age(index);
    let all_open = parameters
        .webhooks
        .map(|_| WebhookSignals::from_iter(DataType::ALL));
    let opened_yesterday = app_opens
        .last
        .is_some_and(|last| begins - last <= TimeDelta::days(1));
    let mut member = if opened_yesterday {
        // The second app request of the day before the simulation read all changes that existed
        // then.
        let at = begins - last_read_before.min(TimeDelta::hours(4));
        SimulatedMember::up_to_date(at, app_opens, all_open.map(|_| WebhookSignals::default()))
    } else {
        SimulatedMember::new(begins - last_read_before, app_opens, all_open)
    };
    if generator.always_fails(index, parameters.call_conditions.failing_share) {
        member.set_always_failing(begins - TimeDelta::hours(1));
    }
    member
}

impl<'a> Simulation<'a> {
    fn new(parameters: &'a SimulationParameters) -> Self {
        let generator = parameters.member_generator();
        let begins = parameters.begins;
        let members: Vec<SimulatedMember> = (0..parameters.users)
            .map(|member| initial_member(parameters, &generator, member))
            .collect();
        // The ledger begins with the expected interactive calls that the last run before midnight
        // would have set.
        let states: Vec<_> = members
            .iter()
            .map(|one| one.sync_state(begins, begins))
            .collect();
        let mut ledger = QuotaLedger::default();
        let app_request_calls = interactive_calls_per_day(&states, begins);
        ledger.set_need(PriorityClass::Interactive, app_request_calls);
        Self {
            parameters,
            member_generator: generator,
            members,
            ledger,
            has_failures: false,
            latest_read: begins,
            events: EventQueue::default(),
            tasks: ActiveTasks::default(),
            queues: Default::default(),
            runs: Vec::new(),
            inbox: SimulatedInbox::default(),
            outages: parameters
                .call_conditions
                .outages
                .iter()
                .map(|one| one.span(begins))
                .collect(),
            counters: SimulationCounters::default(),
        }
    }

    fn handle_event(&mut self, now: DateTime<Utc>, event: SimulationEvent) {
        match event {
            SimulationEvent::Midnight => self.begin_day(now),
            SimulationEvent::RunBegins(slot) => run::begin_run(self, now, slot),
            SimulationEvent::MemberEvent(scheduled)
                if scheduled.event == MemberEvent::AppOpened =>
            {
                app_request::open_app(self, now, scheduled.member);
            }
            SimulationEvent::MemberEvent(scheduled) => self.apply_member_event(now, &scheduled),
            SimulationEvent::WebhookArrives(webhook) => {
                webhook::receive_webhook(self, now, webhook);
            }
            SimulationEvent::WebhookRetried(webhook) => webhook::queue_webhook(self, now, webhook),
            SimulationEvent::InboxResumes => webhook::drain_inbox(self, now),
            SimulationEvent::MemberConnects => first_sync::connect_member(self, now),
            SimulationEvent::StageRepeated(member, stage) => {
                first_sync::begin_stage(self, now, member, stage);
            }
            SimulationEvent::TokenReady(task) => call::send_requests(self, now, task),
            SimulationEvent::CallAnswered {
                task,
                request,
                is_failure,
            } => call::handle_answer(self, now, task, request, is_failure),
            SimulationEvent::CallRepeated(task, request) => {
                call::repeat_request(self, now, task, request);
            }
            SimulationEvent::QueueRetries(class) => call::retry_queue(self, now, class),
        }
    }

    fn begin_day(&mut self, midnight: DateTime<Utc>) {
        for scheduled in self.member_generator.day_events(midnight) {
            self.events
                .add(scheduled.at, SimulationEvent::MemberEvent(scheduled));
        }
        for member in self.members.iter().filter(|one| !one.always_fails) {
            let is_inactive = member
                .app_opens
                .last
                .is_none_or(|last| midnight - last >= TimeDelta::days(1));
            if is_inactive {
                self.counters
                    .inactive_ages
                    .push(member.oldest_read_age(midnight).num_seconds());
                self.counters
                    .add_inactive_age(member.oldest_read_age(midnight));
            }
        }
    }

    /// Applies a member's event: WHOOP now has a new or changed record, and sends the webhooks
    /// about it.
    fn apply_member_event(&mut self, now: DateTime<Utc>, scheduled: &ScheduledEvent) {
        let Some(member) = self.members.get_mut(scheduled.member) else {
            return;
        };
        let changed = member.apply_event(scheduled.event, now);
        let webhooks = self.parameters.webhooks;
        if let Some(arrives) =
            webhooks.and_then(|webhooks| self.member_generator.webhook_arrival(scheduled, webhooks))
        {
            // WHOOP sends no webhooks during an outage. It sends them after the end of the outage,
            // with the same delay.
            let arrives = match self.outage_at(arrives) {
                Some((_, ends)) => ends + (arrives - now),
                None => arrives,
            };
            for data_type in changed {
                let webhook = webhook::SimulatedWebhook::new(scheduled.member, *data_type);
                self.events
                    .add(arrives, SimulationEvent::WebhookArrives(webhook));
            }
        }
    }

    /// Begins a task. The requests of the task are sent as soon as the member's access token is
    /// valid.
    fn begin_task(&mut self, now: DateTime<Utc>, task: SyncTask) {
        let Some(member) = self.members.get_mut(task.member) else {
            return;
        };
        let id = self.tasks.add(task);
        if member.token_expires_at > now + MIN_TOKEN_LIFETIME {
            return call::send_requests(self, now, id);
        }
        let ready_at = now + self.parameters.call_conditions.refresh_duration;
        member.token_expires_at = ready_at + TOKEN_LIFETIME;
        self.counters.refreshes += 1;
        self.events.add(ready_at, SimulationEvent::TokenReady(id));
    }

    /// Ends a task, and begins the step that follows for the purpose of the task.
    fn end_task(&mut self, now: DateTime<Utc>, id: TaskId) {
        let Some(task) = self.tasks.remove(id) else {
            return;
        };
        match task.purpose.clone() {
            task::TaskPurpose::AppRequest(request) => {
                app_request::end_app_request(self, now, task, request);
            }
            task::TaskPurpose::SelectedMember(run) => run::end_selected(self, now, &task, run),
            task::TaskPurpose::Backfill(run) => run::end_backfill(self, now, &task, run),
            task::TaskPurpose::Webhook(webhook) => webhook::end_webhook(self, now, &task, webhook),
            task::TaskPurpose::Connect(stage) => {
                first_sync::end_connect_stage(self, now, &task, stage);
            }
        }
    }

    /// Returns the beginning and the end of the outage during which the time `now` lies; `None` if
    /// there is none.
    fn outage_at(&self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let mut outages = self.outages.iter().copied();
        outages.find(|(begins, ends)| (*begins..*ends).contains(&now))
    }

    /// Returns whether an outage affects the data that an app request at the time `now` returns.
    fn is_affected_by_outage(&self, now: DateTime<Utc>) -> bool {
        self.outage_at(now).is_some() || self.outage_at(now - OUTAGE_AFTERMATH).is_some()
    }
}

//! Discrete-event simulation of the service: handles all events of the simulated days in order.

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

/// Minimum remaining lifetime of an access token. A token with less is refreshed before a call.
const MIN_TOKEN_LIFETIME: TimeDelta = TimeDelta::minutes(1);

const TOKEN_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// Time after an outage in which app requests may still return data from before it: until the next
/// probe succeeds and WHOOP has sent the webhooks of the outage.
const OUTAGE_AFTERMATH: TimeDelta = TimeDelta::minutes(2);

struct Simulation<'a> {
    setting: &'a SimulationParameters,
    member_generator: MemberGenerator,
    /// The connected members.
    members: Vec<SimulatedMember>,
    ledger: QuotaLedger,
    /// Whether a call failed since the last success.
    has_failures: bool,
    /// Time of the latest successful read of any member.
    latest_read: DateTime<Utc>,
    events: EventQueue,
    tasks: ActiveTasks,
    queues: [CallQueue; PriorityClass::ALL.len()],
    runs: Vec<ActiveRun>,
    inbox: SimulatedInbox,
    /// Beginning and end of each outage.
    outages: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    counters: SimulationCounters,
}

/// Simulates all days and returns the report. The same parameters give the same report.
pub fn simulate(setting: &SimulationParameters) -> SimulationReport {
    let mut simulation = Simulation::new(setting);
    let begins = setting.begins;
    for happening in simulation.member_generator.carried_over_events(begins) {
        let happens = SimulationEvent::MemberEvent(happening);
        simulation.events.add(happening.at, happens);
    }
    for day in 0..i64::from(setting.days) {
        let midnight = begins + TimeDelta::days(day);
        simulation.events.add(midnight, SimulationEvent::Midnight);
        for slot in Slot::ALL {
            let begins = midnight + TimeDelta::hours(slot.hour().into());
            simulation
                .events
                .add(begins, SimulationEvent::RunBegins(slot));
        }
    }
    if let Some(launch) = setting.launch {
        for at in launch.connect_times(begins, setting.seed) {
            simulation.events.add(at, SimulationEvent::MemberConnects);
        }
    }
    let ends = begins + TimeDelta::days(i64::from(setting.days));
    while let Some((at, due)) = simulation.events.next() {
        if at >= ends {
            break;
        }
        simulation.handle_event(at, due);
    }
    SimulationReport::of(setting, simulation.counters)
}

/// Returns the state of a member at the beginning of the simulation.
fn initial_member(
    setting: &SimulationParameters,
    crowd: &MemberGenerator,
    place: usize,
) -> SimulatedMember {
    let begins = setting.begins;
    let visits = crowd.app_opens_before(place, begins);
    let last_read_before = crowd.initial_read_age(place);
    let all_open = setting
        .webhooks
        .map(|_| WebhookSignals::from_iter(DataType::ALL));
    let came_yesterday = visits
        .last
        .is_some_and(|last| begins - last <= TimeDelta::days(1));
    let mut member = if came_yesterday {
        // Yesterday's second app request read all changes up to then.
        let at = begins - last_read_before.min(TimeDelta::hours(4));
        SimulatedMember::up_to_date(at, visits, all_open.map(|_| WebhookSignals::default()))
    } else {
        SimulatedMember::new(begins - last_read_before, visits, all_open)
    };
    if crowd.always_fails(place, setting.call_conditions.failing_share) {
        member.set_always_failing(begins - TimeDelta::hours(1));
    }
    member
}

impl<'a> Simulation<'a> {
    fn new(setting: &'a SimulationParameters) -> Self {
        let crowd = setting.member_generator();
        let begins = setting.begins;
        let members: Vec<SimulatedMember> = (0..setting.users)
            .map(|member| initial_member(setting, &crowd, member))
            .collect();
        // The expected calls of the priority classes, as the last run before midnight sets them.
        let standings: Vec<_> = members
            .iter()
            .map(|one| one.sync_state(begins, begins))
            .collect();
        let mut ledger = QuotaLedger::default();
        let visitors = interactive_calls_per_day(&standings, begins);
        ledger.set_need(PriorityClass::Interactive, visitors);
        Self {
            setting,
            member_generator: crowd,
            members,
            ledger,
            has_failures: false,
            latest_read: begins,
            events: EventQueue::default(),
            tasks: ActiveTasks::default(),
            queues: Default::default(),
            runs: Vec::new(),
            inbox: SimulatedInbox::default(),
            outages: setting
                .call_conditions
                .outages
                .iter()
                .map(|one| one.span(begins))
                .collect(),
            counters: SimulationCounters::default(),
        }
    }

    fn handle_event(&mut self, now: DateTime<Utc>, due: SimulationEvent) {
        match due {
            SimulationEvent::Midnight => self.begin_day(now),
            SimulationEvent::RunBegins(slot) => self.begin_run(now, slot),
            SimulationEvent::MemberEvent(happening)
                if happening.event == MemberEvent::AppOpened =>
            {
                self.open_app(now, happening.member);
            }
            SimulationEvent::MemberEvent(happening) => self.apply_member_event(now, &happening),
            SimulationEvent::WebhookArrives(announcement) => {
                self.receive_webhook(now, announcement)
            }
            SimulationEvent::WebhookRetried(announcement) => self.queue_webhook(now, announcement),
            SimulationEvent::InboxResumes => self.drain_inbox(now),
            SimulationEvent::MemberConnects => self.connect_member(now),
            SimulationEvent::StageRepeated(member, stage) => self.begin_stage(now, member, stage),
            SimulationEvent::TokenReady(task) => self.send_requests(now, task),
            SimulationEvent::CallAnswered {
                task,
                request,
                is_failure,
            } => self.handle_answer(now, task, request, is_failure),
            SimulationEvent::CallRepeated(task, request) => self.repeat_request(now, task, request),
            SimulationEvent::QueueRetries(class) => self.retry_queue(now, class),
        }
    }

    fn begin_day(&mut self, midnight: DateTime<Utc>) {
        for happening in self.member_generator.day_events(midnight) {
            self.events
                .add(happening.at, SimulationEvent::MemberEvent(happening));
        }
        for member in self.members.iter().filter(|one| !one.always_fails) {
            let is_away = member
                .app_opens
                .last
                .is_none_or(|last| midnight - last >= TimeDelta::days(1));
            if is_away {
                self.counters
                    .inactive_ages
                    .push(member.oldest_read_age(midnight).num_seconds());
                self.counters
                    .add_inactive_age(member.oldest_read_age(midnight));
            }
        }
    }

    /// Applies a new or changed record of a member at WHOOP, and sends the webhooks about it.
    fn apply_member_event(&mut self, now: DateTime<Utc>, happening: &ScheduledEvent) {
        let Some(member) = self.members.get_mut(happening.member) else {
            return;
        };
        let changed = member.apply_event(happening.event, now);
        let webhooks = self.setting.webhooks;
        if let Some(arrives) =
            webhooks.and_then(|webhooks| self.member_generator.webhook_arrival(happening, webhooks))
        {
            // WHOOP sends no webhooks during an outage; they follow after its end.
            let arrives = match self.outage_at(arrives) {
                Some((_, ends)) => ends + (arrives - now),
                None => arrives,
            };
            for data_type in changed {
                let announcement = webhook::SimulatedWebhook::new(happening.member, *data_type);
                self.events
                    .add(arrives, SimulationEvent::WebhookArrives(announcement));
            }
        }
    }

    /// Begins a task: its requests are sent once the member's access token is valid.
    fn begin_task(&mut self, now: DateTime<Utc>, task: SyncTask) {
        let Some(member) = self.members.get_mut(task.member) else {
            return;
        };
        let id = self.tasks.add(task);
        if member.token_expires_at > now + MIN_TOKEN_LIFETIME {
            return self.send_requests(now, id);
        }
        let ready_at = now + self.setting.call_conditions.refresh_duration;
        member.token_expires_at = ready_at + TOKEN_LIFETIME;
        self.counters.refreshes += 1;
        self.events.add(ready_at, SimulationEvent::TokenReady(id));
    }

    /// Ends a task and begins the next step that its purpose requires.
    fn end_task(&mut self, now: DateTime<Utc>, id: TaskId) {
        let Some(task) = self.tasks.remove(id) else {
            return;
        };
        match task.purpose.clone() {
            task::TaskPurpose::AppRequest(request) => self.end_app_request(now, task, request),
            task::TaskPurpose::SelectedMember(run) => self.end_selected(now, &task, run),
            task::TaskPurpose::Backfill(run) => self.end_backfill(now, &task, run),
            task::TaskPurpose::Webhook(announcement) => self.end_webhook(now, &task, announcement),
            task::TaskPurpose::Connect(stage) => self.end_connect_stage(now, &task, stage),
        }
    }

    /// Returns the beginning and end of the outage at a moment, if there is one.
    fn outage_at(&self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let mut outages = self.outages.iter().copied();
        outages.find(|(begins, ends)| (*begins..*ends).contains(&now))
    }

    /// Whether an outage affects the data that an app request at this moment gets.
    fn is_affected_by_outage(&self, now: DateTime<Utc>) -> bool {
        self.outage_at(now).is_some() || self.outage_at(now - OUTAGE_AFTERMATH).is_some()
    }
}

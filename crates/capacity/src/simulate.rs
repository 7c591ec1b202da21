//! Days in seconds: events in their order, and for each of them what the service does.

mod agenda;
mod app_request;
mod call;
mod connect;
mod queue;
mod run;
mod task;
mod webhook;

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::{
    DataType,
    plan::{Slot, run::calls_for_visitors, webhook_signals::WebhookSignals},
    quota::{PriorityClass, QuotaLedger},
};

use self::{
    agenda::{Agenda, Due},
    queue::Queue,
    run::Run,
    task::{Task, TaskId, Tasks},
    webhook::Inbox,
};
use super::{Crowd, Event, Happening, Report, Setting, member::Member, tally::Tally};

/// Minimum remaining lifetime of an access token that is used.
const ABOUT_TO_END: TimeDelta = TimeDelta::minutes(1);

const TOKEN_LIVES: TimeDelta = TimeDelta::hours(1);

/// Time after an outage in which members may still see data of before: until the next probe, and
/// until WHOOP has sent the webhooks of the outage.
const AFTER_OUTAGE: TimeDelta = TimeDelta::minutes(2);

struct Simulation<'a> {
    setting: &'a Setting,
    crowd: Crowd,
    /// The connected members.
    members: Vec<Member>,
    ledger: QuotaLedger,
    /// Whether a call failed since the last success.
    has_failures: bool,
    /// Time of the latest successful read of any member.
    latest_read: DateTime<Utc>,
    agenda: Agenda,
    tasks: Tasks,
    queues: [Queue; PriorityClass::ALL.len()],
    runs: Vec<Run>,
    inbox: Inbox,
    /// Beginning and end of each outage.
    outages: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    tally: Tally,
}

/// Lives through the days. The same setting gives the same report.
pub fn simulate(setting: &Setting) -> Report {
    let mut simulation = Simulation::new(setting);
    let begins = setting.begins;
    for happening in simulation.crowd.rest_of_the_day_before(begins) {
        let happens = Due::Happens(happening);
        simulation.agenda.add(happening.at, happens);
    }
    for day in 0..i64::from(setting.days) {
        let midnight = begins + TimeDelta::days(day);
        simulation.agenda.add(midnight, Due::Midnight);
        for slot in Slot::ALL {
            let begins = midnight + TimeDelta::hours(slot.hour().into());
            simulation.agenda.add(begins, Due::RunBegins(slot));
        }
    }
    if let Some(launch) = setting.launch {
        for at in launch.connects(begins, setting.seed) {
            simulation.agenda.add(at, Due::Connects);
        }
    }
    let ends = begins + TimeDelta::days(i64::from(setting.days));
    while let Some((at, due)) = simulation.agenda.next() {
        if at >= ends {
            break;
        }
        simulation.live(at, due);
    }
    Report::of(setting, simulation.tally)
}

/// The state of a member when the simulation begins.
fn connected_before(setting: &Setting, crowd: &Crowd, place: usize) -> Member {
    let begins = setting.begins;
    let visits = crowd.visits_before(place, begins);
    let last_read_before = crowd.last_read_before(place);
    let all_open = setting
        .webhooks
        .map(|_| WebhookSignals::from_iter(DataType::ALL));
    let came_yesterday = visits
        .last
        .is_some_and(|last| begins - last <= TimeDelta::days(1));
    let mut member = if came_yesterday {
        // Their second visit read what had changed until then.
        let at = begins - last_read_before.min(TimeDelta::hours(4));
        Member::up_to_date(at, visits, all_open.map(|_| WebhookSignals::default()))
    } else {
        Member::new(begins - last_read_before, visits, all_open)
    };
    if crowd.fails(place, setting.hazards.failing_members) {
        member.fail_always(begins - TimeDelta::hours(1));
    }
    member
}

impl<'a> Simulation<'a> {
    fn new(setting: &'a Setting) -> Self {
        let crowd = setting.crowd();
        let begins = setting.begins;
        let members: Vec<Member> = (0..setting.users)
            .map(|member| connected_before(setting, &crowd, member))
            .collect();
        // The needs of the classes as the last run before midnight set them.
        let standings: Vec<_> = members
            .iter()
            .map(|one| one.standing(begins, begins))
            .collect();
        let mut ledger = QuotaLedger::default();
        let visitors = calls_for_visitors(&standings, begins);
        ledger.set_need(PriorityClass::Interactive, visitors);
        Self {
            setting,
            crowd,
            members,
            ledger,
            has_failures: false,
            latest_read: begins,
            agenda: Agenda::default(),
            tasks: Tasks::default(),
            queues: Default::default(),
            runs: Vec::new(),
            inbox: Inbox::default(),
            outages: setting
                .hazards
                .outages
                .iter()
                .map(|one| one.span(begins))
                .collect(),
            tally: Tally::default(),
        }
    }

    fn live(&mut self, now: DateTime<Utc>, due: Due) {
        match due {
            Due::Midnight => self.begin_day(now),
            Due::RunBegins(slot) => self.begin_run(now, slot),
            Due::Happens(happening) if happening.event == Event::Visits => {
                self.open_app(now, happening.member);
            }
            Due::Happens(happening) => self.change(now, &happening),
            Due::Hears(announcement) => self.hear(now, announcement),
            Due::Retries(announcement) => self.enter_inbox(now, announcement),
            Due::InboxGoesOn => self.drain_inbox(now),
            Due::Connects => self.connect(now),
            Due::RepeatsStage(member, stage) => self.begin_stage(now, member, stage),
            Due::TokenReady(task) => self.send_requests(now, task),
            Due::Answers {
                task,
                request,
                is_failure,
            } => self.answer(now, task, request, is_failure),
            Due::Repeats(task, request) => self.repeat(now, task, request),
            Due::QueueAsks(class) => self.ask_again(now, class),
        }
    }

    fn begin_day(&mut self, midnight: DateTime<Utc>) {
        for happening in self.crowd.day(midnight) {
            self.agenda.add(happening.at, Due::Happens(happening));
        }
        for member in self.members.iter().filter(|one| !one.always_fails) {
            let is_away = member
                .visits
                .last
                .is_none_or(|last| midnight - last >= TimeDelta::days(1));
            if is_away {
                self.tally.away.push(member.age(midnight).num_seconds());
                self.tally.away(member.age(midnight));
            }
        }
    }

    /// WHOOP has something new of a member, and sends webhooks about it.
    fn change(&mut self, now: DateTime<Utc>, happening: &Happening) {
        let Some(member) = self.members.get_mut(happening.member) else {
            return;
        };
        let changed = member.changes(happening.event, now);
        let webhooks = self.setting.webhooks;
        if let Some(arrives) = webhooks.and_then(|webhooks| self.crowd.hears(happening, webhooks)) {
            // During an outage WHOOP sends no webhooks.
            let arrives = match self.outage_at(arrives) {
                Some((_, ends)) => ends + (arrives - now),
                None => arrives,
            };
            for data_type in changed {
                let announcement = webhook::Announcement::new(happening.member, *data_type);
                self.agenda.add(arrives, Due::Hears(announcement));
            }
        }
    }

    /// Begins a task: its requests are sent once the member's access token is valid.
    fn begin(&mut self, now: DateTime<Utc>, task: Task) {
        let Some(member) = self.members.get_mut(task.member) else {
            return;
        };
        let id = self.tasks.add(task);
        if member.token_until > now + ABOUT_TO_END {
            return self.send_requests(now, id);
        }
        let ready_at = now + self.setting.hazards.refresh_takes;
        member.token_until = ready_at + TOKEN_LIVES;
        self.tally.refreshes += 1;
        self.agenda.add(ready_at, Due::TokenReady(id));
    }

    /// Ends a task and begins what follows from its purpose.
    fn end(&mut self, now: DateTime<Utc>, id: TaskId) {
        let Some(task) = self.tasks.remove(id) else {
            return;
        };
        match task.purpose.clone() {
            task::Purpose::AppRequest(request) => self.end_app_request(now, task, request),
            task::Purpose::Selected(run) => self.end_selected(now, &task, run),
            task::Purpose::History(run) => self.end_history(now, &task, run),
            task::Purpose::Webhook(announcement) => self.end_webhook(now, &task, announcement),
            task::Purpose::Connect(stage) => self.end_connect_stage(now, &task, stage),
        }
    }

    /// The outage that WHOOP has at a moment.
    fn outage_at(&self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let mut outages = self.outages.iter().copied();
        outages.find(|(begins, ends)| (*begins..*ends).contains(&now))
    }

    /// Whether an outage of WHOOP decides what an app request at this moment sees.
    fn is_affected_by_outage(&self, now: DateTime<Utc>) -> bool {
        self.outage_at(now).is_some() || self.outage_at(now - AFTER_OUTAGE).is_some()
    }
}

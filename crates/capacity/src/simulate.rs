//! Days in seconds: events in their order, and for each what the product does.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
};

use chrono::{DateTime, TimeDelta, Utc};
use whoop_client::Pace;
use whoop_core::{
    DataType,
    day::Named,
    plan::{
        self, Call, DayQuery, Refresh, Slot,
        roster::Turn,
        run::{self, Occasion, Purse},
        webhook_signals::{WebhookSignals, waits_for_a_visit},
    },
    quota::{Decision, PriorityClass, QuotaLedger},
};

use super::{Crowd, Event, Happening, Report, Setting, member::Member, tally::Tally};

/// Members that a run reads side by side, and how long that takes.
const SIDE_BY_SIDE: usize = 4;
const ROUND: TimeDelta = TimeDelta::milliseconds(500);

/// What waits for its score is looked at again after so many minutes.
const LOOKS: [i64; 3] = [15, 30, 60];

/// An event is tried again for so long; then a visit or a slot has to see to it.
const KEPT: TimeDelta = TimeDelta::minutes(15);

#[derive(Debug, Clone, Copy)]
enum Due {
    Midnight,
    RunBegins(Slot),
    RunGoesOn(usize),
    Happens(Happening),
    Hears(Announced),
    /// What was heard is fetched, if the quota has something for it.
    Fetches(Announced),
}

/// What WHOOP announced of a member, and how often it was looked at.
#[derive(Debug, Clone, Copy)]
struct Announced {
    member: usize,
    data_type: DataType,
    heard: DateTime<Utc>,
    settles: DateTime<Utc>,
    looks: usize,
}

struct Scheduled {
    at: DateTime<Utc>,
    number: u64,
    due: Due,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

struct Run {
    slot: Slot,
    turns: VecDeque<Turn>,
    /// Calls that are allowed and not made yet.
    credit: u32,
}

struct Simulation<'a> {
    setting: &'a Setting,
    crowd: Crowd,
    members: Vec<Member>,
    ledger: QuotaLedger,
    agenda: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    runs: Vec<Run>,
    tally: Tally,
}

/// Lives through the days. The same setting gives the same report.
pub fn simulate(setting: &Setting) -> Report {
    let mut simulation = Simulation::new(setting);
    let begins = setting.begins;
    for day in 0..i64::from(setting.days) {
        let midnight = begins + TimeDelta::days(day);
        simulation.schedule(midnight, Due::Midnight);
        for slot in Slot::ALL {
            let begins = midnight + TimeDelta::hours(slot.hour().into());
            simulation.schedule(begins, Due::RunBegins(slot));
        }
    }
    let ends = begins + TimeDelta::days(i64::from(setting.days));
    while let Some(Reverse(next)) = simulation.agenda.pop() {
        if next.at >= ends {
            break;
        }
        simulation.live(next.at, next.due);
    }
    Report::of(setting, simulation.tally)
}

impl<'a> Simulation<'a> {
    fn new(setting: &'a Setting) -> Self {
        let crowd = setting.crowd();
        let begins = setting.begins;
        let heard = setting
            .webhooks
            .map(|_| WebhookSignals::from_iter(DataType::ALL));
        let members: Vec<Member> = (0..setting.users)
            .map(|member| {
                Member::new(
                    begins - crowd.last_read_before(member),
                    crowd.visits_before(member, begins),
                    heard,
                )
            })
            .collect();
        // As the last run before midnight left it.
        let standings: Vec<_> = members.iter().map(Member::standing).collect();
        let mut ledger = QuotaLedger::default();
        let visitors = run::calls_for_visitors(&standings, begins);
        ledger.set_need(PriorityClass::Interactive, visitors);
        Self {
            setting,
            crowd,
            members,
            ledger,
            agenda: BinaryHeap::new(),
            scheduled: 0,
            runs: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn schedule(&mut self, at: DateTime<Utc>, due: Due) {
        self.scheduled += 1;
        let number = self.scheduled;
        self.agenda.push(Reverse(Scheduled { at, number, due }));
    }

    fn live(&mut self, now: DateTime<Utc>, due: Due) {
        match due {
            Due::Midnight => self.begin_day(now),
            Due::RunBegins(slot) => self.begin_run(now, slot),
            Due::RunGoesOn(run) => self.go_on(now, run),
            Due::Happens(happening) if happening.event == Event::Visits => {
                self.visit(now, happening.member);
            }
            Due::Happens(happening) => self.change(now, &happening),
            Due::Hears(announced) => {
                let member = self.members.get_mut(announced.member);
                if let Some(heard) = member.and_then(|one| one.heard.as_mut()) {
                    heard.open(announced.data_type);
                }
                self.fetch(now, announced);
            }
            Due::Fetches(announced) => self.fetch(now, announced),
        }
    }

    /// Works off an event: one call, where it does not wait for a visit. Only a list
    /// that was read since spares it: of two events of one record nobody knows
    /// which was the later.
    fn fetch(&mut self, now: DateTime<Utc>, announced: Announced) {
        let limits = self.setting.limits;
        let is_scarce = self.ledger.is_scarce(now, limits);
        let Announced {
            member, data_type, ..
        } = announced;
        let Some(member) = self.members.get_mut(member) else {
            return;
        };
        // What waited for its score is answered by a list that has it.
        let answered_by = match announced.looks {
            0 => announced.heard,
            _ => announced.heard.max(announced.settles),
        };
        if member.was_read_since(data_type, answered_by)
            || waits_for_a_visit(is_scarce, member.visits.last, now)
        {
            return;
        }
        match self.ledger.take(now, limits, PriorityClass::Webhook, 1) {
            Decision::Granted(_) => {
                self.tally.call(now, PriorityClass::Webhook, 1);
                member.fetch(data_type);
                let again = LOOKS.get(announced.looks);
                if let Some(minutes) = again.filter(|_| now < announced.settles) {
                    let looks = announced.looks + 1;
                    let at = now + TimeDelta::minutes(*minutes);
                    self.schedule(at, Due::Fetches(Announced { looks, ..announced }));
                }
            }
            Decision::Wait { until: at, .. } if at - now < KEPT => {
                self.schedule(at, Due::Fetches(announced));
            }
            Decision::Wait { .. } => {}
        }
    }

    fn begin_day(&mut self, midnight: DateTime<Utc>) {
        for happening in self.crowd.day(midnight) {
            self.schedule(happening.at, Due::Happens(happening));
        }
        for member in &self.members {
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

    fn change(&mut self, now: DateTime<Utc>, happening: &Happening) {
        let Some(member) = self.members.get_mut(happening.member) else {
            return;
        };
        let changed = member.changes(happening.event, now);
        let webhooks = self.setting.webhooks;
        if let Some(arrives) = webhooks.and_then(|road| self.crowd.hears(happening, road)) {
            for data_type in changed {
                let announced = Announced {
                    member: happening.member,
                    data_type: *data_type,
                    heard: arrives,
                    settles: happening.settles,
                    looks: 0,
                };
                self.schedule(arrives, Due::Hears(announced));
            }
        }
    }

    fn visit(&mut self, now: DateTime<Utc>, place: usize) {
        let thrifty = self.ledger.is_scarce(now, self.setting.limits);
        let due = self.calls_of_visit(now, place, false);
        let mut asked = Vec::new();
        let mut at = now;
        let mut is_served = true;
        // What was read may call for one thing more, and only once.
        for _ in 0..2 {
            let calls = self.calls_of_visit(now, place, thrifty);
            for call in calls {
                is_served = is_served && self.take_for_visit(&mut at, now, call.cost());
                if is_served && let Some(member) = self.members.get_mut(place) {
                    member.read(&call, now);
                }
                asked.push(call.data_type);
            }
        }
        self.tally.visits += 1;
        self.tally.visits_without_a_call += u64::from(asked.is_empty());
        if !is_served {
            self.tally.visits_put_off.push(now);
        }
        let Some(member) = self.members.get_mut(place) else {
            return;
        };
        for data_type in DataType::ALL {
            let is_due = due.iter().any(|call| call.data_type == data_type);
            let behind = member.behind(data_type, now);
            // Left out for thrift alone.
            if is_due && !asked.contains(&data_type) {
                self.tally.settled.push(behind.num_seconds());
            } else {
                self.tally.behind(data_type, behind);
            }
        }
        member.visits = member.visits.with(now);
    }

    fn calls_of_visit(&self, now: DateTime<Utc>, place: usize, thrifty: bool) -> Vec<Call> {
        let Some(member) = self.members.get(place) else {
            return Vec::new();
        };
        let query = DayQuery {
            date: now.date_naive(),
            today: now.date_naive(),
            offset_seconds: 0,
            now,
            freshness: self.setting.freshness,
            refresh: Refresh::Auto,
            forced_reads_every: TimeDelta::zero(),
            night: member.night(now.date_naive()),
            named: Named::default(),
            thrifty,
            signals: member.heard,
        };
        query.calls(&member.coverage)
    }

    /// Whether so many calls could be made within the visit's patience.
    fn take_for_visit(&mut self, at: &mut DateTime<Utc>, came: DateTime<Utc>, calls: u32) -> bool {
        let mut left = calls;
        while left > 0 {
            match self
                .ledger
                .take(*at, self.setting.limits, PriorityClass::Interactive, left)
            {
                Decision::Granted(granted) => {
                    self.tally.call(*at, PriorityClass::Interactive, granted);
                    left -= granted;
                }
                Decision::Wait { until: later, .. }
                    if is_waited_for(later - came, Pace::interactive()) =>
                {
                    *at = later;
                }
                Decision::Wait { .. } => return false,
            }
        }
        true
    }

    fn begin_run(&mut self, now: DateTime<Utc>, slot: Slot) {
        let standings: Vec<_> = self.members.iter().map(Member::standing).collect();
        let purse = Purse {
            ledger: &self.ledger,
            now,
            limits: self.setting.limits,
        };
        let occasion = Occasion {
            slot: Some(slot),
            data_types: slot.data_types(),
            now,
            freshness: self.setting.freshness,
        };
        let planned = run::plan(&standings, purse, &occasion);
        planned.day.tell(&mut self.ledger);
        let roster = planned.roster;
        self.tally.turns += roster.turns.len() as u64;
        self.tally.left += roster.left as u64;
        self.runs.push(Run {
            slot,
            turns: roster.turns.into(),
            credit: 0,
        });
        self.go_on(now, self.runs.len() - 1);
    }

    fn calls_of(&self, slot: Slot, turn: &Turn, now: DateTime<Utc>) -> Vec<Call> {
        let Some(member) = self.members.get(turn.member) else {
            return Vec::new();
        };
        let wanted = member
            .coverage
            .iter()
            .filter(|one| turn.data_types.contains(&one.data_type));
        wanted
            .map(|one| Call {
                data_type: one.data_type,
                window: plan::window(Some(slot), one, None, now),
                reason: turn.reason,
            })
            .collect()
    }

    fn go_on(&mut self, now: DateTime<Utc>, number: usize) {
        let Some(run) = self.runs.get(number) else {
            return;
        };
        let (slot, credit) = (run.slot, run.credit);
        let Some(class) = run.turns.front().map(Turn::class) else {
            return;
        };
        let round: Vec<(Turn, Vec<Call>)> = run
            .turns
            .iter()
            .take(SIDE_BY_SIDE)
            .take_while(|turn| turn.class() == class)
            .map(|turn| (turn.clone(), self.calls_of(slot, turn, now)))
            .collect();
        let cost: u32 = round
            .iter()
            .flat_map(|(_, calls)| calls)
            .map(Call::cost)
            .sum();
        let want = cost.saturating_sub(credit).max(1);
        match self.ledger.take(now, self.setting.limits, class, want) {
            Decision::Granted(granted) => {
                self.tally.call(now, class, granted);
                self.spend(now, number, round, credit + granted);
                self.schedule(now + ROUND, Due::RunGoesOn(number));
            }
            Decision::Wait { until: at, .. } if is_waited_for(at - now, Pace::scheduled()) => {
                self.schedule(at, Due::RunGoesOn(number));
            }
            Decision::Wait { .. } => {
                if let Some(run) = self.runs.get_mut(number) {
                    self.tally.turns_put_off += run.turns.len() as u64;
                    run.turns.clear();
                }
            }
        }
    }

    fn spend(
        &mut self,
        now: DateTime<Utc>,
        number: usize,
        round: Vec<(Turn, Vec<Call>)>,
        mut credit: u32,
    ) {
        let mut done = 0;
        for (turn, calls) in round {
            let cost: u32 = calls.iter().map(Call::cost).sum();
            let Some(left) = credit.checked_sub(cost) else {
                break;
            };
            credit = left;
            done += 1;
            if let Some(member) = self.members.get_mut(turn.member) {
                if turn.class() == PriorityClass::Inactive {
                    self.tally.away(member.age(now));
                }
                for call in &calls {
                    member.read(call, now);
                }
            }
        }
        if let Some(run) = self.runs.get_mut(number) {
            run.turns.drain(..done);
            run.credit = credit;
        }
    }
}

fn is_waited_for(wait: TimeDelta, pace: Pace) -> bool {
    wait.to_std().unwrap_or_default() <= pace.longest_wait
}

//! Scheduled runs: the planner's selection, some members at a time, and histories at night.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use whoop_client::Pace;
use whoop_core::{
    coverage::Coverage,
    plan::{
        self, Call, PAGE_SIZE, Reason, Slot,
        roster::Turn,
        run::{self, Occasion, Purse},
    },
    quota::PriorityClass,
};

use super::{
    Simulation,
    task::{Purpose, Request, Task, What, patience},
};

/// Members that a run syncs at the same time.
const SIDE_BY_SIDE: usize = 4;

pub(super) struct Run {
    slot: Slot,
    planned_at: DateTime<Utc>,
    turns: VecDeque<Turn>,
    /// Members whose history is read after the selected members were synced.
    histories: VecDeque<usize>,
    /// Members that are being synced.
    running: usize,
    /// Classes that the quota refused: they end in this run.
    is_refused: [bool; PriorityClass::ALL.len()],
}

impl Run {
    fn refuses(&self, class: PriorityClass) -> bool {
        self.is_refused.get(class.index()).is_some_and(|one| *one)
    }

    fn note_end(&mut self, task: &Task) {
        self.running = self.running.saturating_sub(1);
        if let Some(is_refused) = self.is_refused.get_mut(task.class.index()) {
            *is_refused |= task.refusal.is_some();
        }
    }
}

impl Simulation<'_> {
    pub(super) fn begin_run(&mut self, now: DateTime<Utc>, slot: Slot) {
        let latest_read = self.latest_read;
        let standings: Vec<_> = self
            .members
            .iter()
            .map(|one| one.standing(now, latest_read))
            .collect();
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
        let histories = match slot {
            Slot::Night => (0..self.members.len())
                .filter(|member| {
                    let standing = standings.get(*member);
                    standing.is_some_and(|one| one.backing_off.is_empty())
                        && !self.history_calls(now, *member).is_empty()
                })
                .collect(),
            _ => VecDeque::new(),
        };
        self.runs.push(Run {
            slot,
            planned_at: now,
            turns: roster.turns.into(),
            histories,
            running: 0,
            is_refused: Default::default(),
        });
        self.go_on(now, self.runs.len() - 1);
        self.release_held_webhooks(now);
    }

    /// Begins with the next members of a run.
    fn go_on(&mut self, now: DateTime<Utc>, number: usize) {
        while let Some(run) = self.runs.get_mut(number)
            && run.running < SIDE_BY_SIDE
        {
            let (slot, planned_at) = (run.slot, run.planned_at);
            if let Some(turn) = run.turns.pop_front() {
                if run.refuses(turn.class()) {
                    self.tally.turns_put_off += 1;
                    continue;
                }
                let calls = self.calls_of_turn(slot, planned_at, &turn, now);
                if calls.is_empty() {
                    continue;
                }
                self.begin_selected(now, number, &turn, calls);
            } else if run.running == 0
                && let Some(member) = run.histories.pop_front()
            {
                self.begin_history(now, number, member);
            } else {
                return;
            }
        }
    }

    fn begin_selected(&mut self, now: DateTime<Utc>, number: usize, turn: &Turn, calls: Vec<Call>) {
        let class = turn.class();
        if let Some(run) = self.runs.get_mut(number) {
            run.running += 1;
        }
        if class == PriorityClass::Inactive
            && let Some(member) = self.members.get(turn.member)
            && !member.always_fails
        {
            self.tally.away(member.age(now));
        }
        let requests = self.lists(turn.member, calls, patience(Pace::scheduled()));
        let task = Task::new(turn.member, class, Purpose::Selected(number), now);
        self.begin(now, task.with(requests));
    }

    /// The reads of a selected member, without those that another task has made since the run was
    /// planned.
    fn calls_of_turn(
        &self,
        slot: Slot,
        planned_at: DateTime<Utc>,
        turn: &Turn,
        now: DateTime<Utc>,
    ) -> Vec<Call> {
        let Some(member) = self.members.get(turn.member) else {
            return Vec::new();
        };
        if !member.was_ever_read() && member.history_from.is_some() {
            // The member's first sync is under way.
            return Vec::new();
        }
        let wanted = member.coverage.iter().filter(|one| {
            turn.data_types.contains(&one.data_type)
                && one.last_sync_at.is_none_or(|at| at <= planned_at)
        });
        wanted
            .map(|one| Call {
                data_type: one.data_type,
                window: plan::window(Some(slot), one, None, now),
                reason: turn.reason,
            })
            .collect()
    }

    pub(super) fn end_selected(&mut self, now: DateTime<Utc>, task: &Task, number: usize) {
        self.tally.turns_put_off += u64::from(task.refusal.is_some());
        if let Some(run) = self.runs.get_mut(number) {
            run.note_end(task);
        }
        self.go_on(now, number);
    }

    fn begin_history(&mut self, now: DateTime<Utc>, number: usize, member: usize) {
        let calls = self.history_calls(now, member);
        let run = self.runs.get_mut(number);
        let Some(run) = run.filter(|run| !run.refuses(PriorityClass::Backfill)) else {
            return;
        };
        if calls.is_empty() {
            return;
        }
        run.running += 1;
        let purpose = Purpose::History(number);
        let task = Task::new(member, PriorityClass::Backfill, purpose, now);
        self.begin(now, task.with(history_requests(calls)));
    }

    pub(super) fn end_history(&mut self, now: DateTime<Utc>, task: &Task, number: usize) {
        let is_done = task.refusal.is_none() && !task.has_failed;
        if let Some(run) = self.runs.get_mut(number) {
            run.note_end(task);
        }
        if is_done {
            self.begin_history(now, number, task.member);
        }
        self.go_on(now, number);
    }

    /// The next page of history of each data type.
    pub(super) fn history_calls(&self, now: DateTime<Utc>, member: usize) -> Vec<Call> {
        let Some(member) = self.members.get(member) else {
            return Vec::new();
        };
        let Some(from) = member.history_from else {
            return Vec::new();
        };
        let call = |one: &Coverage| {
            Some(Call {
                data_type: one.data_type,
                window: plan::history(one, Some(from), now)?,
                reason: Reason::NeverRead,
            })
        };
        member.coverage.iter().filter_map(call).collect()
    }

    /// The requests for windows up to the present. The number of pages follows from the days of
    /// the window and the member's records a day.
    pub(super) fn lists(
        &self,
        member: usize,
        calls: Vec<Call>,
        patience: TimeDelta,
    ) -> Vec<Request> {
        let list = |call: Call| {
            let days = as_days(call.window.end - call.window.must_reach);
            let records = days * self.crowd.records_a_day(member, call.data_type);
            let more = full_pages(records);
            Request::new(What::List { call, more }, patience)
        };
        calls.into_iter().map(list).collect()
    }
}

pub(super) fn history_requests(calls: Vec<Call>) -> impl Iterator<Item = Request> {
    let patience = patience(Pace::scheduled());
    calls
        .into_iter()
        .map(move |call| Request::new(What::History(call), patience))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds of some years are far below 2^52"
)]
fn as_days(time: TimeDelta) -> f64 {
    time.num_seconds() as f64 / TimeDelta::days(1).num_seconds() as f64
}

/// The full pages of a window: each is followed by another one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a window has some hundreds of records"
)]
fn full_pages(records: f64) -> u32 {
    (records / PAGE_SIZE as f64) as u32
}

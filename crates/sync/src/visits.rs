//! Who has a turn in a run, decided by [`whoop_core::plan::roster`].

use whoop_core::{
    UserId,
    coverage::LastReads,
    plan::{
        Reason,
        run::{self, ExpectedDay, Occasion, Purse, Run},
    },
    quota::PriorityClass,
};
use whoop_storage::standing::{self, Member};

use crate::{
    Engine, SyncError,
    member::Errand,
    run::{Plan, Task},
};

/// The members of a run, in the order of their turns.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    pub(crate) turns: Vec<Visit>,
    pub(crate) fresh: usize,
    pub(crate) left: usize,
    /// `None` where only some members were looked at.
    pub(crate) day: Option<ExpectedDay>,
    /// Whose history is to be gone on with, once everybody had their turn.
    pub(crate) histories: Vec<UserId>,
}

/// One member's turn.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) user_id: UserId,
    pub(crate) errand: Errand,
    pub(crate) class: PriorityClass,
    pub(crate) reason: Reason,
    /// What was read when this was decided; `None` where somebody named the
    /// member, and decides as it stands when their turn comes.
    pub(crate) decided_on: Option<LastReads>,
}

impl Engine {
    pub(crate) async fn visits(&self, plan: &Plan) -> Result<Visits, SyncError> {
        let members = if plan.users.is_empty() {
            let mut conn = self.database.get().await?;
            standing::list(&mut conn, self.clock.now()).await?
        } else {
            Vec::new()
        };
        let everybody = || {
            let ids = members.iter().filter_map(|one| one.user_id.parse().ok());
            plan.users.iter().cloned().chain(ids)
        };
        let asked = |class, errand: &Errand| Visits {
            turns: everybody()
                .map(|user_id| Visit {
                    user_id,
                    errand: errand.clone(),
                    class,
                    reason: Reason::Asked,
                    decided_on: None,
                })
                .collect(),
            ..Visits::default()
        };
        match &plan.task {
            Task::Sync(errand) if plan.users.is_empty() && errand.since.is_none() => {
                self.by_turn(errand, &members).await
            }
            Task::Sync(errand) => Ok(asked(PriorityClass::Scheduled, errand)),
            // Of everybody it takes what the day has left.
            Task::Reconcile(_) if plan.users.is_empty() => {
                Ok(asked(PriorityClass::Backfill, &Errand::of_everything()))
            }
            Task::Reconcile(_) => Ok(asked(PriorityClass::Scheduled, &Errand::of_everything())),
            Task::BackFill { .. } => Ok(Visits {
                histories: if plan.users.is_empty() {
                    histories_of(&members)
                } else {
                    plan.users.clone()
                },
                ..Visits::default()
            }),
        }
    }

    async fn by_turn(&self, task: &Errand, members: &[Member]) -> Result<Visits, SyncError> {
        let standings: Vec<_> = members.iter().map(|one| one.standing.clone()).collect();
        let budget = self.quota.current().await?;
        let purse = Purse {
            ledger: &budget.ledger,
            now: budget.now,
            limits: self.settings.limits,
        };
        let occasion = Occasion {
            slot: task.slot,
            data_types: &task.data_types,
            now: self.clock.now(),
            freshness: self.settings.freshness,
        };
        let Run { roster, day } = run::plan(&standings, purse, &occasion);
        let turns = roster.turns.into_iter().filter_map(|turn| {
            let class = turn.class();
            let member = members.get(turn.member)?;
            Some(Visit {
                user_id: member.user_id.parse().ok()?,
                errand: Errand {
                    reason: turn.reason,
                    data_types: turn.data_types,
                    history: false,
                    ..task.clone()
                },
                class,
                reason: turn.reason,
                decided_on: Some(member.standing.last_sync_at),
            })
        });
        Ok(Visits {
            turns: turns.collect(),
            fresh: roster.fresh,
            left: roster.left,
            day: Some(day),
            histories: if task.history {
                histories_of(members)
            } else {
                Vec::new()
            },
        })
    }
}

fn histories_of(members: &[Member]) -> Vec<UserId> {
    let unfinished = members
        .iter()
        .filter(|one| !one.history_complete && one.standing.backing_off.is_empty());
    unfinished
        .filter_map(|one| one.user_id.parse().ok())
        .collect()
}

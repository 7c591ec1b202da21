//! Who has a turn in a run, decided by [`whoop_core::plan::roster`].

use whoop_core::{
    UserId,
    budget::Class,
    plan::{
        Reason,
        run::{self, ExpectedDay, Occasion, Purse, Run},
    },
};
use whoop_storage::standing::{self, Member};

use crate::{Engine, SyncError, member::Errand, run::Plan};

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
    pub(crate) class: Class,
    pub(crate) reason: Reason,
}

impl Engine {
    pub(crate) async fn visits(&self, plan: &Plan) -> Result<Visits, SyncError> {
        let asked = |user_id: UserId| Visit {
            user_id,
            errand: plan.errand.clone(),
            class: Class::Slot,
            reason: Reason::Asked,
        };
        if plan.back_fill.is_some() && !plan.users.is_empty() {
            return Ok(Visits {
                histories: plan.users.clone(),
                ..Visits::default()
            });
        }
        if !plan.users.is_empty() {
            return Ok(Visits {
                turns: plan.users.iter().cloned().map(asked).collect(),
                ..Visits::default()
            });
        }
        let members = {
            let mut conn = self.database.get().await?;
            standing::list(&mut conn).await?
        };
        if plan.back_fill.is_some() {
            return Ok(Visits {
                histories: histories_of(&members),
                ..Visits::default()
            });
        }
        if plan.errand.since.is_some() {
            let ids = members
                .into_iter()
                .filter_map(|one| one.user_id.parse().ok());
            return Ok(Visits {
                turns: ids.map(asked).collect(),
                ..Visits::default()
            });
        }
        self.by_turn(plan, &members).await
    }

    async fn by_turn(&self, plan: &Plan, members: &[Member]) -> Result<Visits, SyncError> {
        let standings: Vec<_> = members.iter().map(|one| one.standing.clone()).collect();
        let budget = self.budget.current().await?;
        let purse = Purse {
            ledger: &budget.ledger,
            now: budget.now,
            limits: self.settings.limits,
        };
        let occasion = Occasion {
            slot: plan.errand.slot,
            data_types: &plan.errand.data_types,
            now: self.clock.now(),
            freshness: self.settings.freshness,
        };
        let Run { roster, day } = run::plan(&standings, purse, &occasion);
        let turns = roster.turns.into_iter().filter_map(|turn| {
            let class = turn.class();
            Some(Visit {
                user_id: members.get(turn.member)?.user_id.parse().ok()?,
                errand: Errand {
                    reason: turn.reason,
                    data_types: turn.data_types,
                    history: false,
                    ..plan.errand.clone()
                },
                class,
                reason: turn.reason,
            })
        });
        Ok(Visits {
            turns: turns.collect(),
            fresh: roster.fresh,
            left: roster.left,
            day: Some(day),
            histories: if plan.errand.history {
                histories_of(members)
            } else {
                Vec::new()
            },
        })
    }
}

fn histories_of(members: &[Member]) -> Vec<UserId> {
    let unfinished = members.iter().filter(|one| !one.history_complete);
    unfinished
        .filter_map(|one| one.user_id.parse().ok())
        .collect()
}

//! What is wrong with the service, and what to do about it.

use chrono::TimeDelta;
use serde::Serialize;
use whoop_core::plan::webhook_signals::{IS_LOOKING, TRUSTED_FOR};
use whoop_storage::{
    Database, ServerVerification, StorageError,
    overview::{self, LastRun},
    rotate,
    table::{call_budget, users},
};

use crate::{Engine, SyncError};

/// Clocks that differ by more make tokens seem valid that are not.
const CLOCKS_MAY_DIFFER: TimeDelta = TimeDelta::seconds(30);

/// What waits longer is worked off by nobody.
const WORKED_OFF_WITHIN: TimeDelta = TimeDelta::hours(1);

/// Four runs a day, and the longest pause between two is nine hours.
const RUN_EXPECTED_WITHIN: TimeDelta = TimeDelta::hours(26);

/// A run that takes longer was most likely killed.
const RUN_TAKES_AT_MOST: TimeDelta = TimeDelta::hours(6);

/// How a [`Check`] came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CheckState)]
pub enum State {
    Ok,
    /// It works, and will not for long.
    Warning,
    /// It does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Check {
    /// What was looked at, such as `database`, `quota`, `webhooks`.
    #[schema(value_type = String)]
    pub check: &'static str,
    pub state: State,
    /// What was found, for people.
    pub detail: String,
    pub what_to_do: Option<String>,
}

impl Check {
    pub fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            detail: detail.into(),
            what_to_do: None,
        }
    }

    pub fn bad(check: &'static str, state: State, detail: impl Into<String>, todo: &str) -> Self {
        Self {
            state,
            what_to_do: Some(todo.to_owned()),
            ..Self::ok(check, detail)
        }
    }
}

impl Engine {
    /// Looks at everything but the settings and the way to the database. Makes one
    /// call to WHOOP, and asks for a token that it cannot get. What was found before an error stays in `checks`.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn examine(&self, checks: &mut Vec<Check>) -> Result<(), StorageError> {
        checks.push(connection(&self.database));
        checks.push(keys(self).await?);
        checks.push(database_clock(self).await?);
        // The budget stands before the call to WHOOP, which takes one of it.
        checks.push(quota(self).await?);
        checks.extend(whoop(self).await);
        checks.extend(members(&self.database).await?);
        checks.push(webhooks(self).await?);
        checks.extend(runs(self).await?);
        Ok(())
    }
}

/// Whether another machine could answer in the place of PostgreSQL.
fn connection(database: &Database) -> Check {
    let name = "connection to PostgreSQL";
    match database.server_verification() {
        ServerVerification::Local => Check::ok(name, "stays on this machine"),
        ServerVerification::Verified(mode) => {
            Check::ok(name, format!("verifies the server (sslmode={mode})"))
        }
        ServerVerification::Unverified(mode) => Check::bad(
            name,
            State::Warning,
            format!(
                "is not verified (sslmode={mode}): another machine could answer in the server's \
                 place and read everything"
            ),
            "write sslmode=verify-full into DATABASE_URL, and sslrootcert=FILE where the server's \
             certificate was signed by an authority of your own",
        ),
    }
}

async fn keys(engine: &Engine) -> Result<Check, StorageError> {
    let keys = &engine.keys;
    let in_use = rotate::key_use(&engine.database).await?;
    let unknown: Vec<String> = in_use
        .iter()
        .filter(|one| !keys.has(&one.key_id))
        .map(|one| format!("{} seals {} row(s)", one.key_id, one.rows))
        .collect();
    let mut unopened = Vec::new();
    for one in in_use.iter().filter(|one| keys.has(&one.key_id)) {
        let rows = rotate::unopened(&engine.database, keys, &one.key_id).await?;
        if !rows.is_empty() {
            unopened.push(format!(
                "{} does not open {} of {} row(s)",
                one.key_id,
                rows.len(),
                one.rows
            ));
        }
    }
    let outdated: i64 = in_use
        .iter()
        .filter(|one| one.key_id != keys.sealing())
        .map(|one| one.rows)
        .sum();
    Ok(if !unknown.is_empty() {
        Check::bad(
            "keys",
            State::Problem,
            format!("keys that TOKEN_KEYS does not have: {}", unknown.join(", ")),
            "put the key back behind the first of TOKEN_KEYS; without it these members have to connect again",
        )
    } else if !unopened.is_empty() {
        Check::bad(
            "keys",
            State::Problem,
            unopened.join(", "),
            "a key of TOKEN_KEYS is not the one of that name that sealed them: put the old one back; \
             without it these members have to connect again",
        )
    } else if outdated > 0 {
        Check::bad(
            "keys",
            State::Warning,
            format!("{outdated} row(s) are sealed with an older key"),
            "run `sync-worker keys rotate` before you take the older key away",
        )
    } else {
        Check::ok(
            "keys",
            format!("{} opens everything that is sealed", keys.sealing()),
        )
    })
}

async fn database_clock(engine: &Engine) -> Result<Check, StorageError> {
    let mut conn = engine.database.get().await?;
    let theirs = call_budget::read(&mut conn).await?.now;
    Ok(clock(
        "clock of PostgreSQL",
        engine.clock().now() - theirs,
        "let both machines take their time from NTP",
    ))
}

fn clock(check: &'static str, ahead: TimeDelta, todo: &str) -> Check {
    let seconds = ahead.num_seconds();
    if ahead.abs() > CLOCKS_MAY_DIFFER {
        let side = if seconds > 0 { "ahead" } else { "behind" };
        let detail = format!("this machine is {} s {side}", seconds.abs());
        Check::bad(check, State::Problem, detail, todo)
    } else {
        Check::ok(check, "agrees with this machine")
    }
}

async fn whoop(engine: &Engine) -> Vec<Check> {
    match engine.reach().await {
        Ok(reached) => {
            let mut checks = vec![Check::ok(
                "WHOOP",
                format!("answers in {} ms", reached.took.num_milliseconds()),
            )];
            if reached.status >= 500 {
                checks = vec![Check::bad(
                    "WHOOP",
                    State::Problem,
                    format!("answers {}", reached.status),
                    "wait: runs and visits try again by themselves",
                )];
            }
            if let Some(ahead) = reached.ahead {
                let todo = "let this machine take its time from NTP; tokens and limits go by it";
                checks.push(clock("clock of WHOOP", ahead, todo));
            }
            if reached.status < 500 {
                checks.push(app(engine).await);
            }
            checks
        }
        Err(error) if error.quota_wait().is_some() => vec![Check::bad(
            "WHOOP",
            State::Warning,
            format!("was not asked: {}", error.in_full()),
            "ask again when the quota allows it",
        )],
        Err(error) => vec![Check::bad(
            "WHOOP",
            State::Problem,
            SyncError::in_full(&error),
            "check WHOOP_API_URL, and that this machine reaches it",
        )],
    }
}

async fn app(engine: &Engine) -> Check {
    match engine.knows_app().await {
        Ok(()) => Check::ok("WHOOP app", "WHOOP knows its client id and client secret"),
        Err(error) if error.is_refusal_of_service() => Check::bad(
            "WHOOP app",
            State::Problem,
            error.in_full(),
            "put WHOOP_CLIENT_ID, WHOOP_CLIENT_SECRET and WHOOP_REDIRECT_URL right, for the API and \
             the runs; until then nobody can connect, and access tokens are not renewed",
        ),
        Err(error) => Check::bad(
            "WHOOP app",
            State::Warning,
            format!("WHOOP did not say whether it knows it: {}", error.in_full()),
            "ask again; if it stays so, see whether WHOOP_OAUTH_URL is WHOOP's",
        ),
    }
}

async fn quota(engine: &Engine) -> Result<Check, StorageError> {
    let left = engine.quota().await?;
    let limits = engine.settings.limits;
    let detail = format!(
        "{} of {} calls are left of 24 hours, {} of {} of this minute",
        left.day, limits.per_day, left.minute, limits.per_minute
    );
    Ok(if let Some(closed) = left.closed_for {
        Check::bad(
            "quota",
            State::Warning,
            format!(
                "WHOOP refuses calls for {} s more; {detail}",
                closed.as_secs()
            ),
            "nothing: everybody waits by themselves. If it comes often, see whether another \
             program uses this WHOOP app",
        )
    } else if left.day < limits.per_day / 20 {
        Check::bad(
            "quota",
            State::Warning,
            detail,
            "`sync-worker capacity` says what the quota carries; ask WHOOP for more calls",
        )
    } else {
        Check::ok("quota", detail)
    })
}

async fn members(database: &Database) -> Result<Vec<Check>, StorageError> {
    let mut conn = database.get().await?;
    let counts = users::count(&mut conn).await?;
    drop(conn);
    let of = |status: &str| {
        let mut counts = counts.iter();
        counts
            .find(|one| one.status == status)
            .map_or(0, |one| one.members)
    };
    let mut checks = vec![match of("reauth_required") {
        0 => Check::ok("members", format!("{} connected", of("connected"))),
        lost => Check::bad(
            "members",
            State::Warning,
            format!(
                "{} connected, {lost} have to connect again",
                of("connected")
            ),
            "`sync-worker users list --status reauth_required` names them; the app shows them \
             `connection: reauth_required`",
        ),
    }];
    let trouble = overview::trouble(database).await?;
    checks.push(match trouble.failing {
        0 => Check::ok("syncs", "no connected member's last sync failed"),
        failing => Check::bad(
            "syncs",
            State::Warning,
            format!("the last sync of {failing} connected member(s) failed"),
            "`sync-worker users list --status connected` shows the last error of each",
        ),
    });
    checks.push(match trouble.rejected_records {
        0 => Check::ok("records", "none is set aside"),
        rejected => Check::bad(
            "records",
            State::Warning,
            format!("{rejected} record(s) could not be read and are set aside"),
            "the table whoop_rejected_record has them with their reasons; report them, and a \
             later version takes them in",
        ),
    });
    Ok(checks)
}

async fn webhooks(engine: &Engine) -> Result<Check, StorageError> {
    let now = engine.clock().now();
    let seen_since = engine.quota.is_scarce().await?.then_some(now - IS_LOOKING);
    let inbox = overview::inbox(&engine.database, now - TRUSTED_FOR, seen_since).await?;
    let waits = format!("{} wait, {} were given up", inbox.pending, inbox.dead);
    let Some(latest) = inbox.latest else {
        return Ok(Check::bad(
            "webhooks",
            State::Warning,
            "none has ever come in; members are read at the slots and when they come",
            "at https://developer-dashboard.whoop.com, add a webhook of model v2 with the address of \
             WHOOP_REDIRECT_URL's host, and the path /webhooks/whoop",
        ));
    };
    let at = latest.format("%Y-%m-%d %H:%M UTC");
    Ok(if inbox.dead > 0 {
        Check::bad(
            "webhooks",
            State::Warning,
            format!("the latest came at {at}; {waits}"),
            "`sync-worker webhooks list --state dead` says why, and \
             `sync-worker webhooks replay --state dead` tries them again",
        )
    } else if inbox
        .overdue_since
        .is_some_and(|due| now - due > WORKED_OFF_WITHIN)
    {
        Check::bad(
            "webhooks",
            State::Problem,
            format!("the latest came at {at}; {waits}, one for more than an hour"),
            "see whether the API runs, which works them off; or run `sync-worker webhooks drain`",
        )
    } else if now - latest > TRUSTED_FOR {
        Check::bad(
            "webhooks",
            State::Warning,
            format!("none since {at}; members are read at the slots and when they come"),
            "see at https://developer-dashboard.whoop.com whether the webhook is still there, and \
             whether its address reaches the API",
        )
    } else if inbox.quiet > 0 {
        Check::ok(
            "webhooks",
            format!(
                "the latest came at {at}; {waits}; none of {} connected member(s) for two days, \
                 who are read at the slots instead",
                inbox.quiet
            ),
        )
    } else {
        Check::ok("webhooks", format!("the latest came at {at}; {waits}"))
    })
}

async fn runs(engine: &Engine) -> Result<Vec<Check>, StorageError> {
    let now = engine.clock().now();
    let runs = overview::last_runs(&engine.database).await?;
    let last = runs.iter().filter_map(|run| run.finished_at).max();
    let mut checks = vec![match last {
        Some(at) if now - at <= RUN_EXPECTED_WITHIN => Check::ok(
            "runs",
            format!("the last one ended at {}", at.format("%Y-%m-%d %H:%M UTC")),
        ),
        None => Check::bad(
            "runs",
            State::Warning,
            "no run was ever finished",
            "run `sync-worker run --slot night` once, and see to cron, the timer or the CronJob that \
             calls it from then on",
        ),
        Some(at) => Check::bad(
            "runs",
            State::Problem,
            format!("none ended since {}", at.format("%Y-%m-%d %H:%M UTC")),
            "see to cron, the timer or the CronJob that calls `sync-worker run --slot …`",
        ),
    }];
    let is_stuck =
        |run: &&LastRun| run.finished_at.is_none() && now - run.started_at > RUN_TAKES_AT_MOST;
    for run in runs.iter().filter(is_stuck) {
        checks.push(Check::bad(
            "runs",
            State::Warning,
            format!(
                "the {} run of {} never ended; it was most likely killed",
                run.slot.as_deref().unwrap_or("last"),
                run.started_at.format("%Y-%m-%d %H:%M UTC")
            ),
            "nothing is lost; see whether the machine runs out of memory or time",
        ));
    }
    Ok(checks)
}

//! Checks the service for problems, and names a remedy for each.

use chrono::TimeDelta;
use serde::Serialize;
use whoop_core::plan::webhook_signals::{APP_IN_USE_WITHIN, SILENCE_TRUSTED_FOR};
use whoop_storage::{
    Database, ServerVerification, StorageError,
    overview::{self, LastRun},
    rotate,
    table::{call_budget, users},
};

use crate::{Engine, SyncError};

/// Maximum difference between two clocks. With a larger one, invalid tokens may seem valid.
const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(30);

/// Maximum time that a due event waits in the inbox. If it waits longer, no process drains the
/// inbox.
const MAX_INBOX_DELAY: TimeDelta = TimeDelta::hours(1);

/// Maximum time between the ends of two runs. Four runs a day are usual, at most nine hours apart.
const MAX_RUN_INTERVAL: TimeDelta = TimeDelta::hours(26);

/// Maximum duration of a run. A longer run was most likely killed.
const MAX_RUN_DURATION: TimeDelta = TimeDelta::hours(6);

/// Result of a [`DoctorCheck`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CheckState)]
pub enum CheckState {
    Ok,
    /// It works now but needs attention soon.
    Warning,
    /// It does not work.
    Problem,
}

/// One check and its result.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DoctorCheck {
    /// The name of the check, such as `database`, `quota`, `webhooks`.
    #[schema(value_type = String)]
    pub check: &'static str,
    pub state: CheckState,
    /// The finding, as text for the operator.
    pub detail: String,
    pub what_to_do: Option<String>,
}

impl DoctorCheck {
    pub fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            state: CheckState::Ok,
            detail: detail.into(),
            what_to_do: None,
        }
    }

    pub fn not_ok(
        check: &'static str,
        state: CheckState,
        detail: impl Into<String>,
        todo: &str,
    ) -> Self {
        Self {
            state,
            what_to_do: Some(todo.to_owned()),
            ..Self::ok(check, detail)
        }
    }
}

impl Engine {
    /// Runs all checks except those of the settings and of the route to the database. Sends one
    /// call to WHOOP, and a token request that cannot succeed. After an error, `checks` still has
    /// the earlier results.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn run_checks(&self, checks: &mut Vec<DoctorCheck>) -> Result<(), StorageError> {
        checks.push(check_connection(&self.database));
        checks.push(check_keys(self).await?);
        checks.push(check_database_clock(self).await?);
        // The quota is checked before the call to WHOOP, which uses one permit.
        checks.push(check_quota(self).await?);
        checks.extend(check_whoop(self).await);
        checks.extend(check_members(&self.database).await?);
        checks.push(check_webhooks(self).await?);
        checks.extend(check_runs(self).await?);
        Ok(())
    }
}

/// Checks whether another machine could answer in place of PostgreSQL.
fn check_connection(database: &Database) -> DoctorCheck {
    let name = "connection to PostgreSQL";
    match database.server_verification() {
        ServerVerification::Local => DoctorCheck::ok(name, "stays on this machine"),
        ServerVerification::Verified(mode) => {
            DoctorCheck::ok(name, format!("verifies the server (sslmode={mode})"))
        }
        ServerVerification::Unverified(mode) => DoctorCheck::not_ok(
            name,
            CheckState::Warning,
            format!(
                "is not verified (sslmode={mode}): another machine could answer in the server's \
                 place and read everything"
            ),
            "write sslmode=verify-full into DATABASE_URL, and sslrootcert=FILE where the server's \
             certificate was signed by an authority of your own",
        ),
    }
}

async fn check_keys(engine: &Engine) -> Result<DoctorCheck, StorageError> {
    let keys = &engine.keys;
    let in_use = rotate::count_rows_by_key(&engine.database).await?;
    let unknown: Vec<String> = in_use
        .iter()
        .filter(|one| !keys.has_key(&one.key_id))
        .map(|one| format!("{} seals {} row(s)", one.key_id, one.rows))
        .collect();
    let mut unopened = Vec::new();
    for one in in_use.iter().filter(|one| keys.has_key(&one.key_id)) {
        let rows = rotate::list_unopenable(&engine.database, keys, &one.key_id).await?;
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
        .filter(|one| one.key_id != keys.sealing_key_id())
        .map(|one| one.rows)
        .sum();
    Ok(if !unknown.is_empty() {
        DoctorCheck::not_ok(
            "keys",
            CheckState::Problem,
            format!("keys that TOKEN_KEYS does not have: {}", unknown.join(", ")),
            "put the key back behind the first of TOKEN_KEYS; without it these members have to connect again",
        )
    } else if !unopened.is_empty() {
        DoctorCheck::not_ok(
            "keys",
            CheckState::Problem,
            unopened.join(", "),
            "a key of TOKEN_KEYS is not the one of that name that sealed them: put the old one back; \
             without it these members have to connect again",
        )
    } else if outdated > 0 {
        DoctorCheck::not_ok(
            "keys",
            CheckState::Warning,
            format!("{outdated} row(s) are sealed with an older key"),
            "run `sync-worker keys rotate` before you take the older key away",
        )
    } else {
        DoctorCheck::ok(
            "keys",
            format!("{} opens everything that is sealed", keys.sealing_key_id()),
        )
    })
}

async fn check_database_clock(engine: &Engine) -> Result<DoctorCheck, StorageError> {
    let mut conn = engine.database.get().await?;
    let theirs = call_budget::read(&mut conn).await?.now;
    Ok(check_clock(
        "clock of PostgreSQL",
        engine.clock().now() - theirs,
        "let both machines take their time from NTP",
    ))
}

fn check_clock(check: &'static str, ahead: TimeDelta, todo: &str) -> DoctorCheck {
    let seconds = ahead.num_seconds();
    if ahead.abs() > MAX_CLOCK_DIFFERENCE {
        let side = if seconds > 0 { "ahead" } else { "behind" };
        let detail = format!("this machine is {} s {side}", seconds.abs());
        DoctorCheck::not_ok(check, CheckState::Problem, detail, todo)
    } else {
        DoctorCheck::ok(check, "agrees with this machine")
    }
}

async fn check_whoop(engine: &Engine) -> Vec<DoctorCheck> {
    match engine.ping().await {
        Ok(reached) => {
            let mut checks = vec![DoctorCheck::ok(
                "WHOOP",
                format!("answers in {} ms", reached.round_trip.num_milliseconds()),
            )];
            if reached.status >= 500 {
                checks = vec![DoctorCheck::not_ok(
                    "WHOOP",
                    CheckState::Problem,
                    format!("answers {}", reached.status),
                    "wait: runs and visits try again by themselves",
                )];
            }
            if let Some(ahead) = reached.clock_ahead {
                let todo = "let this machine take its time from NTP; tokens and limits go by it";
                checks.push(check_clock("clock of WHOOP", ahead, todo));
            }
            if reached.status < 500 {
                checks.push(check_app(engine).await);
            }
            checks
        }
        Err(error) if error.quota_wait().is_some() => vec![DoctorCheck::not_ok(
            "WHOOP",
            CheckState::Warning,
            format!("was not asked: {}", error.error_chain()),
            "ask again when the quota allows it",
        )],
        Err(error) => vec![DoctorCheck::not_ok(
            "WHOOP",
            CheckState::Problem,
            SyncError::error_chain(&error),
            "check WHOOP_API_URL, and that this machine reaches it",
        )],
    }
}

async fn check_app(engine: &Engine) -> DoctorCheck {
    match engine.check_app_credentials().await {
        Ok(()) => DoctorCheck::ok("WHOOP app", "WHOOP knows its client id and client secret"),
        Err(error) if error.is_app_rejected() => DoctorCheck::not_ok(
            "WHOOP app",
            CheckState::Problem,
            error.error_chain(),
            "put WHOOP_CLIENT_ID, WHOOP_CLIENT_SECRET and WHOOP_REDIRECT_URL right, for the API and \
             the runs; until then nobody can connect, and access tokens are not renewed",
        ),
        Err(error) => DoctorCheck::not_ok(
            "WHOOP app",
            CheckState::Warning,
            format!(
                "WHOOP did not say whether it knows it: {}",
                error.error_chain()
            ),
            "ask again; if it stays so, see whether WHOOP_OAUTH_URL is WHOOP's",
        ),
    }
}

async fn check_quota(engine: &Engine) -> Result<DoctorCheck, StorageError> {
    let left = engine.remaining_quota().await?;
    let limits = engine.settings.limits;
    let detail = format!(
        "{} of {} calls are left of 24 hours, {} of {} of this minute",
        left.day, limits.per_day, left.minute, limits.per_minute
    );
    Ok(if let Some(closed) = left.closed_for {
        DoctorCheck::not_ok(
            "quota",
            CheckState::Warning,
            format!(
                "WHOOP refuses calls for {} s more; {detail}",
                closed.as_secs()
            ),
            "nothing: everybody waits by themselves. If it comes often, see whether another \
             program uses this WHOOP app",
        )
    } else if left.day < limits.per_day / 20 {
        DoctorCheck::not_ok(
            "quota",
            CheckState::Warning,
            detail,
            "`sync-worker capacity` says what the quota carries; ask WHOOP for more calls",
        )
    } else {
        DoctorCheck::ok("quota", detail)
    })
}

async fn check_members(database: &Database) -> Result<Vec<DoctorCheck>, StorageError> {
    let mut conn = database.get().await?;
    let counts = users::count_by_status(&mut conn).await?;
    drop(conn);
    let of = |status: &str| {
        let mut counts = counts.iter();
        counts
            .find(|one| one.status == status)
            .map_or(0, |one| one.members)
    };
    let mut checks = vec![match of("reauth_required") {
        0 => DoctorCheck::ok("members", format!("{} connected", of("connected"))),
        lost => DoctorCheck::not_ok(
            "members",
            CheckState::Warning,
            format!(
                "{} connected, {lost} have to connect again",
                of("connected")
            ),
            "`sync-worker users list --status reauth_required` names them; the app shows them \
             `connection: reauth_required`",
        ),
    }];
    let trouble = overview::count_problems(database).await?;
    checks.push(match trouble.failing {
        0 => DoctorCheck::ok("syncs", "no connected member's last sync failed"),
        failing => DoctorCheck::not_ok(
            "syncs",
            CheckState::Warning,
            format!("the last sync of {failing} connected member(s) failed"),
            "`sync-worker users list --status connected` shows the last error of each",
        ),
    });
    checks.push(match trouble.rejected_records {
        0 => DoctorCheck::ok("records", "none is set aside"),
        rejected => DoctorCheck::not_ok(
            "records",
            CheckState::Warning,
            format!("{rejected} record(s) could not be read and are set aside"),
            "the table whoop_rejected_record has them with their reasons; report them, and a \
             later version takes them in",
        ),
    });
    Ok(checks)
}

async fn check_webhooks(engine: &Engine) -> Result<DoctorCheck, StorageError> {
    let now = engine.clock().now();
    let seen_since = engine
        .quota
        .is_scarce()
        .await?
        .then_some(now - APP_IN_USE_WITHIN);
    let inbox =
        overview::summarize_inbox(&engine.database, now - SILENCE_TRUSTED_FOR, seen_since).await?;
    let waits = format!("{} wait, {} were given up", inbox.pending, inbox.dead);
    let Some(latest) = inbox.latest else {
        return Ok(DoctorCheck::not_ok(
            "webhooks",
            CheckState::Warning,
            "none has ever come in; members are read at the slots and when they come",
            "at https://developer-dashboard.whoop.com, add a webhook of model v2 with the address of \
             WHOOP_REDIRECT_URL's host, and the path /webhooks/whoop",
        ));
    };
    let at = latest.format("%Y-%m-%d %H:%M UTC");
    Ok(if inbox.dead > 0 {
        DoctorCheck::not_ok(
            "webhooks",
            CheckState::Warning,
            format!("the latest came at {at}; {waits}"),
            "`sync-worker webhooks list --state dead` says why, and \
             `sync-worker webhooks replay --state dead` tries them again",
        )
    } else if inbox
        .overdue_since
        .is_some_and(|due| now - due > MAX_INBOX_DELAY)
    {
        DoctorCheck::not_ok(
            "webhooks",
            CheckState::Problem,
            format!("the latest came at {at}; {waits}, one for more than an hour"),
            "see whether the API runs, which works them off; or run `sync-worker webhooks drain`",
        )
    } else if now - latest > SILENCE_TRUSTED_FOR {
        DoctorCheck::not_ok(
            "webhooks",
            CheckState::Warning,
            format!("none since {at}; members are read at the slots and when they come"),
            "see at https://developer-dashboard.whoop.com whether the webhook is still there, and \
             whether its address reaches the API",
        )
    } else if inbox.quiet > 0 {
        DoctorCheck::ok(
            "webhooks",
            format!(
                "the latest came at {at}; {waits}; none of {} connected member(s) for two days, \
                 who are read at the slots instead",
                inbox.quiet
            ),
        )
    } else {
        DoctorCheck::ok("webhooks", format!("the latest came at {at}; {waits}"))
    })
}

async fn check_runs(engine: &Engine) -> Result<Vec<DoctorCheck>, StorageError> {
    let now = engine.clock().now();
    let runs = overview::last_runs(&engine.database).await?;
    let last = runs.iter().filter_map(|run| run.finished_at).max();
    let mut checks = vec![match last {
        Some(at) if now - at <= MAX_RUN_INTERVAL => DoctorCheck::ok(
            "runs",
            format!("the last one ended at {}", at.format("%Y-%m-%d %H:%M UTC")),
        ),
        None => DoctorCheck::not_ok(
            "runs",
            CheckState::Warning,
            "no run was ever finished",
            "run `sync-worker run --slot night` once, and see to cron, the timer or the CronJob that \
             calls it from then on",
        ),
        Some(at) => DoctorCheck::not_ok(
            "runs",
            CheckState::Problem,
            format!("none ended since {}", at.format("%Y-%m-%d %H:%M UTC")),
            "see to cron, the timer or the CronJob that calls `sync-worker run --slot …`",
        ),
    }];
    let is_stuck =
        |run: &&LastRun| run.finished_at.is_none() && now - run.started_at > MAX_RUN_DURATION;
    for run in runs.iter().filter(is_stuck) {
        checks.push(DoctorCheck::not_ok(
            "runs",
            CheckState::Warning,
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

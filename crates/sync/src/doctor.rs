//! Checks the service for problems, and names a remedy for each problem.

use chrono::TimeDelta;
use serde::Serialize;
use whoop_core::plan::webhook_signals::{APP_IN_USE_WITHIN, SILENCE_TRUSTED_FOR};
use whoop_storage::{
    Database, ServerVerification, StorageError,
    overview::{self, LastRun},
    rotate,
    table::{call_budget, users},
};

use crate::{Operations, SyncError};

/// Maximum difference between the clocks of two machines. If the difference is larger, expired
/// tokens may seem valid.
const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(30);

/// Maximum time for which an event in the webhook inbox may be overdue. A longer delay means that
/// no process drains the inbox.
const MAX_INBOX_DELAY: TimeDelta = TimeDelta::hours(1);

/// Maximum time since the end of the last run. Usually there are four runs a day, at most nine
/// hours apart.
const MAX_RUN_INTERVAL: TimeDelta = TimeDelta::hours(26);

/// Maximum duration of a run that has not ended. A run that takes longer was most likely killed.
const MAX_RUN_DURATION: TimeDelta = TimeDelta::hours(6);

/// Result of a check.
///
/// - `ok`: the checked part works
/// - `warning`: the checked part works now but needs attention soon
/// - `problem`: the checked part does not work
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CheckState)]
pub enum CheckState {
    Ok,
    Warning,
    Problem,
}

/// One check of the service, and its result.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DoctorCheck {
    /// Name of the check, such as `database`, `quota`, `webhooks`.
    #[schema(value_type = String)]
    pub check: &'static str,
    /// Result of the check.
    pub state: CheckState,
    /// Finding of the check, as text for the operator.
    pub detail: String,
    /// Remedy for the operator; null if the result is `ok`.
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

impl Operations {
    /// Runs all checks except those of the settings and of the network route to the database.
    /// Appends each result to `checks`, which keeps the earlier results after an error.
    ///
    /// The checks send one call to WHOOP that counts against the quota, and one token request that
    /// cannot succeed.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn run_checks(&self, checks: &mut Vec<DoctorCheck>) -> Result<(), StorageError> {
        checks.push(check_connection(&self.database));
        checks.push(check_keys(self).await?);
        checks.push(check_database_clock(self).await?);
        // The quota is checked before WHOOP is called, because that call uses a permit.
        checks.push(check_quota(self).await?);
        checks.extend(check_whoop(self).await);
        checks.extend(check_members(&self.database).await?);
        checks.push(check_webhooks(self).await?);
        checks.extend(check_runs(self).await?);
        Ok(())
    }
}

/// Checks whether the connection verifies PostgreSQL's certificate, so that no other machine can
/// pose as the server.
fn check_connection(database: &Database) -> DoctorCheck {
    let name = "connection to PostgreSQL";
    match database.server_verification() {
        ServerVerification::Local => DoctorCheck::ok(name, "local to this machine"),
        ServerVerification::Verified(mode) => {
            DoctorCheck::ok(name, format!("verifies the server (sslmode={mode})"))
        }
        ServerVerification::Unverified(mode) => DoctorCheck::not_ok(
            name,
            CheckState::Warning,
            format!(
                "is not verified (sslmode={mode}): another machine could pose as the server and \
                 read everything"
            ),
            "write sslmode=verify-full into DATABASE_URL, and sslrootcert=FILE if your own \
             certificate authority signed the server's certificate",
        ),
    }
}

async fn check_keys(operations: &Operations) -> Result<DoctorCheck, StorageError> {
    let keys = &operations.keys;
    let in_use = rotate::count_rows_by_key(&operations.database).await?;
    let unknown: Vec<String> = in_use
        .iter()
        .filter(|one| !keys.has_key(&one.key_id))
        .map(|one| format!("{} ({} row(s))", one.key_id, one.rows))
        .collect();
    let mut unopened = Vec::new();
    for one in in_use.iter().filter(|one| keys.has_key(&one.key_id)) {
        let rows = rotate::list_unopenable(&operations.database, keys, &one.key_id).await?;
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
            format!(
                "rows are sealed with keys that TOKEN_KEYS does not contain: {}",
                unknown.join(", ")
            ),
            "add the key to TOKEN_KEYS again, after the first key; without it these members have \
             to connect again",
        )
    } else if !unopened.is_empty() {
        DoctorCheck::not_ok(
            "keys",
            CheckState::Problem,
            unopened.join(", "),
            "these rows were sealed with another key of the same name: restore that key in \
             TOKEN_KEYS; without it these members have to connect again",
        )
    } else if outdated > 0 {
        DoctorCheck::not_ok(
            "keys",
            CheckState::Warning,
            format!("{outdated} row(s) are sealed with an older key"),
            "run `sync-worker keys rotate` before you remove the older key from TOKEN_KEYS",
        )
    } else {
        DoctorCheck::ok(
            "keys",
            format!("key {} opens all sealed rows", keys.sealing_key_id()),
        )
    })
}

async fn check_database_clock(operations: &Operations) -> Result<DoctorCheck, StorageError> {
    let mut conn = operations.database.get().await?;
    let database_now = call_budget::read(&mut conn).await?.now;
    Ok(check_clock(
        "clock of PostgreSQL",
        operations.clock.now() - database_now,
        "synchronize the clocks of both machines with NTP",
    ))
}

fn check_clock(check: &'static str, ahead: TimeDelta, todo: &str) -> DoctorCheck {
    let seconds = ahead.num_seconds();
    if ahead.abs() > MAX_CLOCK_DIFFERENCE {
        let direction = if seconds > 0 { "ahead" } else { "behind" };
        let detail = format!("this machine is {} s {direction}", seconds.abs());
        DoctorCheck::not_ok(check, CheckState::Problem, detail, todo)
    } else {
        DoctorCheck::ok(check, "agrees with the clock of this machine")
    }
}

async fn check_whoop(operations: &Operations) -> Vec<DoctorCheck> {
    match operations.quota.ping().await {
        Ok(ping) => {
            let mut checks = vec![DoctorCheck::ok(
                "WHOOP",
                format!("answers in {} ms", ping.round_trip.num_milliseconds()),
            )];
            if ping.status >= 500 {
                checks = vec![DoctorCheck::not_ok(
                    "WHOOP",
                    CheckState::Problem,
                    format!("returned status {}", ping.status),
                    "wait: the next run or app request tries again",
                )];
            }
            if let Some(ahead) = ping.clock_ahead {
                let todo = "synchronize the clock of this machine with NTP; token expiry and limits \
                            depend on it";
                checks.push(check_clock("clock of WHOOP", ahead, todo));
            }
            if ping.status < 500 {
                checks.push(check_app(operations).await);
            }
            checks
        }
        Err(error) if error.quota_wait().is_some() => vec![DoctorCheck::not_ok(
            "WHOOP",
            CheckState::Warning,
            format!("was not checked: {}", error.error_chain()),
            "repeat the check when the quota allows a call",
        )],
        Err(error) => vec![DoctorCheck::not_ok(
            "WHOOP",
            CheckState::Problem,
            SyncError::error_chain(&error),
            "check WHOOP_API_URL, and that this machine can reach it",
        )],
    }
}

async fn check_app(operations: &Operations) -> DoctorCheck {
    match operations.quota.check_app_credentials().await {
        Ok(()) => DoctorCheck::ok(
            "WHOOP app",
            "WHOOP accepts the client id and the client secret",
        ),
        Err(error) if error.is_app_rejected() => DoctorCheck::not_ok(
            "WHOOP app",
            CheckState::Problem,
            error.error_chain(),
            "correct WHOOP_CLIENT_ID, WHOOP_CLIENT_SECRET and WHOOP_REDIRECT_URL for the API and \
             the runs; until then no member can connect, and access tokens are not renewed",
        ),
        Err(error) => DoctorCheck::not_ok(
            "WHOOP app",
            CheckState::Warning,
            format!(
                "WHOOP neither accepted nor refused the client id and the client secret: {}",
                error.error_chain()
            ),
            "repeat the check; if the result is the same, check WHOOP_OAUTH_URL",
        ),
    }
}

async fn check_quota(operations: &Operations) -> Result<DoctorCheck, StorageError> {
    let remaining = operations.quota.remaining_quota().await?;
    let limits = operations.settings.limits;
    let detail = format!(
        "calls that remain: {} of {} in 24 hours, {} of {} in the current minute",
        remaining.day, limits.per_day, remaining.minute, limits.per_minute
    );
    Ok(if let Some(closed) = remaining.closed_for {
        DoctorCheck::not_ok(
            "quota",
            CheckState::Warning,
            format!(
                "WHOOP refuses calls for another {} s; {detail}",
                closed.as_secs()
            ),
            "nothing: calls are resumed automatically. If this happens often, check whether \
             another program uses this WHOOP app",
        )
    } else if remaining.day < limits.per_day / 20 {
        DoctorCheck::not_ok(
            "quota",
            CheckState::Warning,
            detail,
            "`sync-worker capacity` calculates how many members the quota supports; ask WHOOP for \
             a higher limit",
        )
    } else {
        DoctorCheck::ok("quota", detail)
    })
}

async fn check_members(database: &Database) -> Result<Vec<DoctorCheck>, StorageError> {
    let mut conn = database.get().await?;
    let counts = users::count_by_status(&mut conn).await?;
    drop(conn);
    let members_with = |status: &str| {
        let mut counts = counts.iter();
        counts
            .find(|one| one.status == status)
            .map_or(0, |one| one.members)
    };
    let mut checks = vec![match members_with("reauth_required") {
        0 => DoctorCheck::ok(
            "members",
            format!("{} connected", members_with("connected")),
        ),
        reauth_required => DoctorCheck::not_ok(
            "members",
            CheckState::Warning,
            format!(
                "{} connected, {reauth_required} have to connect again",
                members_with("connected")
            ),
            "`sync-worker users list --status reauth_required` lists them; the API answers their \
             app with `connection: reauth_required`",
        ),
    }];
    let problems = overview::count_problems(database).await?;
    checks.push(match problems.failing {
        0 => DoctorCheck::ok("syncs", "no connected member's last sync failed"),
        failing => DoctorCheck::not_ok(
            "syncs",
            CheckState::Warning,
            format!("the last sync of {failing} connected member(s) failed"),
            "`sync-worker users list --status connected` shows the last error of each",
        ),
    });
    checks.push(match problems.rejected_records {
        0 => DoctorCheck::ok("records", "no record is set aside"),
        rejected => DoctorCheck::not_ok(
            "records",
            CheckState::Warning,
            format!("{rejected} record(s) could not be read and are set aside"),
            "the table whoop_rejected_record contains them with the reasons; report them, so that \
             a later version can store them",
        ),
    });
    Ok(checks)
}

async fn check_webhooks(operations: &Operations) -> Result<DoctorCheck, StorageError> {
    let now = operations.clock.now();
    let seen_since = operations
        .quota
        .pool
        .is_scarce()
        .await?
        .then_some(now - APP_IN_USE_WITHIN);
    let inbox =
        overview::summarize_inbox(&operations.database, now - SILENCE_TRUSTED_FOR, seen_since)
            .await?;
    let counts = format!("{} pending, {} dead", inbox.pending, inbox.dead);
    let Some(latest) = inbox.latest else {
        return Ok(DoctorCheck::not_ok(
            "webhooks",
            CheckState::Warning,
            "no webhook has ever arrived; data is read only by scheduled runs and app requests",
            "at https://developer-dashboard.whoop.com, add a webhook of model version v2 with the \
             host of WHOOP_REDIRECT_URL and the path /webhooks/whoop",
        ));
    };
    let at = latest.format("%Y-%m-%d %H:%M UTC");
    Ok(if inbox.dead > 0 {
        DoctorCheck::not_ok(
            "webhooks",
            CheckState::Warning,
            format!("the latest arrived at {at}; {counts}"),
            "`sync-worker webhooks list --state dead` shows the reasons, and \
             `sync-worker webhooks replay --state dead` retries them",
        )
    } else if inbox
        .overdue_since
        .is_some_and(|due| now - due > MAX_INBOX_DELAY)
    {
        DoctorCheck::not_ok(
            "webhooks",
            CheckState::Problem,
            format!("the latest arrived at {at}; {counts}; one has been due for more than an hour"),
            "check that the API is running, which processes them; or run `sync-worker webhooks \
             drain`",
        )
    } else if now - latest > SILENCE_TRUSTED_FOR {
        DoctorCheck::not_ok(
            "webhooks",
            CheckState::Warning,
            format!("no webhook since {at}; data is read only by scheduled runs and app requests"),
            "check at https://developer-dashboard.whoop.com that the webhook still exists, and \
             that its address leads to the API",
        )
    } else if inbox.quiet > 0 {
        DoctorCheck::ok(
            "webhooks",
            format!(
                "the latest arrived at {at}; {counts}; {} connected member(s) without a webhook \
                 for two days are read by scheduled runs instead",
                inbox.quiet
            ),
        )
    } else {
        DoctorCheck::ok("webhooks", format!("the latest arrived at {at}; {counts}"))
    })
}

async fn check_runs(operations: &Operations) -> Result<Vec<DoctorCheck>, StorageError> {
    let now = operations.clock.now();
    let runs = overview::last_runs(&operations.database).await?;
    let last = runs.iter().filter_map(|run| run.finished_at).max();
    let mut checks = vec![match last {
        Some(at) if now - at <= MAX_RUN_INTERVAL => DoctorCheck::ok(
            "runs",
            format!("the last run ended at {}", at.format("%Y-%m-%d %H:%M UTC")),
        ),
        None => DoctorCheck::not_ok(
            "runs",
            CheckState::Warning,
            "no run has ever finished",
            "run `sync-worker run --slot night` once, and schedule the runs with cron, a systemd \
             timer or a CronJob",
        ),
        Some(at) => DoctorCheck::not_ok(
            "runs",
            CheckState::Problem,
            format!("no run has ended since {}", at.format("%Y-%m-%d %H:%M UTC")),
            "check cron, the systemd timer or the CronJob that starts `sync-worker run --slot …`",
        ),
    }];
    let is_stuck =
        |run: &&LastRun| run.finished_at.is_none() && now - run.started_at > MAX_RUN_DURATION;
    for run in runs.iter().filter(is_stuck) {
        checks.push(DoctorCheck::not_ok(
            "runs",
            CheckState::Warning,
            format!(
                "the {} run that began at {} never ended; it was most likely killed",
                run.slot.as_deref().unwrap_or("last"),
                run.started_at.format("%Y-%m-%d %H:%M UTC")
            ),
            "no data is lost; check whether the machine ran out of memory, or a time limit ended \
             the run",
        ));
    }
    Ok(checks)
}

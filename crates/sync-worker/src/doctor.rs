//! `sync-worker doctor`: what is wrong, and what to do about it.

use std::sync::Arc;

use serde::Serialize;
use whoop_core::SystemClock;
use whoop_storage::StorageError;
use whoop_sync::{
    Engine, Settings,
    config::{ConfigError, SettingFaults},
    doctor::{Check, State},
};

use crate::{Console, Exit, cli::DoctorArgs, exit::Refusal, migrate::database_refusal};

#[derive(Serialize)]
struct Diagnosis<'a> {
    checks: &'a [Check],
    exit_code: u8,
}

pub(crate) async fn doctor(
    args: &DoctorArgs,
    faults: &SettingFaults,
    console: &Console,
) -> Result<Exit, Refusal> {
    let mut checks = Vec::new();
    let exit = match examine(args, faults, &mut checks).await {
        Ok(()) if checks.iter().any(|one| one.state == State::Problem) => Exit::SomeFailed,
        Ok(()) => Exit::Done,
        // What follows needs what is missing.
        Err(problems) => {
            checks.extend(problems);
            Exit::CouldNotRun
        }
    };
    if args.common.json {
        console.json(&Diagnosis {
            checks: &checks,
            exit_code: exit.code(),
        });
    } else {
        console.say(text(&checks));
    }
    Ok(exit)
}

async fn examine(
    args: &DoctorArgs,
    faults: &SettingFaults,
    checks: &mut Vec<Check>,
) -> Result<(), Vec<Check>> {
    let wrong_setting = |message: String| {
        Check::bad(
            "settings",
            State::Problem,
            message,
            "set it as a flag or a variable; `sync-worker run --help` lists them",
        )
    };
    if !faults.is_empty() {
        // The operator who installs the service has more than one thing to set.
        let problems = faults.iter().map(|fault| wrong_setting(fault.to_string()));
        return Err(problems.collect());
    }
    let engine = engine(args).map_err(|error| vec![wrong_setting(error.to_string())])?;
    checks.push(Check::ok("settings", "complete"));

    let refused = |check, error: &StorageError| {
        vec![Check::bad(
            check,
            State::Problem,
            database_refusal(&args.common.database, error).message,
            match error {
                StorageError::NotMigrated(_) => "run `sync-worker migrate`",
                StorageError::NotAllowed(_) => "run `sync-worker migrate --serving-role ROLE`",
                _ => "see to PostgreSQL first; nothing works without it",
            },
        )]
    };
    if args.common.database.may_listen() {
        match engine.database.shares_connections().await {
            Ok(false) => {}
            Ok(true) => {
                return Err(vec![Check::bad(
                    "database",
                    State::Problem,
                    "a pooler in transaction mode stands in front of PostgreSQL",
                    "set DATABASE_POOLER=transaction, for every process",
                )]);
            }
            Err(error) => return Err(refused("database", &error)),
        }
    }
    match engine.database.check().await {
        Ok(()) => checks.push(Check::ok("database", "reachable, every migration applied")),
        Err(error) => return Err(refused("database", &error)),
    }
    let examined = engine.examine(checks).await;
    examined.map_err(|error| refused("database", &error))
}

fn engine(args: &DoctorArgs) -> Result<Engine, ConfigError> {
    let database = args.common.database.database()?;
    let clock = Arc::new(SystemClock);
    args.whoop.engine(database, clock, Settings::default())
}

/// A line a check; sentences are too long for a table.
fn text(checks: &[Check]) -> String {
    let mut lines = Vec::new();
    for one in checks {
        let state = match one.state {
            State::Ok => "ok",
            State::Warning => "WARNING",
            State::Problem => "PROBLEM",
        };
        lines.push(format!("{state:<8} {}: {}", one.check, one.detail));
        if let Some(what_to_do) = &one.what_to_do {
            lines.push(format!("{:<8} what to do: {what_to_do}", ""));
        }
    }
    lines.join("\n")
}

//! `sync-worker doctor`: what is wrong, and what to do about it.

use std::sync::Arc;

use serde::Serialize;
use whoop_core::SystemClock;
use whoop_storage::StorageError;
use whoop_sync::{
    Engine, Settings,
    config::ConfigError,
    doctor::{Check, State},
};

use crate::{Console, Exit, cli::DoctorArgs, exit::Refusal, migrate::database_refusal};

#[derive(Serialize)]
struct Diagnosis<'a> {
    checks: &'a [Check],
    exit_code: u8,
}

pub(crate) async fn doctor(args: &DoctorArgs, console: &Console) -> Result<Exit, Refusal> {
    let mut checks = Vec::new();
    let exit = match examine(args, &mut checks).await {
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

async fn examine(args: &DoctorArgs, checks: &mut Vec<Check>) -> Result<(), Vec<Check>> {
    let engine = engine(args).map_err(|faults| {
        let told = faults.into_iter().map(|fault| {
            Check::bad(
                "settings",
                State::Problem,
                fault.to_string(),
                "set it as a flag or a variable; `sync-worker run --help` lists them",
            )
        });
        told.collect::<Vec<_>>()
    })?;
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

/// The engine, or everything that keeps it from being there: whoever installs it has
/// more than one thing to set.
fn engine(args: &DoctorArgs) -> Result<Engine, Vec<ConfigError>> {
    let mut faults = args.whoop.faults();
    match args.common.database.database() {
        Ok(database) if faults.is_empty() => args
            .whoop
            .engine(database, Arc::new(SystemClock), Settings::default())
            .map_err(|fault| vec![fault]),
        Ok(_) => Err(faults),
        Err(fault) => {
            faults.insert(0, fault);
            Err(faults)
        }
    }
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

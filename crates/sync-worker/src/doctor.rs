//! `sync-worker doctor`: problems of the service, and what to do about them.

use std::sync::Arc;

use serde::Serialize;
use whoop_core::SystemClock;
use whoop_storage::StorageError;
use whoop_sync::{
    Engine, EngineSettings,
    config::{ConfigError, SettingFaults},
    doctor::{CheckState, DoctorCheck},
};

use crate::{Console, ExitStatus, cli::DoctorArgs, exit::CommandError, migrate::database_error};

#[derive(Serialize)]
struct DoctorResult<'a> {
    checks: &'a [DoctorCheck],
    exit_code: u8,
}

pub(crate) async fn doctor(
    args: &DoctorArgs,
    faults: &SettingFaults,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let mut checks = Vec::new();
    let exit = match run_checks(args, faults, &mut checks).await {
        Ok(()) if checks.iter().any(|one| one.state == CheckState::Problem) => {
            ExitStatus::SomeFailed
        }
        Ok(()) => ExitStatus::Done,
        // The remaining checks depend on what is missing.
        Err(problems) => {
            checks.extend(problems);
            ExitStatus::CouldNotRun
        }
    };
    if args.common.json {
        console.print_json(&DoctorResult {
            checks: &checks,
            exit_code: exit.code(),
        });
    } else {
        console.print(text(&checks));
    }
    Ok(exit)
}

async fn run_checks(
    args: &DoctorArgs,
    faults: &SettingFaults,
    checks: &mut Vec<DoctorCheck>,
) -> Result<(), Vec<DoctorCheck>> {
    let wrong_setting = |message: String| {
        DoctorCheck::not_ok(
            "settings",
            CheckState::Problem,
            message,
            "set it as a variable or a flag; `sync-worker help settings` explains each setting",
        )
    };
    if !faults.is_empty() {
        // All faults are reported at once, because an operator who installs the service has several
        // things to set.
        let problems = faults.iter().map(|fault| wrong_setting(fault.to_string()));
        return Err(problems.collect());
    }
    let engine = build_engine(args).map_err(|error| vec![wrong_setting(error.to_string())])?;
    checks.push(DoctorCheck::ok("settings", "complete"));

    let refused = |check, error: &StorageError| {
        vec![DoctorCheck::not_ok(
            check,
            CheckState::Problem,
            database_error(&args.common.database, error).message,
            match error {
                StorageError::NotMigrated(_) => "run `sync-worker migrate`",
                StorageError::NotAllowed(_) => "run `sync-worker migrate --serving-role ROLE`",
                _ => "repair the connection to PostgreSQL first; the other checks need it",
            },
        )]
    };
    if args.common.database.supports_listen() {
        match engine.database.shares_connections().await {
            Ok(false) => {}
            Ok(true) => {
                return Err(vec![DoctorCheck::not_ok(
                    "database",
                    CheckState::Problem,
                    "PostgreSQL is behind a pooler in transaction mode",
                    "set DATABASE_POOLER=transaction for every process",
                )]);
            }
            Err(error) => return Err(refused("database", &error)),
        }
    }
    match engine.database.check().await {
        Ok(()) => checks.push(DoctorCheck::ok(
            "database",
            "reachable, with every migration applied",
        )),
        Err(error) => return Err(refused("database", &error)),
    }
    let result = engine.operations.run_checks(checks).await;
    result.map_err(|error| refused("database", &error))
}

fn build_engine(args: &DoctorArgs) -> Result<Engine, ConfigError> {
    let database = args.common.database.database()?;
    let clock = Arc::new(SystemClock);
    args.whoop
        .engine(database, clock, EngineSettings::default())
}

/// Returns one line per check, and a line with what to do. Consecutive checks with the same remedy
/// share that line. The sentences are too long for a table.
fn text(checks: &[DoctorCheck]) -> String {
    let mut lines = Vec::new();
    for (index, one) in checks.iter().enumerate() {
        let state = match one.state {
            CheckState::Ok => "ok",
            CheckState::Warning => "WARNING",
            CheckState::Problem => "PROBLEM",
        };
        lines.push(format!("{state:<8} {}: {}", one.check, one.detail));
        let next = checks.get(index + 1);
        if let Some(what_to_do) = &one.what_to_do
            && next.is_none_or(|next| next.what_to_do.as_ref() != Some(what_to_do))
        {
            lines.push(format!("{:<8} what to do: {what_to_do}", ""));
        }
    }
    lines.join("\n")
}

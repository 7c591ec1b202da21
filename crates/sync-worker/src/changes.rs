//! `sync-worker changes`: the sequence numbers with which apps update their copies.

use serde::Serialize;
use whoop_core::{Clock, SystemClock};
use whoop_storage::table::{audit, change};

use crate::{
    Console, ExitStatus, cli::RestartChangesArgs, exit::CommandError, migrate::database_error,
    operator::current_operator,
};

#[derive(Serialize)]
struct RestartChangesResult {
    /// Number of members with restarted sequence numbers.
    members: u64,
    exit_code: u8,
}

/// `sync-worker changes restart`.
pub(crate) async fn restart(
    args: &RestartChangesArgs,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    if !args.yes {
        return Err(CommandError::wrong_usage(
            "after this, every app downloads all its data again; add --yes to confirm".to_owned(),
        ));
    }
    let database = args
        .common
        .database
        .database()
        .map_err(|error| CommandError::could_not_run(error.to_string()))?;
    let restarted = async {
        database.check().await?;
        let mut transaction = database.begin().await?;
        let members = change::restart_sequences(&mut transaction).await?;
        let entry = current_operator().entry("changes-restart", SystemClock.now());
        audit::insert(&mut transaction, &[entry]).await?;
        transaction.commit().await?;
        Ok(members)
    };
    let members = restarted
        .await
        .map_err(|error| database_error(&args.common.database, &error))?;
    if args.common.json {
        console.print_json(&RestartChangesResult {
            members,
            exit_code: ExitStatus::Done.code(),
        });
    } else {
        console.print(format_args!(
            "sequence numbers of {members} member(s) restarted: each app gets status 410 once \
             and downloads all its data again"
        ));
    }
    Ok(ExitStatus::Done)
}

//! `sync-worker changes`: the numbers by which apps keep their copies.

use serde::Serialize;
use whoop_core::{Clock, SystemClock};
use whoop_storage::table::{audit, change};

use crate::{
    Console, Exit, cli::RestartArgs, exit::Refusal, migrate::database_refusal, operator::operator,
};

#[derive(Serialize)]
struct Restarted {
    /// Members whose numbers begin anew.
    members: u64,
    exit_code: u8,
}

/// `sync-worker changes restart`.
pub(crate) async fn restart(args: &RestartArgs, console: &Console) -> Result<Exit, Refusal> {
    if !args.yes {
        return Err(Refusal::wrong_usage(
            "every app with a copy reads everything anew after this; say --yes".to_owned(),
        ));
    }
    let database = args
        .common
        .database
        .database()
        .map_err(|error| Refusal::could_not_run(error.to_string()))?;
    let restarted = async {
        database.check().await?;
        let mut transaction = database.begin().await?;
        let members = change::restart(&mut transaction).await?;
        let entry = operator().entry("changes-restart", SystemClock.now());
        audit::insert(&mut transaction, &[entry]).await?;
        transaction.commit().await?;
        Ok(members)
    };
    let members = restarted
        .await
        .map_err(|error| database_refusal(&args.common.database, &error))?;
    if args.common.json {
        console.json(&Restarted {
            members,
            exit_code: Exit::Done.code(),
        });
    } else {
        console.say(format_args!(
            "the changes of {members} member(s) are counted anew: apps with a copy get 410, and read everything"
        ));
    }
    Ok(Exit::Done)
}

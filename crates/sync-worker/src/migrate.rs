use serde::Serialize;
use whoop_storage::{StorageError, migrate, reassign_local_dates, serving_role};
use whoop_sync::config::DatabaseArgs;

use crate::{Console, ExitStatus, cli::MigrateArgs, exit::CommandError};

#[derive(Serialize)]
struct MigrateResult {
    /// Migrations that were applied just now, in order.
    applied: Vec<String>,
    /// Tables and functions of the legacy service that were renamed to make room.
    set_aside: Vec<SetAsideObject>,
    /// Number of members with local dates that were assigned again, because the rules changed.
    members_settled: u64,
    /// Roles of the service, which may read and write every row.
    serving_roles: Vec<GrantedRole>,
    exit_code: u8,
}

#[derive(Serialize)]
struct GrantedRole {
    role: String,
    warning: Option<String>,
}

#[derive(Serialize)]
struct SetAsideObject {
    name: String,
    now: String,
}

/// `sync-worker migrate`.
pub(crate) async fn migrate(
    args: &MigrateArgs,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let database = args
        .common
        .database
        .database()
        .map_err(|error| CommandError::could_not_run(error.to_string()))?;
    if let Some(role) = &args.serving_role {
        serving_role::check_exists(&database, role)
            .await
            .map_err(|error| database_error(&args.common.database, &error))?;
    }
    let done = migrate::apply(&database)
        .await
        .map_err(|error| database_error(&args.common.database, &error))?;

    let serving = serving_role::grant_serving(&database, args.serving_role.as_deref())
        .await
        .map_err(|error| database_error(&args.common.database, &error))?;
    let members_settled = reassign_local_dates::reassign_local_dates(&database)
        .await
        .map_err(|error| database_error(&args.common.database, &error))?;
    let migrated = MigrateResult {
        applied: done.migrations,
        set_aside: done
            .renamed_objects
            .into_iter()
            .map(|(name, now)| SetAsideObject { name, now })
            .collect(),
        members_settled,
        serving_roles: serving
            .into_iter()
            .map(|one| GrantedRole {
                role: one.name,
                warning: one.warning,
            })
            .collect(),
        exit_code: ExitStatus::Done.code(),
    };
    if args.common.json {
        console.print_json(&migrated);
    } else {
        print_text(&migrated, console);
    }
    Ok(ExitStatus::Done)
}

fn print_text(migrated: &MigrateResult, console: &Console) {
    if migrated.applied.is_empty() {
        console.print("nothing to do: the database has every migration of this version");
    }
    for name in &migrated.applied {
        console.print(format_args!("applied {name}"));
    }
    if migrated.members_settled > 0 {
        console.print(format_args!(
            "settled the days of {} members by the rules of this version",
            migrated.members_settled
        ));
    }
    for GrantedRole { role, warning } in &migrated.serving_roles {
        console.print(format_args!("{role} may serve"));
        if let Some(warning) = warning {
            console.print(format_args!("warning: {warning}"));
        }
    }
    if !migrated.set_aside.is_empty() {
        console.print("moved aside, of an older service, with everything in it:");
        for SetAsideObject { name, now } in &migrated.set_aside {
            console.print(format_args!("  {name} -> {now}"));
        }
    }
}

/// Error with PostgreSQL's reason and the server's address, without the password.
pub(crate) fn database_error(args: &DatabaseArgs, error: &StorageError) -> CommandError {
    let place = args
        .host_and_port()
        .unwrap_or_else(|| "its address".to_owned());
    let reason = error_chain(error);
    CommandError::could_not_run(match error {
        StorageError::Unavailable(_) => format!(
            "PostgreSQL at {place}: {reason}. Check DATABASE_URL, and that the server runs and \
             accepts connections from here"
        ),
        StorageError::Migration(reason) if error.lacks_privilege() => format!(
            "PostgreSQL at {place}: {reason}. Migrate as the owner of the tables, a role that may \
             create in the schema public"
        ),
        StorageError::NotMigrated(_)
        | StorageError::NoSuchRole(_)
        | StorageError::NotAllowed(_) => reason,
        _ => format!("PostgreSQL at {place}: {reason}"),
    })
}

/// Returns the error's message with its causes; none of them contains the address.
fn error_chain(error: &StorageError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

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
    let reassigned_members = reassign_local_dates::reassign_local_dates(&database)
        .await
        .map_err(|error| database_error(&args.common.database, &error))?;
    let migrated = MigrateResult {
        applied: done.migrations,
        set_aside: done
            .renamed_objects
            .into_iter()
            .map(|(name, now)| SetAsideObject { name, now })
            .collect(),
        members_settled: reassigned_members,
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
        console.print("nothing to do: every migration of this version is applied");
    }
    for name in &migrated.applied {
        console.print(format_args!("applied {name}"));
    }
    if migrated.members_settled > 0 {
        console.print(format_args!(
            "assigned the local dates of {} member(s) again, by the rules of this version",
            migrated.members_settled
        ));
    }
    for GrantedRole { role, warning } in &migrated.serving_roles {
        console.print(format_args!("role {role}: may read and write the rows"));
        if let Some(warning) = warning {
            console.print(format_args!("warning: {warning}"));
        }
    }
    if !migrated.set_aside.is_empty() {
        console.print("renamed objects of the legacy service, which keep their content:");
        for SetAsideObject { name, now } in &migrated.set_aside {
            console.print(format_args!("  {name} -> {now}"));
        }
    }
}

/// Error with PostgreSQL's reason and the server's address, without the password.
pub(crate) fn database_error(args: &DatabaseArgs, error: &StorageError) -> CommandError {
    let server = args
        .host_and_port()
        .unwrap_or_else(|| "the address in DATABASE_URL".to_owned());
    let reason = error_chain(error);
    CommandError::could_not_run(match error {
        StorageError::Unavailable(_) if reason.contains(NO_TLS) => format!(
            "PostgreSQL at {server} offers no TLS, and sslmode in DATABASE_URL requires it. Enable \
             TLS on the server, or set sslmode=disable if you trust the network in between"
        ),
        StorageError::Unavailable(source) if error.is_auth_error() => format!(
            "PostgreSQL at {server} answers, but the connection is refused: {}. Check user, \
             password, database, sslmode and sslrootcert in DATABASE_URL",
            error_chain(source.as_ref())
        ),
        StorageError::Unavailable(_) => format!(
            "PostgreSQL at {server}: {reason}. Check DATABASE_URL, and that the server runs and \
             accepts connections from this machine"
        ),
        StorageError::Migration(reason) if error.lacks_privilege() => format!(
            "PostgreSQL at {server}: {reason}. Migrate as the owner of the tables, a role that may \
             create in the schema public"
        ),
        StorageError::NotMigrated(_)
        | StorageError::NoSuchRole(_)
        | StorageError::NotAllowed(_) => reason,
        _ => format!("PostgreSQL at {server}: {reason}"),
    })
}

/// Part of the driver's error if the server does not support TLS. The driver's messages are always
/// in English.
const NO_TLS: &str = "server does not support TLS";

/// Returns the error's message with its causes; none of them contains the address.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

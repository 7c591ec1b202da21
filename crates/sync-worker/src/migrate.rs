use serde::Serialize;
use whoop_storage::{StorageError, migrate, serving_role, settle_again};
use whoop_sync::config::DatabaseArgs;

use crate::{Console, Exit, cli::MigrateArgs, exit::Refusal};

#[derive(Serialize)]
struct Migrated {
    /// Applied just now, in order.
    applied: Vec<String>,
    /// Tables and functions of an older service that made room.
    set_aside: Vec<SetAside>,
    /// The number of members with days that were settled again, because the rules changed.
    members_settled: u64,
    /// Roles that may serve, and read and write every row.
    serving_roles: Vec<Serving>,
    exit_code: u8,
}

#[derive(Serialize)]
struct Serving {
    role: String,
    warning: Option<String>,
}

#[derive(Serialize)]
struct SetAside {
    name: String,
    now: String,
}

/// `sync-worker migrate`.
pub(crate) async fn migrate(args: &MigrateArgs, console: &Console) -> Result<Exit, Refusal> {
    let database = args
        .common
        .database
        .database()
        .map_err(|error| Refusal::could_not_run(error.to_string()))?;
    if let Some(role) = &args.serving_role {
        serving_role::exists(&database, role)
            .await
            .map_err(|error| database_refusal(&args.common.database, &error))?;
    }
    let done = migrate::apply(&database)
        .await
        .map_err(|error| database_refusal(&args.common.database, &error))?;

    let serving = serving_role::let_serve(&database, args.serving_role.as_deref())
        .await
        .map_err(|error| database_refusal(&args.common.database, &error))?;
    let members_settled = settle_again::settle_again(&database)
        .await
        .map_err(|error| database_refusal(&args.common.database, &error))?;
    let migrated = Migrated {
        applied: done.migrations,
        set_aside: done
            .set_aside
            .into_iter()
            .map(|(name, now)| SetAside { name, now })
            .collect(),
        members_settled,
        serving_roles: serving
            .into_iter()
            .map(|one| Serving {
                role: one.name,
                warning: one.warning,
            })
            .collect(),
        exit_code: Exit::Done.code(),
    };
    if args.common.json {
        console.json(&migrated);
    } else {
        tell(&migrated, console);
    }
    Ok(Exit::Done)
}

fn tell(migrated: &Migrated, console: &Console) {
    if migrated.applied.is_empty() {
        console.say("nothing to do: the database has every migration of this version");
    }
    for name in &migrated.applied {
        console.say(format_args!("applied {name}"));
    }
    if migrated.members_settled > 0 {
        console.say(format_args!(
            "settled the days of {} members by the rules of this version",
            migrated.members_settled
        ));
    }
    for Serving { role, warning } in &migrated.serving_roles {
        console.say(format_args!("{role} may serve"));
        if let Some(warning) = warning {
            console.say(format_args!("warning: {warning}"));
        }
    }
    if !migrated.set_aside.is_empty() {
        console.say("moved aside, of an older service, with everything in it:");
        for SetAside { name, now } in &migrated.set_aside {
            console.say(format_args!("  {name} -> {now}"));
        }
    }
}

/// What PostgreSQL did, and where it is; the address without its password.
pub(crate) fn database_refusal(args: &DatabaseArgs, error: &StorageError) -> Refusal {
    let place = args.place().unwrap_or_else(|| "its address".to_owned());
    let reason = in_full(error);
    Refusal::could_not_run(match error {
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

/// The sentence with its causes; none of them holds the address.
fn in_full(error: &StorageError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

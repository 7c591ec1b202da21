//! `sync-worker service-keys`: the keys of the team's backends.

use chrono::{DateTime, Utc};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use secrecy::ExposeSecret;
use serde::Serialize;
use whoop_core::{Clock, SystemClock};
use whoop_storage::{
    StorageError,
    service_key::{self, Scope, ScopeSet},
    table::{
        audit,
        service_key::{self as keys, KeyRow, NewKey},
    },
};

use crate::{
    Console, ExitStatus,
    cli::{CreateServiceKeyArgs, ListServiceKeysArgs, RevokeServiceKeyArgs},
    exit::CommandError,
    migrate::database_error,
    operator::current_operator,
    users::open_database,
};

#[derive(Serialize)]
struct CreateServiceKeyResult<'a> {
    name: &'a str,
    /// The key itself, printed only this once.
    key: &'a str,
    scopes: Vec<&'static str>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    exit_code: u8,
}

#[derive(Serialize)]
struct ListServiceKeysResult {
    service_keys: Vec<ServiceKeyEntry>,
    exit_code: u8,
}

#[derive(Serialize)]
struct ServiceKeyEntry {
    name: String,
    state: &'static str,
    scopes: Vec<&'static str>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct RevokeServiceKeyResult<'a> {
    name: &'a str,
    revoked_at: DateTime<Utc>,
    exit_code: u8,
}

/// `sync-worker service-keys create`.
pub(crate) async fn create(
    args: &CreateServiceKeyArgs,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let now = SystemClock.now();
    let expires_at = args
        .expires
        .map(|expiry| expiry.after(now))
        .transpose()
        .map_err(|error| CommandError::wrong_usage(error.to_string()))?;
    let scopes: ScopeSet = args.scopes.iter().map(|one| Scope::from(*one)).collect();
    let (key, digest) =
        service_key::generate().map_err(|error| CommandError::could_not_run(error.to_string()))?;
    let new = NewKey {
        name: args.name.clone(),
        digest,
        scopes: scopes.clone(),
        created_at: now,
        expires_at,
    };
    let database = open_database(&args.common.database).await?;
    let is_stored = async {
        let mut transaction = database.begin().await?;
        if !keys::insert(&mut transaction, &new).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        let detail = format!("{} ({scopes})", args.name);
        let entry = current_operator().entry("service-keys-create", now);
        audit::insert(&mut transaction, &[entry.with_detail(&detail)]).await?;
        transaction.commit().await?;
        Ok::<_, StorageError>(true)
    };
    let is_stored = is_stored
        .await
        .map_err(|error| database_error(&args.common.database, &error))?;
    let name = args.name.as_str();
    if !is_stored {
        return Err(CommandError::could_not_run(format!(
            "a service key {name} already exists; choose another name, or revoke that key first: \
             sync-worker service-keys revoke {name}"
        )));
    }
    if args.common.json {
        console.print_json(&CreateServiceKeyResult {
            name,
            key: key.expose_secret(),
            scopes: scope_names(&scopes),
            created_at: now,
            expires_at,
            exit_code: ExitStatus::Done.code(),
        });
    } else {
        console.print_to_stderr(format_args!(
            "Service key {name} ({scopes}), {}. It is shown only once; store it with your other \
             secrets:",
            expires_at.map_or_else(
                || "without expiry".to_owned(),
                |end| format!("valid until {}", format_minute(Some(end)))
            )
        ));
        console.print(key.expose_secret());
    }
    Ok(ExitStatus::Done)
}

/// `sync-worker service-keys list`.
pub(crate) async fn list(
    args: &ListServiceKeysArgs,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let database = open_database(&args.common.database).await?;
    let rows = async {
        let mut conn = database.get().await?;
        keys::list(&mut conn).await
    };
    let rows = rows
        .await
        .map_err(|error| database_error(&args.common.database, &error))?;
    let now = SystemClock.now();
    let service_keys: Vec<ServiceKeyEntry> =
        rows.into_iter().map(|row| key_entry(row, now)).collect();
    if args.common.json {
        console.print_json(&ListServiceKeysResult {
            service_keys,
            exit_code: ExitStatus::Done.code(),
        });
        return Ok(ExitStatus::Done);
    }
    if service_keys.is_empty() {
        console
            .print("no service keys in the database; the keys in AUTH_SERVICE_KEYS are not listed");
        return Ok(ExitStatus::Done);
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["name", "state", "scopes", "created", "expires", "last used"]);
    for key in &service_keys {
        table.add_row([
            key.name.clone(),
            key.state.to_owned(),
            key.scopes.join(","),
            format_minute(Some(key.created_at)),
            format_minute(key.expires_at),
            format_minute(key.last_used_at),
        ]);
    }
    console.print(table);
    Ok(ExitStatus::Done)
}

fn key_entry(row: KeyRow, now: DateTime<Utc>) -> ServiceKeyEntry {
    ServiceKeyEntry {
        state: row.state(now).as_str(),
        scopes: scope_names(&row.scopes()),
        name: row.name,
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
        last_used_at: row.last_used_at,
    }
}

/// `sync-worker service-keys revoke`.
pub(crate) async fn revoke(
    args: &RevokeServiceKeyArgs,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let database = open_database(&args.common.database).await?;
    let now = SystemClock.now();
    let is_revoked = async {
        let mut transaction = database.begin().await?;
        if !keys::revoke(&mut transaction, &args.name, now).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        let entry = current_operator().entry("service-keys-revoke", now);
        let entry = entry.with_detail(args.name.as_str());
        audit::insert(&mut transaction, &[entry]).await?;
        transaction.commit().await?;
        Ok::<_, StorageError>(true)
    };
    let is_revoked = is_revoked
        .await
        .map_err(|error| database_error(&args.common.database, &error))?;
    let name = args.name.as_str();
    if !is_revoked {
        return Err(CommandError::could_not_run(format!(
            "there is no active service key {name}: it does not exist, or was revoked before; \
             `sync-worker service-keys list` lists all keys"
        )));
    }
    if args.common.json {
        console.print_json(&RevokeServiceKeyResult {
            name,
            revoked_at: now,
            exit_code: ExitStatus::Done.code(),
        });
    } else {
        console.print(format_args!(
            "service key {name} is revoked; its next request is refused"
        ));
    }
    Ok(ExitStatus::Done)
}

fn scope_names(scopes: &ScopeSet) -> Vec<&'static str> {
    scopes.iter().map(Scope::as_str).collect()
}

fn format_minute(instant: Option<DateTime<Utc>>) -> String {
    instant.map_or_else(
        || "never".to_owned(),
        |instant| instant.format("%Y-%m-%d %H:%MZ").to_string(),
    )
}

//! `sync-worker service-keys`: the keys of the team's backends.

use chrono::{DateTime, Utc};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use secrecy::ExposeSecret;
use serde::Serialize;
use whoop_core::{Clock, SystemClock};
use whoop_storage::{
    StorageError,
    service_key::{self, Scope, Scopes},
    table::{
        audit,
        service_key::{self as keys, KeyRow, NewKey},
    },
};

use crate::{
    Console, Exit,
    cli::{CreateKeyArgs, ListKeysArgs, RevokeKeyArgs},
    exit::Refusal,
    migrate::database_refusal,
    operator::operator,
    users::open,
};

#[derive(Serialize)]
struct Created<'a> {
    name: &'a str,
    /// The key itself, printed this once.
    key: &'a str,
    scopes: Vec<&'static str>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    exit_code: u8,
}

#[derive(Serialize)]
struct Listed {
    service_keys: Vec<ListedKey>,
    exit_code: u8,
}

#[derive(Serialize)]
struct ListedKey {
    name: String,
    state: &'static str,
    scopes: Vec<&'static str>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct Revoked<'a> {
    name: &'a str,
    revoked_at: DateTime<Utc>,
    exit_code: u8,
}

/// `sync-worker service-keys create`.
pub(crate) async fn create(args: &CreateKeyArgs, console: &Console) -> Result<Exit, Refusal> {
    let now = SystemClock.now();
    let expires_at = args
        .expires
        .map(|expiry| expiry.after(now))
        .transpose()
        .map_err(|error| Refusal::wrong_usage(error.to_string()))?;
    let scopes: Scopes = args.scopes.iter().map(|one| Scope::from(*one)).collect();
    let (key, digest) =
        service_key::generate().map_err(|error| Refusal::could_not_run(error.to_string()))?;
    let new = NewKey {
        name: args.name.clone(),
        digest,
        scopes: scopes.clone(),
        created_at: now,
        expires_at,
    };
    let database = open(&args.common.database).await?;
    let is_stored = async {
        let mut transaction = database.begin().await?;
        if !keys::insert(&mut transaction, &new).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        let detail = format!("{} ({scopes})", args.name);
        let entry = operator().entry("service-keys-create", now);
        audit::insert(&mut transaction, &[entry.with_detail(&detail)]).await?;
        transaction.commit().await?;
        Ok::<_, StorageError>(true)
    };
    let is_stored = is_stored
        .await
        .map_err(|error| database_refusal(&args.common.database, &error))?;
    let name = args.name.as_str();
    if !is_stored {
        return Err(Refusal::could_not_run(format!(
            "there is a service key {name} already; choose another name, or revoke that one first: \
             sync-worker service-keys revoke {name}"
        )));
    }
    if args.common.json {
        console.json(&Created {
            name,
            key: key.expose_secret(),
            scopes: words(&scopes),
            created_at: now,
            expires_at,
            exit_code: Exit::Done.code(),
        });
    } else {
        console.remark(format_args!(
            "The service key {name} ({scopes}), {}. It is shown this once; keep it where secrets are \
             kept:",
            expires_at.map_or_else(
                || "without an end".to_owned(),
                |end| format!("good until {}", minute(Some(end)))
            )
        ));
        console.say(key.expose_secret());
    }
    Ok(Exit::Done)
}

/// `sync-worker service-keys list`.
pub(crate) async fn list(args: &ListKeysArgs, console: &Console) -> Result<Exit, Refusal> {
    let database = open(&args.common.database).await?;
    let rows = async {
        let mut conn = database.get().await?;
        keys::list(&mut conn).await
    };
    let rows = rows
        .await
        .map_err(|error| database_refusal(&args.common.database, &error))?;
    let now = SystemClock.now();
    let service_keys: Vec<ListedKey> = rows.into_iter().map(|row| listed(row, now)).collect();
    if args.common.json {
        console.json(&Listed {
            service_keys,
            exit_code: Exit::Done.code(),
        });
        return Ok(Exit::Done);
    }
    if service_keys.is_empty() {
        console.say("no service keys in the database; those of AUTH_SERVICE_KEYS are not listed");
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["name", "state", "scopes", "created", "expires", "last used"]);
    for key in &service_keys {
        table.add_row([
            key.name.clone(),
            key.state.to_owned(),
            key.scopes.join(","),
            minute(Some(key.created_at)),
            minute(key.expires_at),
            minute(key.last_used_at),
        ]);
    }
    console.say(table);
    Ok(Exit::Done)
}

fn listed(row: KeyRow, now: DateTime<Utc>) -> ListedKey {
    ListedKey {
        state: row.state(now).as_str(),
        scopes: words(&row.scopes()),
        name: row.name,
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
        last_used_at: row.last_used_at,
    }
}

/// `sync-worker service-keys revoke`.
pub(crate) async fn revoke(args: &RevokeKeyArgs, console: &Console) -> Result<Exit, Refusal> {
    let database = open(&args.common.database).await?;
    let now = SystemClock.now();
    let is_revoked = async {
        let mut transaction = database.begin().await?;
        if !keys::revoke(&mut transaction, &args.name, now).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        let entry = operator().entry("service-keys-revoke", now);
        let entry = entry.with_detail(args.name.as_str());
        audit::insert(&mut transaction, &[entry]).await?;
        transaction.commit().await?;
        Ok::<_, StorageError>(true)
    };
    let is_revoked = is_revoked
        .await
        .map_err(|error| database_refusal(&args.common.database, &error))?;
    let name = args.name.as_str();
    if !is_revoked {
        return Err(Refusal::could_not_run(format!(
            "no service key {name} is left to revoke: there is none of this name, or it was revoked \
             before; `sync-worker service-keys list` shows all of them"
        )));
    }
    if args.common.json {
        console.json(&Revoked {
            name,
            revoked_at: now,
            exit_code: Exit::Done.code(),
        });
    } else {
        console.say(format_args!(
            "the service key {name} is revoked; its next request is refused"
        ));
    }
    Ok(Exit::Done)
}

fn words(scopes: &Scopes) -> Vec<&'static str> {
    scopes.iter().map(Scope::as_str).collect()
}

fn minute(instant: Option<DateTime<Utc>>) -> String {
    instant.map_or_else(
        || "never".to_owned(),
        |instant| instant.format("%Y-%m-%d %H:%MZ").to_string(),
    )
}

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use whoop_storage::{
    Database, StorageError,
    rotate::{self, KeyUse, Outdated, Resealed},
    seal::TokenKeys,
};

use crate::{Console, Exit, cli::RotateArgs, exit::Refusal, migrate::database_refusal, operator};

#[derive(Debug, Default, Serialize)]
struct Rotated {
    /// The key that seals now.
    key: String,
    resealed: u64,
    /// Those that only `--dry-run` left as they are.
    outdated: u64,
    /// As they were: no key in `TOKEN_KEYS` opens them.
    failed: Vec<Failed>,
    stopped: bool,
    /// Rows by the key that seals them, afterwards.
    in_use: Vec<InUse>,
    exit_code: u8,
}

#[derive(Debug, Serialize)]
struct Failed {
    table: String,
    owner: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct InUse {
    key: String,
    rows: i64,
}

/// `sync-worker keys rotate`.
pub(crate) async fn rotate(
    args: &RotateArgs,
    console: &Console,
    stop: &CancellationToken,
) -> Result<Exit, Refusal> {
    let refused = |error: String| Refusal::could_not_run(error);
    let keys = args
        .keys
        .keys()
        .map_err(|error| refused(error.to_string()))?;
    let database = args
        .common
        .database
        .database()
        .map_err(|error| refused(error.to_string()))?;
    let mut rotated = all(&database, &keys, args.dry_run, stop)
        .await
        .map_err(|error| database_refusal(&args.common.database, &error))?;
    let exit = if !rotated.failed.is_empty() {
        Exit::SomeFailed
    } else if rotated.stopped {
        Exit::PutOff
    } else {
        Exit::Done
    };
    rotated.exit_code = exit.code();
    if args.common.json {
        console.json(&rotated);
    } else {
        tell(&rotated, console);
    }
    Ok(exit)
}

async fn all(
    database: &Database,
    keys: &TokenKeys,
    dry_run: bool,
    stop: &CancellationToken,
) -> Result<Rotated, StorageError> {
    database.check().await?;
    if !dry_run {
        let detail = format!("first key {}", keys.sealing());
        operator::record(database, "keys-rotate", None, Some(&detail)).await?;
    }
    let mut rotated = Rotated {
        key: keys.sealing().to_owned(),
        ..Rotated::default()
    };
    let mut held = Vec::new();
    let mut last: Option<Outdated> = None;
    loop {
        let batch = rotate::outdated(database, keys, last.as_ref()).await?;
        let Some(end) = batch.last().cloned() else {
            break;
        };
        last = Some(end);
        if dry_run {
            rotated.outdated += batch.len() as u64;
            continue;
        }
        for row in batch {
            if stop.is_cancelled() {
                rotated.stopped = true;
                break;
            }
            match rotate::reseal(database, keys, &row).await? {
                Resealed::Held => held.push(row),
                outcome => rotated.note(&row, outcome),
            }
        }
        if rotated.stopped {
            break;
        }
    }
    // Whoever held them has had the time of all the others.
    for row in held {
        let outcome = rotate::reseal(database, keys, &row).await?;
        rotated.note(&row, outcome);
    }
    // What the key has sealed before today may be another's of the same name.
    for (row, error) in rotate::unopened(database, keys, keys.sealing()).await? {
        rotated.note(&row, Resealed::DoesNotOpen(error));
    }
    let in_use = rotate::key_use(database).await?;
    rotated.in_use = in_use
        .into_iter()
        .map(|KeyUse { key_id, rows }| InUse { key: key_id, rows })
        .collect();
    Ok(rotated)
}

impl Rotated {
    fn note(&mut self, row: &Outdated, outcome: Resealed) {
        let reason = match outcome {
            Resealed::Done => {
                self.resealed += 1;
                return;
            }
            Resealed::NotNeeded => return,
            Resealed::DoesNotOpen(error) => error.to_string(),
            Resealed::Held => "somebody holds it for too long; run this again".to_owned(),
        };
        self.failed.push(Failed {
            table: row.table_name.clone(),
            owner: row.owner.clone(),
            reason,
        });
    }
}

fn tell(rotated: &Rotated, console: &Console) {
    let key = &rotated.key;
    if rotated.outdated > 0 {
        console.say(format_args!("{} to be sealed with {key}", rotated.outdated));
    }
    console.say(format_args!("{} sealed anew with {key}", rotated.resealed));
    for Failed {
        table,
        owner,
        reason,
    } in &rotated.failed
    {
        console.say(format_args!("not {owner} ({table}): {reason}"));
    }
    for InUse { key, rows } in &rotated.in_use {
        console.say(format_args!("key {key} seals {rows}"));
    }
    let is_whole = rotated.in_use.iter().all(|one| one.key == *key);
    console.say(if !rotated.failed.is_empty() {
        "take no key out of TOKEN_KEYS: what is named above would be lost".to_owned()
    } else if is_whole {
        format!("every key but {key} may be taken out of TOKEN_KEYS now, once every process has {key} first")
    } else {
        "keep every key that still seals something in TOKEN_KEYS".to_owned()
    });
}

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use whoop_storage::{
    Database, StorageError,
    rotate::{self, KeyUse, OutdatedRow, ResealOutcome},
    seal::TokenKeys,
};

use crate::{
    Console, ExitStatus, cli::RotateTokenKeysArgs, exit::CommandError, migrate::database_error,
    operator,
};

#[derive(Debug, Default, Serialize)]
struct RotateResult {
    /// Id of the key that seals now.
    key: String,
    resealed: u64,
    /// Rows sealed with another key, which only `--dry-run` does not change.
    outdated: u64,
    /// Unchanged rows, because no key in `TOKEN_KEYS` opens them.
    failed: Vec<RotateFailure>,
    stopped: bool,
    /// Number of rows per sealing key, after the rotation.
    in_use: Vec<KeyUsage>,
    exit_code: u8,
}

#[derive(Debug, Serialize)]
struct RotateFailure {
    table: String,
    owner: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct KeyUsage {
    key: String,
    rows: i64,
}

/// `sync-worker keys rotate`.
pub(crate) async fn rotate(
    args: &RotateTokenKeysArgs,
    console: &Console,
    stop: &CancellationToken,
) -> Result<ExitStatus, CommandError> {
    let unusable = |error: String| CommandError::could_not_run(error);
    let keys = args
        .keys
        .keys()
        .map_err(|error| unusable(error.to_string()))?;
    let database = args
        .common
        .database
        .database()
        .map_err(|error| unusable(error.to_string()))?;
    let mut rotated = reseal_all(&database, &keys, args.dry_run, stop)
        .await
        .map_err(|error| database_error(&args.common.database, &error))?;
    let exit = if !rotated.failed.is_empty() {
        ExitStatus::SomeFailed
    } else if rotated.stopped {
        ExitStatus::Deferred
    } else {
        ExitStatus::Done
    };
    rotated.exit_code = exit.code();
    if args.common.json {
        console.print_json(&rotated);
    } else {
        print_text(&rotated, console);
    }
    Ok(exit)
}

async fn reseal_all(
    database: &Database,
    keys: &TokenKeys,
    dry_run: bool,
    stop: &CancellationToken,
) -> Result<RotateResult, StorageError> {
    database.check().await?;
    if !dry_run {
        let detail = format!("first key {}", keys.sealing_key_id());
        operator::record_action(database, "keys-rotate", None, Some(&detail)).await?;
    }
    let mut rotated = RotateResult {
        key: keys.sealing_key_id().to_owned(),
        ..RotateResult::default()
    };
    let mut locked_rows = Vec::new();
    let mut last: Option<OutdatedRow> = None;
    loop {
        let batch = rotate::list_outdated(database, keys, last.as_ref()).await?;
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
                ResealOutcome::RowLocked => locked_rows.push(row),
                outcome => rotated.record_outcome(&row, outcome),
            }
        }
        if rotated.stopped {
            break;
        }
    }
    // The processes that held these row locks have had time to release them.
    for row in locked_rows {
        let outcome = rotate::reseal(database, keys, &row).await?;
        rotated.record_outcome(&row, outcome);
    }
    // Rows that name the current key may be sealed with a different key of the same name.
    for (row, error) in rotate::list_unopenable(database, keys, keys.sealing_key_id()).await? {
        rotated.record_outcome(&row, ResealOutcome::DoesNotOpen(error));
    }
    let in_use = rotate::count_rows_by_key(database).await?;
    rotated.in_use = in_use
        .into_iter()
        .map(|KeyUse { key_id, rows }| KeyUsage { key: key_id, rows })
        .collect();
    Ok(rotated)
}

impl RotateResult {
    fn record_outcome(&mut self, row: &OutdatedRow, outcome: ResealOutcome) {
        let reason = match outcome {
            ResealOutcome::Done => {
                self.resealed += 1;
                return;
            }
            ResealOutcome::NotNeeded => return,
            ResealOutcome::DoesNotOpen(error) => error.to_string(),
            ResealOutcome::RowLocked => {
                "another process keeps the row locked; run this command again".to_owned()
            }
        };
        self.failed.push(RotateFailure {
            table: row.table_name.clone(),
            owner: row.owner.clone(),
            reason,
        });
    }
}

fn print_text(rotated: &RotateResult, console: &Console) {
    let key = &rotated.key;
    let is_rotated = rotated.in_use.iter().all(|one| one.key == *key);
    if rotated.outdated > 0 {
        console.print(format_args!(
            "{} row(s) to be sealed with {key}",
            rotated.outdated
        ));
    } else if rotated.resealed > 0 {
        console.print(format_args!(
            "{} row(s) sealed again, with {key}",
            rotated.resealed
        ));
    } else if is_rotated && rotated.failed.is_empty() {
        console.print(format_args!(
            "nothing to do: no row is sealed with a key other than {key}"
        ));
    }
    for RotateFailure {
        table,
        owner,
        reason,
    } in &rotated.failed
    {
        console.print(format_args!("not sealed: {owner} ({table}): {reason}"));
    }
    for KeyUsage { key, rows } in &rotated.in_use {
        console.print(format_args!("key {key} seals {rows} row(s)"));
    }
    console.print(if !rotated.failed.is_empty() {
        "remove no key from TOKEN_KEYS: the rows named above could then never be opened".to_owned()
    } else if is_rotated {
        format!(
            "the other keys can be removed from TOKEN_KEYS once every process has {key} as its \
             first key"
        )
    } else {
        "keep in TOKEN_KEYS every key that still seals rows".to_owned()
    });
}

//! Exports: they are complete, contain only the member's own data, and are never in memory as a
//! whole.

use std::collections::BTreeMap;

use futures::StreamExt;
use serde_json::{Value, json};
use whoop_devkit::TestDb;
use whoop_sim::{Fault, SimConfig};

use crate::harness::{Member, RunningApi, Stage, simulator, two_months, until};

const TYPES: [&str; 4] = ["cycle", "recovery", "sleep", "workout"];

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Returns the value with all numbers as floating-point numbers and without nulls, so that equal
/// values are equal texts.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Returns all records of a person that the simulated WHOOP has, by data type and id.
fn truth(stage: &Stage, person: usize) -> BTreeMap<(String, String), Value> {
    let world = stage.world();
    let truth = world.records().truth(world.people()[person]);
    let lists = [
        ("cycle", "cycles"),
        ("recovery", "recoveries"),
        ("sleep", "sleeps"),
        ("workout", "workouts"),
    ];
    lines_of(lists.iter().flat_map(|(kind, list)| {
        let records = truth[list].as_array().unwrap().clone();
        records.into_iter().map(move |record| (*kind, record))
    }))
}

fn lines_of<'a>(
    records: impl Iterator<Item = (&'a str, Value)>,
) -> BTreeMap<(String, String), Value> {
    let id_of = |kind: &str, record: &Value| match kind {
        "recovery" => record["cycle_id"].to_string(),
        _ => record["id"].to_string(),
    };
    records
        .map(|(kind, record)| ((kind.to_owned(), id_of(kind, &record)), plain(&record)))
        .collect()
}

/// Starts to download the member's export, and does not read the body.
async fn open_export(member: &Member) -> reqwest::Response {
    let url = format!("http://{}{}", member.client.address, member.path("export"));
    // The response is not compressed, so that its unread part is larger than the socket buffers.
    let http = reqwest::Client::builder().no_gzip().build().unwrap();
    http.get(url)
        .bearer_auth(&member.token)
        .send()
        .await
        .unwrap()
}

async fn with_everything() -> (Stage, Member) {
    let (stage, alice) = Stage::with_member().await;
    let from = (crate::harness::now() - chrono::TimeDelta::days(70)).to_rfc3339();
    alice.sync_back_to(&from).await;
    // WHOOP sends one more record, which cannot be read and is set aside.
    let broken = json!("no offset at all");
    let fault = Fault {
        times: Some(1),
        every_record: false,
        ..Fault::every_record("workout", "start", broken)
    };
    stage.world().add_fault(fault);
    alice
        .post("sync", &json!({"data_types": ["workout"]}))
        .await
        .expect(200);
    stage.world().clear_faults();
    (stage, alice)
}

#[tokio::test]
async fn every_record_is_exported_as_whoop_sent_it() {
    let (stage, alice) = with_everything().await;

    let answer = alice.get("export", "").await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    let name = answer.header("content-disposition").unwrap();
    assert!(
        name.contains("whoop-2026-10-20.ndjson") && !name.contains("alice"),
        "{name}"
    );
    let lines = lines(&answer.text);
    let (first, last) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!(
        (&first["type"], &first["user_id"]),
        (&json!("member"), &json!("alice"))
    );
    assert_eq!(first["consent"], "terms of 2026");
    assert!(
        first["email"].is_string() && first["connected_at"].is_string(),
        "{first}"
    );
    for never in ["sealed", "lease_holder", "access_token", "state_hash"] {
        assert!(!answer.text.contains(never), "{never}");
    }
    let records = lines.iter().filter(|line| line["record"].is_object());
    for record in records.clone() {
        let date = record["local_date"].as_str().unwrap();
        assert!(date.starts_with("2026-"), "{record}");
    }
    let exported =
        lines_of(records.map(|line| (line["type"].as_str().unwrap(), line["record"].clone())));
    let truth = truth(&stage, 0);
    for (key, record) in &truth {
        assert_eq!(exported.get(key), Some(record), "{key:?}");
    }
    assert_eq!(exported.len(), truth.len());
    assert_eq!(last, &json!({"type": "end", "records": exported.len()}));
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!((of("member"), of("sync_log"), of("end")), (1, 4, 1));
    assert!(of("rejected") >= 1);
}

#[tokio::test]
async fn the_csv_export_contains_the_same_records_by_column() {
    let (stage, alice) = with_everything().await;

    let answer = alice.get("export", "?format=csv").await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut table = csv::Reader::from_reader(answer.text.as_bytes());
    let head: Vec<String> = table.headers().unwrap().iter().map(str::to_owned).collect();
    let mut rows: BTreeMap<String, Vec<BTreeMap<String, String>>> = BTreeMap::new();
    for row in table.records() {
        let row = row.unwrap();
        let cells = head.iter().cloned().zip(row.iter().map(str::to_owned));
        let cells: BTreeMap<String, String> = cells.collect();
        rows.entry(cells["data_type"].clone())
            .or_default()
            .push(cells);
    }
    for kind in TYPES {
        let stored = stage.rows().await.count(&format!("whoop_{kind}"));
        assert_eq!(rows[kind].len(), stored, "{kind}");
        for row in &rows[kind] {
            assert!(
                !row["id"].is_empty() && !row["local_date"].is_empty(),
                "{row:?}"
            );
        }
    }
    let sleep = &rows["sleep"][0];
    let sql = "SELECT to_jsonb(s)->>'respiratory_rate' FROM whoop_sleep s WHERE id = $1";
    let stored = stage
        .db
        .client()
        .await
        .query_one(sql, &[&sleep["id"]])
        .await
        .unwrap();
    let stored: Option<String> = stored.get(0);
    assert_eq!(sleep["respiratory_rate"], stored.unwrap_or_default());
    assert_eq!(sleep["day_strain"], "", "no column of a sleep");
    let member: Value = serde_json::from_str(&rows["member"][0]["extra"]).unwrap();
    assert_eq!(member["user_id"], "alice");
    assert_eq!(rows["sync_log"].len(), 4);
    assert!(!rows["rejected"].is_empty());
}

#[tokio::test]
async fn an_unknown_member_or_format_cannot_be_exported() {
    let (stage, alice) = Stage::with_member().await;

    let answer = stage.member("stranger").get("export", "").await;
    answer.assert_problem(404, "never-connected");
    let answer = alice.get("export", "?format=xlsx").await;
    answer.assert_invalid("invalid-format", "format");

    // A member can still export their data after they have disconnected.
    alice.delete("").await.expect(200);
    let answer = alice.get("export", "").await;
    assert!(answer.text.contains(r#"{"records":"#), "{}", answer.text);
    alice.delete("?erase=true").await.expect(200);
    alice
        .get("export", "")
        .await
        .assert_problem(404, "never-connected");
}

#[tokio::test]
async fn an_export_ends_early_if_the_database_fails() {
    let (stage, alice) = Stage::with_member().await;
    multiply(&stage.db, &["alice"], 4_000).await;
    let answer = open_export(&alice).await;
    assert_eq!(answer.status(), 200);
    let mut body = answer.bytes_stream();
    body.next().await.unwrap().unwrap();

    stage
        .execute("ALTER TABLE whoop_workout RENAME COLUMN id TO gone")
        .await;

    let mut text = Vec::new();
    let mut failed = false;
    while let Some(part) = body.next().await {
        match part {
            Ok(part) => text.extend(part),
            Err(_) => failed = true,
        }
    }
    assert!(failed, "the export ended without an error");
    let text = String::from_utf8_lossy(&text);
    assert!(!text.contains(r#""type":"end""#));
    // The failed export has given back its permit.
    stage
        .execute("ALTER TABLE whoop_workout RENAME COLUMN gone TO id")
        .await;
    let again = alice.get("export", "").await;
    assert!(
        again.text.ends_with("\"type\":\"end\"}\n"),
        "{}",
        &again.text[again.text.len() - 80..]
    );
}

#[tokio::test]
async fn too_many_concurrent_exports_are_refused() {
    let config = SimConfig {
        people: 5,
        ..two_months()
    };
    let stage = Stage::with(config).await;
    let mut members = Vec::new();
    for (index, name) in ["alice", "bob", "carol", "dave", "erin"].iter().enumerate() {
        members.push(stage.connect_person(name, index).await);
    }
    multiply(&stage.db, &["alice", "bob", "carol", "dave"], 5_000).await;
    let mut open = Vec::new();
    for member in &members[..4] {
        open.push(open_export(member).await);
    }

    let fifth = members[4].get("export", "").await;
    fifth.assert_problem(503, "busy");
    assert!(fifth.header("retry-after").is_some());
    // Other requests are still answered.
    members[4].day("").await;

    // A caller who closes the download frees its permit.
    drop(open);
    until("another export is accepted", || async {
        members[4].get("export", "?format=csv").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn an_export_that_is_not_read_does_not_block_other_members() {
    let (stage, alice) = Stage::with_member().await;
    let bob = stage.connect_person("bob", 1).await;
    multiply(&stage.db, &["alice"], 10_000).await;
    let unread = open_export(&alice).await;
    assert_eq!(unread.status(), 200);

    for _ in 0..5 {
        let second = alice.get("export", "").await;
        second.assert_problem(429, "export-running");
        let seconds: u64 = second.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    // A service key cannot start a second export of the same member, either. Another member can
    // start an export.
    let service = stage.service_for("alice").get("export", "").await;
    service.assert_problem(429, "export-running");
    let others = bob.get("export", "").await;
    others.assert_status(200);

    drop(unread);
    until("the member's export has ended", || async {
        open_export(&alice).await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn the_next_export_may_begin_right_after_the_previous_one_ended() {
    let (_stage, member) = with_everything().await;

    for _ in 0..100 {
        let export = open_export(&member).await;
        assert_eq!(export.status(), 200);
        export.bytes().await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_export_keeps_no_permit() {
    let stage = Stage::new().await;
    let alice = stage.member("alice");

    for _ in 0..6 {
        let refused = alice.get("export", "").await;
        refused.assert_problem(404, "never-connected");
    }
}

/// Inserts `times` copies of one record of each data type for each of these members, with other
/// ids. They simulate many years of data.
async fn multiply(db: &TestDb, members: &[&str], times: u32) {
    let client = db.client().await;
    for kind in TYPES {
        let table = format!("whoop_{kind}");
        let columns: Vec<String> = client
            .query(
                "SELECT column_name::text FROM information_schema.columns \
                 WHERE table_name = $1 AND is_generated = 'NEVER' AND column_name NOT IN ('id', 'created_at')",
                &[&table],
            )
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        let columns = columns.join(", ");
        let sql = format!(
            "INSERT INTO {table} (id, created_at, {columns}) \
             SELECT (1000000000 + n)::text, created_at - n * interval '1 minute', {columns} \
             FROM (SELECT DISTINCT ON (user_id) * FROM {table} WHERE user_id = ANY($1)) one, generate_series(1, {times}) n"
        );
        client.execute(&sql, &[&members]).await.unwrap();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_export_of_eighty_thousand_records_needs_a_few_megabytes_of_memory() {
    let resident_kb = |pid: u32| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let db = TestDb::new().await;
    let sim = simulator().await;
    let api = RunningApi::start(db.url(), &sim, "warn").await;
    let alice = Member::new(&api.client, "alice");
    let consent = alice.begin(&json!({})).await;
    let person = sim.world().people()[0];
    consent
        .given_by(&api.client, person)
        .await
        .follow(&api.client)
        .await
        .expect(200);
    alice.is_read().await;
    // The first export makes the allocations that happen only once, so that they are not measured.
    alice.get("export", "").await;
    multiply(&db, &["alice"], 20_000).await;
    let before = resident_kb(api.pid());

    let answer = open_export(&alice).await;
    let mut body = answer.bytes_stream();
    let (mut bytes, mut lines, mut most) = (0_usize, 0_usize, before);
    while let Some(part) = body.next().await {
        let part = part.unwrap();
        bytes += part.len();
        lines += part.iter().filter(|byte| **byte == b'\n').count();
        most = most.max(resident_kb(api.pid()));
    }

    assert!(
        lines > 80_000 && bytes > 30_000_000,
        "{lines} lines, {bytes} bytes"
    );
    let grown = most - before;
    assert!(grown < 24_000, "{grown} kB more for {bytes} bytes");
}

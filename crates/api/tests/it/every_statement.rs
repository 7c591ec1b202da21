//! Each SQL statement that an app request causes contains the user id of the member.
//!
//! Operators who distribute the tables over several servers by member rely on this.

use std::collections::BTreeSet;

use rustix::process::Signal;
use whoop_devkit::TestDb;

use crate::harness::{Member, RunningApi, simulator};

/// Tables with rows that belong to a member.
const OF_MEMBERS: [&str; 9] = [
    "whoop_users",
    "whoop_tokens",
    "whoop_cycle",
    "whoop_recovery",
    "whoop_sleep",
    "whoop_workout",
    "whoop_sync_log",
    "whoop_change",
    "whoop_rejected_record",
];

/// Returns the statements that the API has sent to PostgreSQL, as its log contains them.
fn statements(log: &str) -> BTreeSet<&str> {
    log.lines()
        .filter(|line| line.contains("whoop_storage::wire"))
        .filter_map(|line| {
            let starts = ["SELECT ", "WITH ", "INSERT ", "UPDATE ", "DELETE "];
            let at = starts.iter().filter_map(|word| line.find(word)).min()?;
            Some(&line[at..])
        })
        .collect()
}

fn names_the_member(statement: &str) -> bool {
    let plain = statement.replace(['"', '\\'], "");
    plain.starts_with("INSERT ")
        // A notification reads and writes no table.
        || plain.starts_with("SELECT pg_notify(")
        || plain.contains("user_id = $")
        || plain.contains("user_id = ANY($")
}

#[tokio::test]
async fn each_statement_of_the_serving_path_contains_the_member() {
    let db = TestDb::new().await;
    let sim = simulator().await;
    let api = RunningApi::start(db.url(), &sim, "info,whoop_storage::wire=trace").await;
    let alice = Member::new(&api.client, "alice");
    let consent = alice.begin(&serde_json::json!({})).await;
    let callback = consent.given_by(&api.client, sim.world().people()[0]).await;
    callback.follow(&api.client).await.assert_status(200);
    alice.is_read().await;

    let today = alice.day("?refresh=force").await["date"]
        .as_str()
        .unwrap()
        .to_owned();
    alice.day(&format!("?date={today}&refresh=auto")).await;
    for (route, rest) in [
        ("range", format!("?from={today}&to={today}")),
        ("records/sleep", format!("?from={today}&to={today}")),
        ("changes", String::new()),
        ("sync-status", String::new()),
        ("connection", String::new()),
        ("export", "?format=ndjson".to_owned()),
    ] {
        alice.get(route, &rest).await.assert_status(200);
    }
    api.signal(Signal::TERM);
    let (_, log) = api.end().await;

    let all = statements(&log);
    let of_members: Vec<&&str> = all
        .iter()
        .filter(|statement| OF_MEMBERS.iter().any(|table| statement.contains(table)))
        .collect();
    // The log contains statements for every table, both reads and writes.
    for table in OF_MEMBERS {
        let is_seen = of_members.iter().any(|statement| statement.contains(table));
        assert!(is_seen, "no statement about {table} in {} bytes", log.len());
    }
    let of_anybody: Vec<&&&str> = of_members
        .iter()
        .filter(|statement| !names_the_member(statement))
        // The background processing of the webhook inbox searches for all members with signals to
        // read.
        .filter(|statement| !statement.contains("FROM whoop_webhook_event"))
        // A process that starts searches for the first syncs of all members that it has to resume.
        .filter(|statement| !statement.contains("first_sync_pending\\\" AND"))
        .collect();
    assert!(of_anybody.is_empty(), "{of_anybody:#?}");
}

use serde_json::Value;

use crate::house::{House, plenty};

#[tokio::test]
async fn json_output_is_one_object_with_all_counts() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;

    let ended = house.worker(&["run", "--slot=morning", "--json"]).await;

    let report = ended.expect_code(0).json();
    let number = |name: &str| {
        report[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name} in {report:#}"))
    };
    assert_eq!(report["slot"], "morning");
    assert_eq!(report["stopped"], false);
    for (name, value) in [
        ("members", 1),
        ("synced", 1),
        ("failed", 0),
        ("deferred", 0),
        ("updated", 0),
        ("rejected", 0),
        ("exit_code", 0),
    ] {
        assert_eq!(number(name), value, "{name}");
    }
    let calls = house.world().calls();
    assert_eq!(number("calls"), calls.len() as u64);
    let types = report["reports"][0]["types"].as_array().unwrap();
    let inserted: u64 = types
        .iter()
        .map(|one| one["inserted"].as_u64().unwrap())
        .sum();
    assert_eq!(inserted, number("inserted"));
    assert!(inserted > 40);
    assert!(types.iter().all(|one| one["error"] == Value::Null));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_set_aside_and_counted() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house.world().add_fault(whoop_sim::Fault {
        times: Some(1),
        ..whoop_sim::Fault::new("sleep", whoop_sim::FaultKind::BrokenRecord)
    });

    let ended = house
        .worker(&["run", "--slot=morning", "--data-type=sleep", "--json"])
        .await;

    let report = ended.expect_code(0).json();
    assert_eq!(report["rejected"], 1);
    assert_eq!(
        house
            .count("SELECT count(*) FROM whoop_rejected_record")
            .await,
        1
    );
}

#[tokio::test]
async fn a_json_log_has_one_line_for_each_member_and_one_for_the_run() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house.connect("bob", 1).await;

    let ended = house
        .worker(&["run", "--slot=morning", "--log-format=json"])
        .await;

    ended.expect_code(0);
    assert_eq!(ended.stdout, "");
    let lines: Vec<Value> = ended
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let count = |message: &str| {
        lines
            .iter()
            .filter(|line| line["message"] == message)
            .count()
    };
    assert_eq!(count("member synced"), 2, "{lines:#?}");
    assert_eq!(count("run finished"), 1, "{lines:#?}");
}

#[tokio::test]
async fn a_run_writes_its_metrics_file_and_no_other_file() {
    let house = House::new(plenty()).await;
    house.connect("ann", 0).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("whoop.prom");
    let flag = format!("--metrics-file={}", path.display());

    house
        .worker(&["run", "--slot=night", "--user=ann", &flag])
        .await
        .expect_code(0);

    let text = std::fs::read_to_string(&path).unwrap();
    for line in [
        "whoop_users{status=\"connected\"} 1",
        "whoop_sync_run_members{outcome=\"synced\"} 1",
        "whoop_upstream_budget_remaining{window=\"day\"}",
        "whoop_sync_records_total{data_type=\"sleep\",outcome=\"unchanged\"}",
        "whoop_sync_run_finished_timestamp_seconds",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);

    let nowhere = "--metrics-file=/no/such/place/whoop.prom";
    let ended = house
        .worker(&["run", "--slot=night", "--user=ann", nowhere])
        .await;
    ended
        .expect_code(0)
        .expect_in_stderr("/no/such/place/whoop.prom could not be written");
}

/// A script that stores the result has to notice that there is none.
#[cfg(target_os = "linux")] // Only Linux has a device that is always full.
#[tokio::test]
async fn a_result_that_cannot_be_written_because_the_disk_is_full_ends_with_1() {
    use crate::house::{bare_command, ended};

    for args in [
        vec!["completions", "bash"],
        vec!["capacity", "--users=5", "--days=1", "--json"],
    ] {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut command = bare_command(&args);
        command.stdout(full);

        let ended = ended(command.spawn().unwrap()).await;

        ended
            .expect_code(1)
            .expect_in_stderr("could not be written");
    }
}

//! Keys are changed while the service runs, and no member has to connect again.

use whoop_sim::{Fault, FaultKind, SimConfig};

use crate::house::{Ended, House, ended, plenty};

const OLD: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NEW: &str = "k2:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
const STRANGE: &str = "k3:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

async fn with_keys(house: &House, keys: &str, args: &[&str]) -> Ended {
    let child = house.command(args).env("TOKEN_KEYS", keys).spawn().unwrap();
    let ended = ended(child).await;
    for key in [OLD, NEW, STRANGE] {
        let secret = key.split_once(':').unwrap().1;
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret));
    }
    ended
}

async fn sealed_with(house: &House) -> Vec<String> {
    house
        .texts("SELECT key_id || ' ' || md5(sealed) FROM whoop_tokens ORDER BY user_id")
        .await
}

#[tokio::test]
async fn after_a_rotation_the_old_key_is_not_needed() {
    let house = House::new(plenty()).await;
    house.connect("mara", 0).await;
    house.connect("noa", 1).await;
    let both = format!("{NEW},{OLD}");
    let before = sealed_with(&house).await;

    let planned = with_keys(&house, &both, &["keys", "rotate", "--dry-run", "--json"]).await;
    assert_eq!(planned.expect_code(0).json()["outdated"], 2);
    assert_eq!(sealed_with(&house).await, before);

    // The command needs only the database and the keys.
    let mut command = house.command(&["keys", "rotate", "--json"]);
    for name in [
        "WHOOP_CLIENT_ID",
        "WHOOP_CLIENT_SECRET",
        "WHOOP_REDIRECT_URL",
    ] {
        command.env_remove(name);
    }
    let rotated = ended(command.env("TOKEN_KEYS", &both).spawn().unwrap()).await;
    let rotated = rotated.expect_code(0).json();
    assert_eq!(rotated["resealed"], 2);
    assert_eq!(
        rotated["in_use"],
        serde_json::json!([{"key": "k2", "rows": 2}])
    );

    let again = with_keys(&house, &both, &["keys", "rotate"]).await;
    again.expect_code(0);
    assert!(again.stdout.contains("nothing to do"), "{again:#?}");
    assert!(again.stdout.contains("can be removed"), "{again:#?}");

    house.world().oauth().expire_access_tokens();
    house.an_hour_passes().await;
    let run = with_keys(&house, NEW, &["run", "--slot=night", "--json"]).await;
    assert_eq!(run.expect_code(0).json()["synced"], 2);
}

#[tokio::test]
async fn a_different_key_with_the_same_id_is_detected_before_the_old_one_is_removed() {
    let house = House::new(plenty()).await;
    house.connect("mara", 0).await;
    let (_, secret) = STRANGE.split_once(':').unwrap();
    let other = format!("k1:{secret}");

    let rotated = with_keys(&house, &other, &["keys", "rotate"]).await;
    let doctor = with_keys(&house, &other, &["doctor"]).await;

    rotated.expect_code(3);
    assert!(rotated.stdout.contains("not sealed: mara"), "{rotated:#?}");
    assert!(!rotated.stdout.contains("can be removed"), "{rotated:#?}");
    doctor.expect_code(3);
    let expected = "k1 does not open 1 of 1 row(s)";
    assert!(doctor.stdout.contains(expected), "{doctor:#?}");
}

#[tokio::test]
async fn a_rotation_during_refreshes_loses_no_token_pair() {
    let people = 6;
    let house = House::new(SimConfig { people, ..plenty() }).await;
    for person in 0..people {
        house.connect(&format!("member-{person}"), person).await;
    }
    let both = format!("{NEW},{OLD}");
    house.world().add_fault(Fault {
        millis: Some(150),
        ..Fault::new("token", FaultKind::Latency)
    });
    for _ in 0..3 {
        // Seals with the old key again, so that there is something to rotate.
        with_keys(&house, &format!("{OLD},{NEW}"), &["keys", "rotate"])
            .await
            .expect_code(0);
        house.world().oauth().expire_access_tokens();
        house.an_hour_passes().await;

        let (run, rotated) = tokio::join!(
            with_keys(
                &house,
                &both,
                &["run", "--slot=morning", "--parallel=2", "--json"]
            ),
            with_keys(&house, &both, &["keys", "rotate", "--json"]),
        );

        assert_eq!(run.expect_code(0).json()["synced"], people);
        rotated.expect_code(0);
    }
    for grant in house.world().oauth().grants() {
        assert_eq!((grant.refreshes, grant.reuses), (3, 0));
    }
    house.world().oauth().expire_access_tokens();
    house.an_hour_passes().await;
    let run = with_keys(&house, NEW, &["run", "--slot=morning", "--json"]).await;
    assert_eq!(run.expect_code(0).json()["synced"], people);
}

#[tokio::test]
async fn a_row_that_no_key_opens_is_named_and_not_changed() {
    let house = House::new(plenty()).await;
    house.connect("mara", 0).await;
    let before = sealed_with(&house).await;

    let rotated = with_keys(&house, STRANGE, &["keys", "rotate", "--json"]).await;

    let rotated = rotated.expect_code(3).json();
    assert_eq!(rotated["failed"][0]["owner"], "mara");
    let reason = rotated["failed"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("k1") && reason.contains("TOKEN_KEYS"),
        "{reason}"
    );
    assert_eq!(sealed_with(&house).await, before);
    let run = with_keys(&house, OLD, &["run", "--slot=night", "--json"]).await;
    assert_eq!(run.expect_code(0).json()["synced"], 1);
}

#[tokio::test]
async fn invalid_keys_are_refused_before_anything_is_changed() {
    let house = House::new(plenty()).await;

    for keys in ["", "k1", "k1:short"] {
        let refused = with_keys(&house, keys, &["keys", "rotate"]).await;
        refused.expect_code(1).expect_in_stderr("TOKEN_KEYS");
    }
}

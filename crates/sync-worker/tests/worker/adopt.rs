//! The legacy import: members from databases in each of the legacy service's shapes, with valid and
//! dead tokens, and broken and half-empty rows.

use std::{sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use whoop_client::{WhoopClient, WhoopConfig};
use whoop_core::SystemClock;
use whoop_devkit::TestDb;
use whoop_sim::{Fault, FaultKind, ReuseMode, SimConfig, SimServer};

use crate::house::{Ended, House, REDIRECT_URL, SCOPES, plenty};

const MARA: &str = "0d0f4b2e-6f0a-4c55-9a51-3d3a3b1a7c11";
const NOA: &str = "1e1f4b2e-6f0a-4c55-9a51-3d3a3b1a7c22";
const ADA: &str = "2f2f4b2e-6f0a-4c55-9a51-3d3a3b1a7c33";

/// Tables that all shapes have: records with keys of their own and rounded values, and `raw_data`.
const RECORDS: &str = "
    CREATE TABLE whoop_recovery (id TEXT PRIMARY KEY, user_id UUID, recovery_score INTEGER,
        raw_data JSONB, fetched_at TIMESTAMPTZ DEFAULT now());
    CREATE TABLE whoop_sleep (id TEXT PRIMARY KEY, user_id UUID, cycle_id INTEGER,
        raw_data JSONB, fetched_at TIMESTAMPTZ DEFAULT now());
    CREATE TABLE whoop_workout (id TEXT PRIMARY KEY, user_id UUID, calories_burned NUMERIC(8,2),
        raw_data JSONB, fetched_at TIMESTAMPTZ DEFAULT now());
    CREATE TABLE whoop_cycle (id TEXT PRIMARY KEY, user_id UUID, day_strain NUMERIC(5,2),
        raw_data JSONB, fetched_at TIMESTAMPTZ DEFAULT now());
    CREATE TABLE whoop_sync_log (id UUID PRIMARY KEY DEFAULT gen_random_uuid(), user_id UUID,
        sync_status TEXT, last_sync_at TIMESTAMPTZ);";

/// Newer shape: the tokens are in the row of the user, which also has the id of the Supabase user.
const NEWER: &str = "
    CREATE TABLE whoop_users (id UUID PRIMARY KEY DEFAULT gen_random_uuid(), user_id UUID UNIQUE,
        whoop_user_id TEXT UNIQUE, access_token TEXT, refresh_token TEXT,
        token_expires_at TIMESTAMPTZ, scopes TEXT[], is_active BOOLEAN DEFAULT TRUE);";

/// Older shape: the tokens are in a separate table, and no table has a member's WHOOP user id.
const OLDER: &str = "
    CREATE TABLE whoop_users (id UUID PRIMARY KEY, email TEXT);
    CREATE TABLE whoop_oauth_tokens (id BIGSERIAL PRIMARY KEY,
        user_id UUID REFERENCES whoop_users (id) ON DELETE CASCADE, access_token TEXT,
        refresh_token TEXT, expires_at TIMESTAMP, scope TEXT);";

/// JSON tables of even older versions: one has each row's user id, the other has none.
const STORES: &str = "
    CREATE TABLE whoop_data (id SERIAL PRIMARY KEY, raw_data JSONB);
    CREATE TABLE whoop_raw_data (id SERIAL PRIMARY KEY, user_id UUID, data_type TEXT, raw_data JSONB);";

/// Number of stored records of all data types.
const STORED: &str =
    "SELECT (SELECT count(*) FROM whoop_cycle) + (SELECT count(*) FROM whoop_sleep)
    + (SELECT count(*) FROM whoop_recovery) + (SELECT count(*) FROM whoop_workout)";

/// Returns a fault that delays every response of WHOOP.
fn slow() -> Fault {
    Fault {
        millis: Some(100),
        ..Fault::new("*", FaultKind::Latency)
    }
}

/// A token pair that WHOOP accepts.
struct Pair {
    access: String,
    refresh: String,
}

/// Creates a database of the legacy service, before this service has created any table in it.
async fn legacy_database(shape: &str) -> House {
    let house = House {
        db: TestDb::empty().await,
        sim: SimServer::start(SimConfig {
            people: 3,
            ..plenty()
        })
        .await
        .unwrap(),
    };
    house.execute(shape).await;
    house.execute(RECORDS).await;
    house
}

impl House {
    fn person(&self, index: usize) -> i64 {
        self.world().people()[index]
    }

    /// Gets a token pair by OAuth, as the legacy service did.
    async fn tokens(&self, whoop_user_id: i64) -> Pair {
        let config = SimConfig::default();
        let whoop = WhoopConfig {
            client_id: config.client_id,
            client_secret: config.client_secret.into(),
            redirect_url: REDIRECT_URL.parse().unwrap(),
            api_url: self.sim.api_url().parse().unwrap(),
            oauth_url: self.sim.oauth_url().parse().unwrap(),
        };
        let whoop = WhoopClient::new(whoop, Arc::new(SystemClock)).unwrap();
        let code = self.world().oauth().issue_code(whoop_user_id, &SCOPES);
        let pair = whoop.exchange_code(&code).await.unwrap();
        Pair {
            access: pair.access_token.expose_secret().to_owned(),
            refresh: pair.refresh_token.unwrap().expose_secret().to_owned(),
        }
    }

    async fn newer_user(
        &self,
        user: &str,
        number: Option<i64>,
        pair: &Pair,
        expires: &str,
        is_active: bool,
    ) {
        let number = number.map_or_else(|| "NULL".to_owned(), |number| format!("'{number}'"));
        self.execute(&format!(
            "INSERT INTO whoop_users (user_id, whoop_user_id, access_token, refresh_token, token_expires_at, scopes, is_active)
             VALUES ('{user}', {number}, '{}', '{}', {expires}, '{{{}}}', {is_active})",
            pair.access, pair.refresh, SCOPES.join(",")
        ))
        .await;
    }

    /// Adds a user of the older shape: the tokens are in a separate table, without a WHOOP user id.
    async fn older_user(&self, user: &str, pair: &Pair) {
        self.execute(&format!(
            "INSERT INTO whoop_users VALUES ('{user}', 'member@mail.example');
             INSERT INTO whoop_oauth_tokens (user_id, access_token, refresh_token, expires_at, scope)
             VALUES ('{user}', '{}', '{}', now() + interval '1 hour', '{}')",
            pair.access,
            pair.refresh,
            SCOPES.join(" ")
        ))
        .await;
    }

    /// Adds a person's newest records as the legacy service stored them. Returns the number of
    /// rows.
    async fn records_of(&self, user: &str, whoop_user_id: i64, each: usize) -> usize {
        let truth = self.world().records().truth(whoop_user_id);
        let client = self.db.client().await;
        let mut rows = 0;
        for (list, table) in [
            ("cycles", "whoop_cycle"),
            ("recoveries", "whoop_recovery"),
            ("sleeps", "whoop_sleep"),
            ("workouts", "whoop_workout"),
        ] {
            for record in truth[list].as_array().unwrap().iter().take(each) {
                let key = record.get("id").unwrap_or(&record["cycle_id"]).to_string();
                client
                    .execute(
                        &format!("INSERT INTO {table} (id, user_id, raw_data) VALUES ($1, $2::TEXT::UUID, $3::TEXT::JSONB)"),
                        &[&key.trim_matches('"'), &user, &record.to_string()],
                    )
                    .await
                    .unwrap();
                rows += 1;
            }
        }
        rows
    }

    async fn adopt(&self, code: i32) -> Value {
        self.worker(&["adopt", "--json"])
            .await
            .expect_code(code)
            .json()
    }

    async fn migrated(&self) -> Ended {
        self.worker(&["migrate"]).await
    }
}

fn member_report<'a>(report: &'a Value, user: &str) -> &'a Value {
    let members = report["members"].as_array().unwrap();
    members
        .iter()
        .find(|one| one["user_id"] == user)
        .unwrap_or_else(|| panic!("no {user} in {report}"))
}

fn imported_count(member: &Value) -> u64 {
    member["records"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_u64)
        .sum()
}

#[tokio::test]
async fn a_valid_connection_is_imported_without_a_refresh_and_the_next_run_reads_the_rest() {
    let house = legacy_database(NEWER).await;
    let person = house.person(0);
    let pair = house.tokens(person).await;
    house
        .newer_user(MARA, Some(person), &pair, "now() + interval '1 hour'", true)
        .await;
    let rows = house.records_of(MARA, person, 30).await;
    house
        .execute(&format!(
            "INSERT INTO whoop_sleep (id, user_id, raw_data) VALUES
                 ('half', '{MARA}', '{{\"id\": \"half\", \"score\": 80}}'), ('none', '{MARA}', NULL),
                 ('empty', '{MARA}', '{{}}'), ('list', '{MARA}', '[]'), ('nobody', NULL, NULL)"
        ))
        .await;
    house.migrated().await.expect_code(0);

    let dry = house.worker(&["adopt", "--dry-run", "--json"]).await;
    let dry = dry.expect_code(0).json();
    assert_eq!(member_report(&dry, MARA)["outcome"], "connected");
    assert_eq!(house.count("SELECT count(*) FROM whoop_users").await, 0);
    house.world().reset_calls();
    let report = house.adopt(0).await;

    let mara = member_report(&report, MARA);
    assert_eq!(mara["outcome"], "connected");
    assert_eq!(imported_count(mara), rows as u64);
    assert_eq!(mara["records"], member_report(&dry, MARA)["records"]);
    assert_eq!(mara["read_again"], json!({"sleep": 4}));
    assert_eq!(report["of_nobody"], 1);
    assert_eq!(
        (report["calls"].clone(), house.world().call_count()),
        (json!(1), 1)
    );
    assert_eq!(house.world().oauth().refresh_count(person), 0);
    let sealed = house
        .texts("SELECT encode(sealed, 'escape') FROM whoop_tokens")
        .await;
    assert!(!sealed[0].contains(&pair.access) && !sealed[0].contains(&pair.refresh));
    // The imported records equal WHOOP's, so a night run reads only what is missing.
    let night = house.worker(&["run", "--slot=night", "--json"]).await;
    assert_eq!(night.expect_code(0).json()["failed"], 0);
    house.expect_truth(MARA, person).await;
}

#[tokio::test]
async fn a_second_import_changes_nothing_and_restores_nothing() {
    let house = legacy_database(NEWER).await;
    let person = house.person(0);
    let pair = house.tokens(person).await;
    house
        .newer_user(MARA, Some(person), &pair, "now() + interval '1 hour'", true)
        .await;
    house.records_of(MARA, person, 20).await;
    house.migrated().await.expect_code(0);
    house.adopt(0).await;
    // WHOOP deletes a record, and the next read deletes it here.
    let workout = house.world().records().truth(person)["workouts"][3]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    house
        .world()
        .records()
        .delete(person, whoop_sim::SimDataType::Workout, &workout)
        .unwrap();
    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    let before = house.row_versions().await;

    let again = house.adopt(0).await;

    assert_eq!(member_report(&again, MARA)["outcome"], "already");
    assert_eq!(again["calls"], 0);
    assert_eq!(house.row_versions().await, before);
    let deleted = format!("SELECT count(*) FROM whoop_workout WHERE id = '{workout}'");
    assert_eq!(house.count(&deleted).await, 0);

    house
        .worker(&["users", "erase", MARA, "--yes"])
        .await
        .expect_code(0);
    assert_eq!(
        member_report(&house.adopt(0).await, MARA)["outcome"],
        "already"
    );
    assert_eq!(house.count("SELECT count(*) FROM whoop_users").await, 0);
}

#[tokio::test]
async fn an_older_shape_takes_one_refresh_and_identifies_the_member() {
    let house = legacy_database(OLDER).await;
    let person = house.person(1);
    let pair = house.tokens(person).await;
    house
        .execute(&format!(
            "INSERT INTO whoop_users VALUES ('{NOA}', 'noa@mail.example'), ('{ADA}', 'ada@mail.example');
             INSERT INTO whoop_oauth_tokens (user_id, access_token, refresh_token, expires_at, scope) VALUES
                 ('{NOA}', 'an older access token', 'used', '2024-01-01', 'offline'),
                 ('{NOA}', '{}', '{}', '2025-01-01', '{}')",
            pair.access, pair.refresh, SCOPES.join(" ")
        ))
        .await;
    house.migrated().await.expect_code(0);

    let report = house.adopt(0).await;

    assert_eq!(member_report(&report, NOA)["outcome"], "connected");
    assert_eq!(member_report(&report, ADA)["outcome"], "nothing");
    assert_eq!(house.world().oauth().refresh_count(person), 1);
    let account =
        format!("SELECT whoop_user_id || ' ' || email FROM whoop_users WHERE user_id = '{NOA}'");
    assert_eq!(
        house.texts(&account).await,
        [format!("{person} member2@example.test")]
    );
    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    house.expect_truth(NOA, person).await;
    assert_eq!(house.world().oauth().refresh_count(person), 1);
}

#[tokio::test]
async fn the_json_tables_of_the_oldest_versions_are_imported() {
    let house = legacy_database(NEWER).await;
    house.execute(STORES).await;
    let (person, other) = (house.person(0), house.person(1));
    let pair = house.tokens(person).await;
    house.newer_user(MARA, None, &pair, "NULL", true).await;
    let truth = house.world().records().truth(person);
    let first = |list: &str, count: usize| -> Vec<Value> {
        truth[list]
            .as_array()
            .unwrap()
            .iter()
            .take(count)
            .cloned()
            .collect()
    };
    let foreign = &house.world().records().truth(other)["sleeps"][0];
    let client = house.db.client().await;
    for (table, owner, raw) in [
        (
            "whoop_raw_data",
            Some(MARA),
            json!({"records": first("cycles", 25), "next_token": "x"}),
        ),
        ("whoop_raw_data", Some(MARA), json!(first("sleeps", 25))),
        ("whoop_raw_data", Some(MARA), json!([foreign])),
        (
            "whoop_raw_data",
            Some(MARA),
            json!({"message": "rate limited"}),
        ),
        (
            "whoop_data",
            None,
            json!({"records": first("recoveries", 25)}),
        ),
        ("whoop_data", None, first("workouts", 1)[0].clone()),
    ] {
        let (columns, values) = match owner {
            Some(owner) => ("user_id, raw_data", format!("'{owner}', $1::TEXT::JSONB")),
            None => ("raw_data", "$1::TEXT::JSONB".to_owned()),
        };
        let sql = format!("INSERT INTO {table} ({columns}) VALUES ({values})");
        client.execute(&sql, &[&raw.to_string()]).await.unwrap();
    }
    house.migrated().await.expect_code(0);

    let report = house.adopt(0).await;

    let mara = member_report(&report, MARA);
    assert_eq!(mara["outcome"], "connected");
    // The table without user ids is read only if the member's WHOOP user id is known. Here most of
    // the records show it, although the stranger's night is among them.
    assert_eq!(mara["records"]["cycle"], 25);
    assert_eq!(mara["records"]["recovery"], 25);
    assert_eq!(mara["records"]["workout"], 1);
    assert_eq!(mara["set_aside"], 1);
    assert_eq!(mara["read_again"], json!({"unknown": 1}));
    let reasons =
        format!("SELECT DISTINCT reason FROM whoop_rejected_record WHERE user_id = '{MARA}'");
    assert_eq!(
        house.texts(&reasons).await,
        [format!(
            "user_id: the record belongs to WHOOP member {other}"
        )]
    );
    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    house.expect_truth(MARA, person).await;
}

#[tokio::test]
async fn a_member_that_cannot_be_connected_keeps_the_records_and_is_named() {
    let house = legacy_database(NEWER).await;
    let (one, two, three) = (house.person(0), house.person(1), house.person(2));
    let dead = Pair {
        access: "dead".to_owned(),
        refresh: "dead too".to_owned(),
    };
    house
        .newer_user(MARA, Some(one), &dead, "now() - interval '1 day'", true)
        .await;
    house.records_of(MARA, one, 10).await;
    let inactive = house.tokens(two).await;
    house
        .newer_user(
            NOA,
            Some(two),
            &inactive,
            "now() + interval '1 hour'",
            false,
        )
        .await;
    house.records_of(NOA, two, 10).await;
    // Tokens of one account in a row with the WHOOP user id of another.
    let mixed = house.tokens(three).await;
    house
        .newer_user(ADA, Some(4711), &mixed, "now() + interval '1 hour'", true)
        .await;
    house.migrated().await.expect_code(0);

    let ended = house.worker(&["adopt"]).await;

    ended.expect_code(3);
    assert!(
        ended
            .stdout
            .contains("2 member(s) were imported, and have to connect again"),
        "{ended:#?}"
    );
    assert!(
        ended
            .stdout
            .contains(&format!("{MARA} has to connect again")),
        "{ended:#?}"
    );
    let statuses = "SELECT user_id || ' ' || status FROM whoop_users ORDER BY user_id";
    assert_eq!(
        house.texts(statuses).await,
        [
            format!("{MARA} reauth_required"),
            format!("{NOA} disconnected"),
            format!("{ADA} reauth_required")
        ]
    );
    assert_eq!(house.count("SELECT count(*) FROM whoop_cycle").await, 20);
    let tokens = format!("SELECT count(*) FROM whoop_tokens WHERE user_id = '{NOA}'");
    assert_eq!(house.count(&tokens).await, 0);
}

#[tokio::test]
async fn an_outage_of_whoop_defers_the_import_and_loses_no_token() {
    let house = legacy_database(NEWER).await;
    let person = house.person(0);
    let pair = house.tokens(person).await;
    house
        .newer_user(
            MARA,
            Some(person),
            &pair,
            "now() - interval '1 minute'",
            true,
        )
        .await;
    house.records_of(MARA, person, 10).await;
    house.migrated().await.expect_code(0);
    // The refresh succeeds, but the call with the new token fails.
    house.world().add_fault(Fault::status("profile", 503));
    let deferred =
        tokio::time::timeout(Duration::from_secs(300), house.worker(&["adopt", "--json"]));
    let report = deferred.await.unwrap().expect_code(4).json();
    assert_eq!(member_report(&report, MARA)["outcome"], "put_off");
    house.world().clear_faults();

    let report = house.adopt(0).await;

    assert_eq!(member_report(&report, MARA)["outcome"], "connected");
    assert!(imported_count(member_report(&report, MARA)) > 0);
    assert_eq!(house.world().oauth().refresh_count(person), 1);
    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    house.expect_truth(MARA, person).await;
}

/// Prepares the import of two members with expired access tokens. Returns the number of their
/// records as well.
async fn two_with_expired_tokens() -> (House, i64) {
    let house = legacy_database(NEWER).await;
    let mut rows = 0;
    for (user, index) in [(MARA, 0), (NOA, 1)] {
        let person = house.person(index);
        let pair = house.tokens(person).await;
        let expired = "now() - interval '1 hour'";
        house
            .newer_user(user, Some(person), &pair, expired, true)
            .await;
        rows += house.records_of(user, person, 20).await;
    }
    house.migrated().await.expect_code(0);
    (house, i64::try_from(rows).unwrap())
}

#[tokio::test]
async fn two_concurrent_imports_refresh_once_and_store_everything_once() {
    let (house, rows) = two_with_expired_tokens().await;
    house
        .world()
        .oauth()
        .set_reuse_mode(ReuseMode::FamilyRevoked);
    house.world().add_fault(slow());

    let (one, other) = tokio::join!(house.adopt(0), house.adopt(0));

    for (user, index) in [(MARA, 0), (NOA, 1)] {
        for report in [&one, &other] {
            let outcome = &member_report(report, user)["outcome"];
            assert!(outcome == "connected" || outcome == "already", "{report}");
        }
        assert_eq!(house.world().oauth().refresh_count(house.person(index)), 1);
    }
    assert_eq!(house.count(STORED).await, rows);
    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    house.expect_truth(MARA, house.person(0)).await;
    house.expect_truth(NOA, house.person(1)).await;
}

#[tokio::test]
async fn an_import_that_was_killed_is_completed_by_the_next_one() {
    // Progress at which the process is killed, and the member that may be in a refresh then.
    for (progress, wanted, refreshing) in [
        ("SELECT count(*) FROM whoop_tokens", 1, MARA),
        (
            "SELECT count(*) FROM whoop_users WHERE email IS NOT NULL",
            1,
            NOA,
        ),
        ("SELECT count(*) FROM whoop_cycle", 1, NOA),
        ("SELECT count(*) FROM whoop_workout", 1, NOA),
        ("SELECT count(*) FROM whoop_tokens", 2, NOA),
    ] {
        let (house, rows) = two_with_expired_tokens().await;
        house.world().add_fault(slow());
        let mut running = house.start(&["adopt", "--json"]);
        house.until_at_least(progress, wanted).await;
        running.kill().await.unwrap();
        house.world().clear_faults();
        // The refresh claim of a killed process ends within a minute; here it ends now.
        house
            .execute("UPDATE whoop_refresh SET claimed_until = now()")
            .await;

        let ended = house.worker(&["adopt", "--json"]).await;

        assert_eq!(house.count(STORED).await, rows);
        for (user, index) in [(MARA, 0), (NOA, 1)] {
            let status = format!("SELECT status FROM whoop_users WHERE user_id = '{user}'");
            let status = house.texts(&status).await.remove(0);
            // If WHOOP issued a pair to the killed process, that pair is lost and the old one is
            // dead. The member has to connect again, and the report shows it.
            let is_lost = status == "reauth_required" && refreshing == user;
            assert!(is_lost || status == "connected", "{progress}: {ended:#?}");
            if is_lost {
                let report = ended.expect_code(3).json();
                assert_eq!(member_report(&report, user)["outcome"], "reauth_required");
            }
            let refreshes = house.world().oauth().refresh_count(house.person(index));
            assert_eq!(refreshes, 1, "{progress}: {ended:#?}");
        }
        house.worker(&["run", "--slot=night"]).await.expect_code(0);
    }
}

#[tokio::test]
async fn without_a_legacy_service_there_is_nothing_to_import() {
    let house = House::new(plenty()).await;

    let ended = house.worker(&["adopt"]).await;

    ended.expect_code(0);
    assert!(
        ended.stdout.contains("no tables of the legacy service"),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn no_record_is_read_before_whoop_has_identified_the_member() {
    let house = legacy_database(OLDER).await;
    let person = house.person(0);
    let pair = house.tokens(person).await;
    house.older_user(NOA, &pair).await;
    house.migrated().await.expect_code(0);
    house.world().add_fault(Fault::status("profile", 503));
    let report = house.adopt(4).await;
    assert_eq!(member_report(&report, NOA)["outcome"], "put_off");

    let night = house.worker(&["run", "--slot=night", "--json"]).await;

    assert_eq!(night.expect_code(3).json()["inserted"], 0);
    let covered = "SELECT count(*) FROM whoop_sync_log WHERE covered_from IS NOT NULL";
    assert_eq!(house.count(covered).await, 0);
    let set_aside = "SELECT count(*) FROM whoop_rejected_record";
    assert_eq!(house.count(set_aside).await, 0);

    // The next run identifies the member itself.
    house.world().clear_faults();
    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    house.expect_truth(NOA, person).await;
    assert_eq!(
        member_report(&house.adopt(0).await, NOA)["outcome"],
        "connected"
    );
    house.expect_truth(NOA, person).await;
}

#[tokio::test]
async fn a_member_with_only_dead_tokens_can_connect_again() {
    let house = legacy_database(OLDER).await;
    let dead = Pair {
        access: "dead".to_owned(),
        refresh: "dead too".to_owned(),
    };
    house.older_user(NOA, &dead).await;
    house.migrated().await.expect_code(0);
    let report = house.adopt(3).await;
    assert_eq!(member_report(&report, NOA)["outcome"], "reauth_required");

    let person = house.connect(NOA, 0).await;

    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    house.expect_truth(NOA, person).await;
}

#[tokio::test]
async fn an_erased_member_is_not_imported_afterwards() {
    let house = legacy_database(NEWER).await;
    let person = house.person(0);
    let pair = house.tokens(person).await;
    house
        .newer_user(MARA, Some(person), &pair, "now() + interval '1 hour'", true)
        .await;
    house.records_of(MARA, person, 10).await;
    house.migrated().await.expect_code(0);
    house.world().add_fault(Fault::status("profile", 503));
    assert_eq!(
        member_report(&house.adopt(4).await, MARA)["outcome"],
        "put_off"
    );
    house.world().clear_faults();
    house
        .worker(&["users", "erase", MARA, "--yes"])
        .await
        .expect_code(0);

    let report = house.adopt(0).await;

    assert_eq!(member_report(&report, MARA)["outcome"], "already");
    assert_eq!(house.count("SELECT count(*) FROM whoop_users").await, 0);
    assert_eq!(house.count("SELECT count(*) FROM whoop_cycle").await, 0);
}

#[tokio::test]
async fn a_json_table_with_whoop_user_ids_is_imported_by_them() {
    let house = legacy_database(NEWER).await;
    house
        .execute(
            "CREATE TABLE whoop_raw_data (id SERIAL PRIMARY KEY, whoop_user_id INTEGER,
                 data_type TEXT, records JSONB NOT NULL)",
        )
        .await;
    let person = house.person(0);
    let pair = house.tokens(person).await;
    house
        .newer_user(MARA, Some(person), &pair, "now() + interval '1 hour'", true)
        .await;
    let truth = house.world().records().truth(person);
    let sleeps: Vec<&Value> = truth["sleeps"]
        .as_array()
        .unwrap()
        .iter()
        .take(25)
        .collect();
    house
        .db
        .client()
        .await
        .execute(
            &format!("INSERT INTO whoop_raw_data (whoop_user_id, data_type, records) VALUES ({person}, 'sleep', $1::TEXT::JSONB)"),
            &[&json!(sleeps).to_string()],
        )
        .await
        .unwrap();
    house.migrated().await.expect_code(0);

    let report = house.adopt(0).await;

    assert_eq!(
        member_report(&report, MARA)["records"],
        json!({"sleep": 25})
    );
    assert_eq!(member_report(&report, MARA)["read_again"], json!({}));
}

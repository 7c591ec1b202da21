//! `sync-worker users`: list, show, disconnect and erase.

use crate::house::{House, plenty};

async fn with_two() -> House {
    let house = House::new(plenty()).await;
    house.connect("mara", 0).await;
    house.connect("noa", 1).await;
    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    house
}

#[tokio::test]
async fn the_list_shows_all_members_or_those_with_a_status() {
    let house = with_two().await;
    house
        .execute("UPDATE whoop_users SET status = 'reauth_required', status_detail = 'lost' WHERE user_id = 'noa'")
        .await;

    let all = house
        .worker(&["users", "list", "--json"])
        .await
        .expect_code(0)
        .json();
    let members = all["members"].as_array().unwrap();
    assert_eq!(members.len(), 2);
    assert_eq!(
        (&members[0]["user_id"], &members[1]["last_error"]),
        (&"mara".into(), &"lost".into())
    );
    assert!(members[0]["records_synced"].as_i64() > Some(100), "{all}");
    assert!(members[0]["last_sync_at"].is_string(), "{all}");

    let listed = house
        .worker(&["users", "list", "--status=reauth_required"])
        .await;
    listed.expect_code(0);
    assert!(
        listed.stdout.contains("noa") && !listed.stdout.contains("mara"),
        "{listed:#?}"
    );
    // The list shows no e-mail addresses.
    assert!(!all.to_string().contains('@'), "{all}");
}

#[tokio::test]
async fn one_member_is_shown_with_the_state_of_each_data_type() {
    let house = with_two().await;

    let shown = house
        .worker(&["users", "show", "mara", "--json"])
        .await
        .expect_code(0)
        .json();
    assert_eq!(
        (&shown["user_id"], &shown["status"]),
        (&"mara".into(), &"connected".into())
    );
    assert_eq!(shown["data_types"].as_array().unwrap().len(), 4);
    assert_eq!(shown["data_types"][0]["whole_history"], false);

    let text = house.worker(&["users", "show", "mara"]).await;
    text.expect_code(0);
    assert!(text.stdout.contains("none recorded"), "{text:#?}");
    let unknown = house.worker(&["users", "show", "nobody"]).await;
    unknown.expect_code(1).expect_in_stderr("users list");
}

#[tokio::test]
async fn one_member_is_disconnected_and_another_erased() {
    let house = with_two().await;

    let gone = house
        .worker(&["users", "disconnect", "mara", "--json"])
        .await
        .expect_code(0)
        .json();
    assert_eq!(
        (&gone["revocation"], &gone["erased"]),
        (&"done".into(), &false.into())
    );
    assert!(
        house
            .count("SELECT count(*) FROM whoop_sleep WHERE user_id = 'mara'")
            .await
            > 0
    );

    // A flag of another command is rejected, not ignored.
    let wrong = house.worker(&["users", "disconnect", "noa", "--yes"]).await;
    wrong.expect_code(2).expect_in_stderr("--yes");

    // The command cannot ask for confirmation without a terminal.
    let unconfirmed = house.worker(&["users", "erase", "noa"]).await;
    unconfirmed.expect_code(2).expect_in_stderr("--yes");
    assert_eq!(
        house
            .count("SELECT count(*) FROM whoop_users WHERE user_id = 'noa'")
            .await,
        1
    );

    let erased = house.worker(&["users", "erase", "noa", "--yes"]).await;
    erased.expect_code(0);
    assert!(erased.stdout.contains("receipt"), "{erased:#?}");
    assert_eq!(
        house
            .count("SELECT count(*) FROM whoop_users WHERE user_id = 'noa'")
            .await,
        0
    );
    assert!(
        house
            .world()
            .oauth()
            .grants()
            .iter()
            .all(|grant| grant.is_revoked)
    );
    house
        .worker(&["users", "erase", "noa", "--yes"])
        .await
        .expect_code(1);
}

#[tokio::test]
async fn a_connect_that_was_never_completed_can_be_ended_and_erased() {
    for (command, receipts) in [("disconnect", 0), ("erase", 1)] {
        let house = House::new(plenty()).await;
        house
            .execute(
                "INSERT INTO whoop_oauth_states (state_hash, user_id, created_at, expires_at)
                 VALUES ('\\x01', 'lena', now(), now() + interval '10 minutes')",
            )
            .await;

        let mut words = vec!["users", command, "lena", "--json"];
        if command == "erase" {
            words.push("--yes");
        }
        let gone = house.worker(&words).await.expect_code(0).json();

        assert_eq!(gone["revocation"], "not_needed", "{gone}");
        for (table, rows) in [("whoop_oauth_states", 0), ("whoop_erasure", receipts)] {
            let sql = format!("SELECT count(*) FROM {table}");
            assert_eq!(house.count(&sql).await, rows, "{table}");
        }
        house.worker(&words).await.expect_code(1);
    }
}

#[tokio::test]
async fn members_to_reauthorize_are_connected_again_if_whoop_refreshes_their_tokens() {
    let house = with_two().await;
    let noa = house.world().people()[1];
    house.world().oauth().revoke_grants(noa);
    house
        .execute("UPDATE whoop_users SET status = 'reauth_required', status_detail = 'lost'")
        .await;

    let retried = house.worker(&["users", "retry", "--json"]).await;
    let report = retried.expect_code(0).json();

    assert_eq!(report["connected"], 1, "{report}");
    let outcomes: Vec<&str> = report["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["connected", "refused"]);
    let statuses =
        "SELECT status || ' ' || coalesce(status_detail, '') FROM whoop_users ORDER BY user_id";
    assert_eq!(
        house.texts(statuses).await,
        ["connected ", "reauth_required lost"]
    );
    let audited = "SELECT count(*) FROM whoop_audit WHERE action = 'users-retry'";
    assert_eq!(house.count(audited).await, 1);

    let one = house.worker(&["users", "retry", "--user=mara"]).await;
    one.expect_code(0);
    assert!(one.stdout.contains("not in reauth_required"), "{one:#?}");
    let unknown = house.worker(&["users", "retry", "--user=nobody"]).await;
    unknown.expect_code(1).expect_in_stderr("users list");
}

#[tokio::test]
async fn a_retry_that_whoop_does_not_answer_changes_nothing() {
    let house = with_two().await;
    house
        .execute("UPDATE whoop_users SET status = 'reauth_required' WHERE user_id = 'mara'")
        .await;
    house
        .world()
        .add_fault(whoop_sim::Fault::status("token", 503));

    let retried = house.worker(&["users", "retry", "--json"]).await;
    let report = retried.expect_code(3).json();

    let error = report["members"][0]["error"].as_str().unwrap();
    assert!(error.contains("503"), "{error}");
    let status = "SELECT status FROM whoop_users WHERE user_id = 'mara'";
    assert_eq!(house.texts(status).await, ["reauth_required"]);
}

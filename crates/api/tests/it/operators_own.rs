//! Information and faults that only concern the operator are not shown to members.

use serde_json::json;

use whoop_sim::Fault;

use crate::harness::Stage;

#[tokio::test]
async fn a_member_whose_tokens_do_not_open_hears_of_no_key() {
    let (stage, alice) = Stage::with_member().await;
    let sql = stage.db.client().await;
    sql.batch_execute("UPDATE whoop_tokens SET key_id = 'of-last-year'")
        .await
        .unwrap();

    let day = alice.day("?refresh=force").await;
    let synced = alice.post("sync", &json!({})).await.expect(200);
    let status = alice.get("sync-status", "").await.expect(200);

    assert_eq!(day["meta"]["sync"], "failed");
    assert_eq!(synced["outcome"], "failed");
    for (told, why) in [
        (&day, &day["meta"]["detail"]),
        (&synced, &synced["error"]),
        (&synced, &synced["types"][0]["error"]),
        (&status, &status["data_types"]["sleep"]["last_error"]),
    ] {
        let why = why.as_str().unwrap();
        assert!(why.contains("cannot be opened"), "{why}");
        let told = told.to_string();
        assert!(
            !told.contains("of-last-year") && !told.contains("TOKEN_KEYS"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_member_hears_nothing_of_a_wrong_client_secret() {
    let (stage, alice) = Stage::with_member().await;
    stage.world().expire_access_tokens();
    stage.world().add_fault(Fault {
        body: Some(r#"{"error":"invalid_client"}"#.to_owned()),
        ..Fault::status("token", 401)
    });

    let day = alice.day("?refresh=force").await;
    let synced = alice.post("sync", &json!({})).await.expect(200);
    let status = alice.get("sync-status", "").await.expect(200);

    assert_eq!(
        day["meta"]["detail"],
        "WHOOP refuses this service; its log says why"
    );
    for told in [day, synced, status] {
        let told = told.to_string();
        assert!(!told.contains("client"), "{told}");
    }
}

//! Information and faults that concern only the operator are not shown to members.

use serde_json::json;

use whoop_sim::Fault;

use crate::harness::Stage;

#[tokio::test]
async fn errors_about_sealed_tokens_do_not_name_keys_to_members() {
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
    for (answer, error) in [
        (&day, &day["meta"]["detail"]),
        (&synced, &synced["error"]),
        (&synced, &synced["types"][0]["error"]),
        (&status, &status["data_types"]["sleep"]["last_error"]),
    ] {
        let error = error.as_str().unwrap();
        assert!(error.contains("cannot be opened"), "{error}");
        let text = answer.to_string();
        assert!(
            !text.contains("of-last-year") && !text.contains("TOKEN_KEYS"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn errors_about_the_client_secret_are_not_shown_to_members() {
    let (stage, alice) = Stage::with_member().await;
    stage.world().oauth().expire_access_tokens();
    stage.world().add_fault(Fault {
        body: Some(r#"{"error":"invalid_client"}"#.to_owned()),
        ..Fault::status("token", 401)
    });

    let day = alice.day("?refresh=force").await;
    let synced = alice.post("sync", &json!({})).await.expect(200);
    let status = alice.get("sync-status", "").await.expect(200);

    assert_eq!(
        day["meta"]["detail"],
        "WHOOP refuses this service; the log of the service has the reason"
    );
    for answer in [day, synced, status] {
        let text = answer.to_string();
        assert!(!text.contains("client"), "{text}");
    }
}

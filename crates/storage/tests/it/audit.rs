//! The audit trail: the serving role can insert rows, but cannot delete any.

use chrono::TimeDelta;
use whoop_storage::{
    erase,
    table::audit::{self, Actor, AuditFilter},
};

use crate::stand::{Stand, connect, now};

const PSEUDONYM: &str = "erased:00112233445566778899aabbccddeeff";

#[tokio::test]
async fn a_serving_role_adds_rows_and_reads_them_and_can_neither_change_nor_delete_one() {
    let stand = Stand::new().await;
    // Roles are shared by all databases of the server, so the name contains this database's name.
    let role = format!("{}_serves", stand.db.name());
    stand
        .execute(&format!(
            "CREATE ROLE {role} NOLOGIN; \
             GRANT ALL ON whoop_audit, whoop_service_key TO {role}; \
             SELECT whoop_let_serve('{role}')"
        ))
        .await;
    let serving = stand.db.client().await;
    serving
        .batch_execute(&format!(
            "SET ROLE {role}; \
             INSERT INTO whoop_audit (at, caller, action, user_id) \
                 VALUES (now() - interval '40 days', 'member', 'export', 'mara'), \
                        (now() - interval '20 days', 'member', 'export', 'mara')"
        ))
        .await
        .unwrap();

    for forbidden in [
        "UPDATE whoop_audit SET caller = 'whoop'",
        "DELETE FROM whoop_audit",
        "TRUNCATE whoop_audit",
        "ALTER TABLE whoop_audit DISABLE ROW LEVEL SECURITY",
        "SELECT whoop_audit_purge(now() - interval '29 days')",
        "SELECT whoop_audit_purge(NULL)",
        "SELECT whoop_audit_pseudonymise('mara', 'somebody else')",
        "DELETE FROM whoop_service_key",
        "TRUNCATE whoop_service_key",
    ] {
        assert!(
            serving.batch_execute(forbidden).await.is_err(),
            "{forbidden}"
        );
    }
    let count = "SELECT count(*) FROM whoop_audit";
    assert_eq!(stand.value(count).await.as_deref(), Some("2"));
    serving
        .batch_execute("SELECT whoop_audit_purge(now() - interval '30 days')")
        .await
        .unwrap();
    assert_eq!(stand.value(count).await.as_deref(), Some("1"));

    serving.batch_execute("RESET ROLE").await.unwrap();
    stand
        .execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

#[tokio::test]
async fn nobody_else_may_call_the_functions_that_change_it() {
    let stand = Stand::new().await;

    for function in [
        "whoop_audit_purge(timestamptz)",
        "whoop_audit_pseudonymise(text, text)",
    ] {
        let open = format!(
            "SELECT count(*) FROM pg_proc p, aclexplode(p.proacl) a \
             WHERE p.oid = '{function}'::regprocedure AND a.grantee = 0"
        );
        assert_eq!(stand.value(&open).await.as_deref(), Some("0"), "{function}");
        let path =
            format!("SELECT proconfig::text FROM pg_proc WHERE oid = '{function}'::regprocedure");
        let path = stand.value(&path).await.unwrap();
        assert!(path.contains("search_path=pg_catalog, pg_temp"), "{path}");
    }
}

#[tokio::test]
async fn an_erased_member_has_a_pseudonym_there_and_a_stored_one_keeps_the_id() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let [mara, noa] = [
        connect(&mut conn, "mara").await,
        connect(&mut conn, "noa").await,
    ];
    let by = Actor::key("backend").in_request("r-1");
    let entries = [&mara, &noa].map(|one| by.entry("export", now()).about(one.as_str()));
    audit::insert(&mut conn, &entries).await.unwrap();

    let early = audit::pseudonymise(&mut conn, "mara", PSEUDONYM).await;
    assert!(early.is_err(), "mara is stored");
    erase::erase(&mut conn, &mara, PSEUDONYM).await.unwrap();

    let of = async |user_id: &str| {
        let mut conn = stand.connection().await;
        let filter = AuditFilter {
            user_ids: vec![user_id.to_owned()],
            ..AuditFilter::default()
        };
        audit::list(&mut conn, &filter, 10).await.unwrap()
    };
    assert_eq!(of("mara").await, []);
    let [row] = &of(PSEUDONYM).await[..] else {
        panic!("the row is not there");
    };
    assert_eq!(
        (row.caller.as_str(), row.action.as_str()),
        ("key:backend", "export")
    );
    assert_eq!(row.request_id.as_deref(), Some("r-1"));
    assert_eq!(of("noa").await.len(), 1);
}

#[tokio::test]
async fn an_id_that_belongs_to_nobody_is_found_once_it_is_old_enough() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    connect(&mut conn, "mara").await;
    let entries = ["mara", "nobody", PSEUDONYM].map(|id| {
        let by = Actor::member();
        by.entry("connect", now()).about(id)
    });
    audit::insert(&mut conn, &entries).await.unwrap();

    let before = async |at| {
        let mut conn = stand.connection().await;
        audit::list_unknown_member_ids(&mut conn, at, 10)
            .await
            .unwrap()
    };
    assert!(before(now()).await.is_empty());
    assert_eq!(before(now() + TimeDelta::seconds(1)).await, ["nobody"]);
}

#[tokio::test]
async fn rows_are_found_by_caller_kind_of_caller_and_time() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let actors = [
        Actor::member(),
        Actor::key("a_b"),
        Actor::key("axb"),
        Actor::cli("root\n"),
        Actor::whoop(),
    ];
    for (minutes, actor) in actors.iter().enumerate() {
        let at = now() + TimeDelta::minutes(i64::try_from(minutes).unwrap());
        let entry = actor.entry("read", at).with_detail(&"x".repeat(600));
        audit::insert(&mut conn, &[entry]).await.unwrap();
    }

    let callers = async |caller: &str| {
        let mut conn = stand.connection().await;
        let filter = AuditFilter {
            caller: Some(caller.to_owned()),
            ..AuditFilter::default()
        };
        let rows = audit::list(&mut conn, &filter, 10).await.unwrap();
        rows.into_iter().map(|row| row.caller).collect::<Vec<_>>()
    };
    assert_eq!(callers("key").await, ["key:axb", "key:a_b"]);
    assert_eq!(callers("key:a_b").await, ["key:a_b"]);
    assert_eq!(callers("cli").await, ["cli:root"]);
    assert_eq!(callers("member").await, ["member"]);
    assert!(callers("%").await.is_empty());
    let late = AuditFilter {
        since: Some(now() + TimeDelta::minutes(3)),
        ..AuditFilter::default()
    };
    let rows = audit::list(&mut conn, &late, 10).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].detail.as_ref().map(String::len), Some(500));
}

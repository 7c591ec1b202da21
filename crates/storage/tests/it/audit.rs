//! The audit trail: the serving role can insert rows, but cannot delete any.

use chrono::TimeDelta;
use whoop_storage::{
    erase,
    table::audit::{self, Actor, AuditFilter},
};

use crate::test_env::{TestEnv, connect, now};

const PSEUDONYM: &str = "erased:00112233445566778899aabbccddeeff";

#[tokio::test]
async fn a_serving_role_can_insert_and_read_rows_but_not_change_or_delete_them() {
    let env = TestEnv::new().await;
    // Roles are shared by all databases of the server, so the name contains this database's name.
    let role = format!("{}_serves", env.db.name());
    env.execute(&format!(
        "CREATE ROLE {role} NOLOGIN; \
             GRANT ALL ON whoop_audit, whoop_service_key TO {role}; \
             SELECT whoop_let_serve('{role}')"
    ))
    .await;
    let serving = env.db.client().await;
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
    assert_eq!(env.value(count).await.as_deref(), Some("2"));
    serving
        .batch_execute("SELECT whoop_audit_purge(now() - interval '30 days')")
        .await
        .unwrap();
    assert_eq!(env.value(count).await.as_deref(), Some("1"));

    serving.batch_execute("RESET ROLE").await.unwrap();
    env.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

#[tokio::test]
async fn the_public_role_cannot_call_the_functions_that_change_the_trail() {
    let env = TestEnv::new().await;

    for function in [
        "whoop_audit_purge(timestamptz)",
        "whoop_audit_pseudonymise(text, text)",
    ] {
        let grants = format!(
            "SELECT count(*) FROM pg_proc p, aclexplode(p.proacl) a \
             WHERE p.oid = '{function}'::regprocedure AND a.grantee = 0"
        );
        assert_eq!(env.value(&grants).await.as_deref(), Some("0"), "{function}");
        let path =
            format!("SELECT proconfig::text FROM pg_proc WHERE oid = '{function}'::regprocedure");
        let path = env.value(&path).await.unwrap();
        assert!(path.contains("search_path=pg_catalog, pg_temp"), "{path}");
    }
}

#[tokio::test]
async fn an_erased_member_has_a_pseudonym_and_a_stored_member_keeps_the_id() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let [mara, noa] = [
        connect(&mut conn, "mara").await,
        connect(&mut conn, "noa").await,
    ];
    let actor = Actor::key("backend").in_request("r-1");
    let entries = [&mara, &noa].map(|member| actor.entry("export", now()).about(member.as_str()));
    audit::insert(&mut conn, &entries).await.unwrap();

    let refused = audit::pseudonymise(&mut conn, "mara", PSEUDONYM).await;
    assert!(refused.is_err(), "mara is still a member");
    erase::erase(&mut conn, &mara, PSEUDONYM).await.unwrap();

    let rows_of = async |user_id: &str| {
        let mut conn = env.connection().await;
        let filter = AuditFilter {
            user_ids: vec![user_id.to_owned()],
            ..AuditFilter::default()
        };
        audit::list(&mut conn, &filter, 10).await.unwrap()
    };
    assert_eq!(rows_of("mara").await, []);
    let [row] = &rows_of(PSEUDONYM).await[..] else {
        panic!("there is not exactly one row");
    };
    assert_eq!(
        (row.caller.as_str(), row.action.as_str()),
        ("key:backend", "export")
    );
    assert_eq!(row.request_id.as_deref(), Some("r-1"));
    assert_eq!(rows_of("noa").await.len(), 1);
}

#[tokio::test]
async fn an_id_without_a_member_is_found_once_it_is_old_enough() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    connect(&mut conn, "mara").await;
    let entries = ["mara", "nobody", PSEUDONYM].map(|id| {
        let actor = Actor::member();
        actor.entry("connect", now()).about(id)
    });
    audit::insert(&mut conn, &entries).await.unwrap();

    let before = async |at| {
        let mut conn = env.connection().await;
        audit::list_unknown_member_ids(&mut conn, at, 10)
            .await
            .unwrap()
    };
    assert!(before(now()).await.is_empty());
    assert_eq!(before(now() + TimeDelta::seconds(1)).await, ["nobody"]);
}

#[tokio::test]
async fn rows_are_found_by_caller_by_kind_of_caller_and_by_time() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
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
        let mut conn = env.connection().await;
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

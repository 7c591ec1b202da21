//! Test of law 8 for secrets: no log line, error or debug output contains a token.

use std::fmt::Write as _;

use chrono::TimeDelta;
use whoop_core::{DataType, plan::Slot};
use whoop_sim::Fault;

use whoop_storage::table::audit::Actor;

use crate::harness::{APP_SECRET, Stage, back_to, context_without_retries, listen, now, slot};

#[tokio::test]
async fn no_secret_is_logged_printed_or_stored_in_plain_text() {
    let log = listen();
    let mut printed = String::new();
    let mut secrets = vec![APP_SECRET.to_owned()];
    let stage = Stage::new().await;
    let whoop_user_id = stage.world().people()[0];
    let remember_tokens = |secrets: &mut Vec<String>| {
        for grant in stage.world().oauth().grants() {
            secrets.push(grant.access_token);
            secrets.extend(grant.refresh_token);
        }
    };

    let state = stage.state_for("member 0", Some("app://back")).await;
    let code = stage.code_for(whoop_user_id);
    secrets.extend([state.clone(), code.clone()]);
    let completed = stage
        .engine
        .connections
        .complete_connect(&state, &code)
        .await
        .unwrap();
    write!(printed, "{:?} {completed:?}", stage.engine).unwrap();
    completed.first_sync.await.unwrap();
    let again = stage
        .engine
        .connections
        .complete_connect(&state, &code)
        .await;
    write!(printed, "{again:?}").unwrap();
    remember_tokens(&mut secrets);
    let member = stage.connect("member 0", whoop_user_id).await;
    remember_tokens(&mut secrets);

    for fault in [
        Fault::status("token", 500),
        Fault {
            body: Some(format!(r#"{{"error":"{APP_SECRET}"}}"#)),
            ..Fault::status("token", 400)
        },
        Fault::new("token", whoop_sim::FaultKind::NotJson),
        Fault::new("*", whoop_sim::FaultKind::NotJson),
        Fault::status("*", 401),
    ] {
        stage.advance(TimeDelta::hours(2));
        stage.world().add_fault(fault);
        let request = back_to(now() - TimeDelta::days(90), &DataType::ALL);
        let report = stage.sync(&member, &request).await;
        let token = stage
            .engine
            .calls
            .access_token(&member.user_id, &context_without_retries(), None)
            .await;
        write!(printed, "{report:?} {token:?}").unwrap();
        if let Err(error) = token {
            write!(printed, "{error} {}", error.error_chain()).unwrap();
        }
        stage.world().clear_faults();
        remember_tokens(&mut secrets);
    }
    stage.connect("member 0", whoop_user_id).await;
    stage.advance(TimeDelta::hours(2));
    let report = stage.sync(&member, &slot(Slot::Night)).await;
    let day = stage
        .engine
        .days
        .day(&member.user_id, now().date_naive(), Default::default())
        .await;
    write!(printed, "{report:?} {day:?}").unwrap();
    remember_tokens(&mut secrets);
    let status = stage.engine.operations.member_status(&member.user_id).await;
    write!(printed, "{status:?}").unwrap();
    stage.world().oauth().revoke_grants(whoop_user_id);
    stage.advance(TimeDelta::hours(2));
    let result = stage
        .engine
        .connections
        .disconnect(&member.user_id, false, &Actor::member())
        .await;
    write!(printed, "{result:?}").unwrap();

    let logged = log.text();
    assert!(
        logged.contains("connected to WHOOP"),
        "the service's log was captured"
    );
    assert!(
        logged.contains("tokio_postgres"),
        "the driver's log was captured"
    );
    let stored = stage
        .texts(
            "SELECT concat_ws(' ', u.*, l.*) FROM whoop_users u \
             LEFT JOIN whoop_sync_log l USING (user_id) WHERE user_id = $1",
            &member,
        )
        .await;
    for (nth, secret) in secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .enumerate()
    {
        assert!(!printed.contains(secret), "secret {nth} is printed");
        assert!(
            !format!("{stored:?}").contains(secret),
            "secret {nth} is stored"
        );
        if let Some(line) = logged.lines().find(|line| line.contains(secret)) {
            panic!("secret {nth} is logged: {line}");
        }
    }
}

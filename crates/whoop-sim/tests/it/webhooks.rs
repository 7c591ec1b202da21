//! Tests of the webhooks that a receiver gets from the simulator.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, http::StatusCode, web};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use whoop_sim::{DeliveryState, SimConfig, SimDataType, SimError, SimServer, WebhookFaults};

use crate::support::{Member, frozen, http, send};

type Seen = Arc<Mutex<Vec<(String, String, Vec<u8>)>>>;

/// A webhook receiver that answers every request with the same status.
struct Receiver {
    url: String,
    seen: Seen,
}

impl Receiver {
    fn start(status: u16) -> Self {
        let seen = Seen::default();
        let received = Arc::clone(&seen);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let status = StatusCode::from_u16(status).unwrap();
            let server = HttpServer::new(move || {
                let received = Arc::clone(&received);
                let handle = move |request: HttpRequest, body: web::Bytes| {
                    let header = |name| {
                        request
                            .headers()
                            .get(name)
                            .unwrap()
                            .to_str()
                            .unwrap()
                            .to_owned()
                    };
                    let stamp = header("x-whoop-signature-timestamp");
                    let signature = header("x-whoop-signature");
                    received
                        .lock()
                        .unwrap()
                        .push((stamp, signature, body.to_vec()));
                    async move { HttpResponse::new(status) }
                };
                App::new().default_service(web::to(handle))
            });
            let server = server.workers(1).disable_signals().listen(listener);
            actix_web::rt::System::new().block_on(server.unwrap().run())
        });
        Self { url, seen }
    }

    fn bodies(&self) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        let read = |body: &Vec<u8>| serde_json::from_slice(body).unwrap();
        seen.iter().map(|(_, _, body)| read(body)).collect()
    }

    /// Returns the event type and the id of each received webhook, sorted.
    fn events(&self) -> Vec<(String, String)> {
        let text = |it: &Value| it.as_str().unwrap().to_owned();
        let bodies = self.bodies();
        let mut events: Vec<_> = bodies
            .iter()
            .map(|it| (text(&it["type"]), text(&it["id"])))
            .collect();
        events.sort();
        events
    }

    async fn sim(&self, faults: WebhookFaults) -> SimServer {
        let config = SimConfig {
            webhook_url: Some(self.url.clone()),
            webhook_faults: faults,
            freeze_records: true,
            ..frozen()
        };
        SimServer::start(config).await.unwrap()
    }
}

fn edit_workout(sim: &SimServer, id: i64) -> String {
    let workout = sim.world().records().truth(id)["workouts"][0]["id"].clone();
    let workout = workout.as_str().unwrap().to_owned();
    let change = json!({"sport_name": "yoga"});
    let world = sim.world();
    world
        .records()
        .patch(id, SimDataType::Workout, &workout, change)
        .unwrap();
    workout
}

#[tokio::test]
async fn six_event_types_are_sent_and_signed_over_the_raw_body() {
    let receiver = Receiver::start(204);
    let sim = receiver.sim(WebhookFaults::default()).await;
    let member = Member::connect(&sim, 0).await;
    let world = sim.world();
    let sleep = world.records().truth(member.id)["recoveries"][2]["sleep_id"].clone();
    let sleep = sleep.as_str().unwrap();
    let workout = edit_workout(&sim, member.id);
    let edit = json!({"score_state": "SCORED"});
    world
        .records()
        .patch(member.id, SimDataType::Sleep, sleep, edit)
        .unwrap();
    world
        .records()
        .delete(member.id, SimDataType::Sleep, sleep)
        .unwrap();
    world
        .records()
        .delete(member.id, SimDataType::Workout, &workout)
        .unwrap();
    sim.deliver_webhooks().await;

    let expected = [
        ("recovery.deleted", sleep),
        ("recovery.updated", sleep),
        ("sleep.deleted", sleep),
        ("sleep.updated", sleep),
        ("workout.deleted", &workout),
        ("workout.updated", &workout),
    ];
    let expected = expected.map(|(kind, id)| (kind.to_owned(), id.to_owned()));
    assert_eq!(receiver.events(), expected);
    for (stamp, signature, body) in receiver.seen.lock().unwrap().iter() {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"whoop-sim-secret").unwrap();
        mac.update(&[stamp.as_bytes(), body].concat());
        assert_eq!(
            *signature,
            BASE64_STANDARD.encode(mac.finalize().into_bytes())
        );
        assert_eq!(*stamp, world.now().timestamp_millis().to_string());
    }
}

#[tokio::test]
async fn a_receiver_that_fails_gets_five_retries_in_an_hour() {
    let receiver = Receiver::start(500);
    let sim = receiver.sim(WebhookFaults::default()).await;
    let member = Member::connect(&sim, 0).await;
    edit_workout(&sim, member.id);
    sim.deliver_webhooks().await;
    for (attempts, minutes) in [(1, 1), (2, 4), (3, 10), (4, 15), (5, 30)] {
        assert_eq!(receiver.bodies().len(), attempts);
        let just_before = Duration::from_secs(minutes * 60 - 1);
        sim.world().advance(just_before);
        sim.deliver_webhooks().await;
        assert_eq!(receiver.bodies().len(), attempts);
        sim.world().advance(Duration::from_secs(1));
        sim.deliver_webhooks().await;
    }
    sim.world().advance(Duration::from_secs(86_400));
    sim.deliver_webhooks().await;

    assert_eq!(receiver.bodies().len(), 6);
    let delivery = &sim.world().webhooks()[0];
    assert_eq!(delivery.state, DeliveryState::GivenUp);
    assert!(delivery.attempts.iter().all(|it| it.status == Some(500)));
    let stamps = receiver.seen.lock().unwrap();
    assert!(stamps.iter().all(|(stamp, ..)| *stamp == stamps[0].0));
}

#[tokio::test]
async fn a_duplicate_has_the_same_trace_id() {
    let receiver = Receiver::start(200);
    let duplicate = WebhookFaults {
        duplicate: 1.0,
        ..WebhookFaults::default()
    };
    let sim = receiver.sim(duplicate).await;
    let member = Member::connect(&sim, 0).await;
    edit_workout(&sim, member.id);
    sim.deliver_webhooks().await;
    let bodies = receiver.bodies();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn a_lost_webhook_is_never_sent() {
    let receiver = Receiver::start(200);
    let lose = WebhookFaults {
        lose: 1.0,
        ..WebhookFaults::default()
    };
    let sim = receiver.sim(lose).await;
    let member = Member::connect(&sim, 0).await;
    edit_workout(&sim, member.id);
    sim.deliver_webhooks().await;
    assert!(receiver.bodies().is_empty());
    assert_eq!(sim.world().webhooks()[0].state, DeliveryState::Lost);
}

#[tokio::test]
async fn changes_without_an_active_grant_are_not_announced() {
    let receiver = Receiver::start(200);
    let sim = receiver.sim(WebhookFaults::default()).await;
    let member = Member::connect(&sim, 0).await;
    sim.world().oauth().revoke_grants(member.id);
    edit_workout(&sim, member.id);
    edit_workout(&sim, sim.world().people()[1]);
    sim.deliver_webhooks().await;
    assert!(sim.world().webhooks().is_empty());
    assert!(receiver.bodies().is_empty());
}

#[tokio::test]
async fn invalid_settings_are_refused_and_change_nothing() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let page = format!("{}/_sim/webhooks", sim.base_url());
    for bad in [
        r#"{"switches":{"lose":1.5}}"#,
        r#"{"switches":{"loose":0.5}}"#,
        r#"{"url":"ftp://127.0.0.1/"}"#,
        r#"{"url":"http://127.0.0.1:9/","switches":{"duplicate":-1}}"#,
    ] {
        let answer = send(http().post(&page).body(bad)).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(send(http().get(&page)).await.json()["url"], Value::Null);
    let config = SimConfig {
        webhook_url: Some("nowhere".to_owned()),
        ..frozen()
    };
    assert!(matches!(
        SimServer::start(config).await,
        Err(SimError::Config(_))
    ));
}

#[tokio::test]
async fn the_url_can_be_set_later_and_the_list_can_be_cleared() {
    let receiver = Receiver::start(200);
    let sim = SimServer::start(frozen()).await.unwrap();
    let page = format!("{}/_sim/webhooks", sim.base_url());
    let member = Member::connect(&sim, 0).await;
    let body = json!({"url": receiver.url, "switches": {"reorder": true}});
    let set = send(http().post(&page).body(body.to_string())).await;
    assert_eq!(set.status, 200);
    edit_workout(&sim, member.id);
    sim.deliver_webhooks().await;

    let shown = send(http().get(&page)).await.json();
    assert_eq!(shown["counts"], json!({"delivered": 1}));
    assert_eq!(shown["deliveries"][0]["attempts"][0]["status"], 200);
    assert_eq!(send(http().delete(&page)).await.status, 204);
    assert!(sim.world().webhooks().is_empty());
}

#[tokio::test]
async fn a_night_is_announced_when_it_appears_and_when_it_is_scored() {
    let receiver = Receiver::start(204);
    let config = SimConfig {
        webhook_url: Some(receiver.url.clone()),
        ..frozen()
    };
    let sim = SimServer::start(config).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    sim.world().records().truth(member.id);
    for _ in 0..48 {
        sim.world().advance(Duration::from_secs(1_800));
        sim.deliver_webhooks().await;
    }

    let newest = sim.world().records().truth(member.id)["recoveries"][0].clone();
    let sleep = newest["sleep_id"].as_str().unwrap();
    let count_events = |kind: &str| {
        let events = receiver.events();
        let count = |(it, id): &&(String, String)| it == kind && id == sleep;
        events.iter().filter(count).count()
    };
    assert!(
        count_events("sleep.updated") >= 2,
        "{:?}",
        receiver.events()
    );
    assert!(
        count_events("recovery.updated") >= 2,
        "{:?}",
        receiver.events()
    );
}

#[tokio::test]
async fn a_jump_of_the_clock_uses_only_one_retry() {
    let receiver = Receiver::start(500);
    let sim = receiver.sim(WebhookFaults::default()).await;
    let member = Member::connect(&sim, 0).await;
    edit_workout(&sim, member.id);
    sim.deliver_webhooks().await;
    sim.world().advance(Duration::from_secs(30 * 86_400));
    for _ in 0..3 {
        sim.deliver_webhooks().await;
    }
    assert_eq!(receiver.bodies().len(), 2);
}

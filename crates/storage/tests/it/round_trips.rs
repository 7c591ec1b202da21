//! The number of round trips for reading a day, counted on the wire instead of timed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use secrecy::SecretString;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use whoop_storage::{Database, DatabaseConfig, day};

use crate::test_env::{self, TestEnv, connect, now, store, user};

/// Proxy to PostgreSQL that counts round trips.
///
/// It holds back the server's answers until the client has sent nothing for a while, as on a slow
/// network. A client that sends its queries one after another therefore causes one round trip per
/// query.
struct SlowLine {
    port: u16,
    round_trips: Arc<AtomicUsize>,
}

impl SlowLine {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let round_trips = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&round_trips);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(forward(client, server, Arc::clone(&counted)));
            }
        });
        Self { port, round_trips }
    }

    fn round_trips(&self) -> usize {
        self.round_trips.load(Ordering::SeqCst)
    }
}

async fn forward(client: TcpStream, server: TcpStream, round_trips: Arc<AtomicUsize>) {
    let silence = std::time::Duration::from_millis(40);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut held_back = Vec::new();
    let (mut request, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            biased;
            read = from_client.read(&mut request) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    if to_server.write_all(&request[..length]).await.is_err() {
                        return;
                    }
                }
            },
            read = from_server.read(&mut answer) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => held_back.extend_from_slice(&answer[..length]),
            },
            () = tokio::time::sleep(silence), if !held_back.is_empty() => {
                round_trips.fetch_add(1, Ordering::SeqCst);
                if to_client.write_all(&held_back).await.is_err() {
                    return;
                }
                held_back.clear();
            }
        }
    }
}

#[tokio::test]
async fn a_stored_day_is_read_in_one_round_trip() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    store(&mut conn, &member, &[test_env::cycle(5, json!({}))]).await;
    store(
        &mut conn,
        &member,
        &[test_env::sleep("night", 5, json!({}))],
    )
    .await;
    let date = env.value("SELECT local_date FROM whoop_sleep").await;
    let date = date.unwrap().parse().unwrap();

    let mut url = url::Url::parse(env.db.url()).unwrap();
    let line = SlowLine::start(url.port().unwrap()).await;
    url.set_port(Some(line.port)).unwrap();
    let database = Database::new(&DatabaseConfig {
        url: SecretString::from(url.as_str()),
        pool_size: 1,
        pooler: env.db.pooler(),
    })
    .unwrap();
    // The first read on a connection prepares its statements, so it is not counted.
    day::read(&database.get().await.unwrap(), &member, date, now())
        .await
        .unwrap();
    let before = line.round_trips();

    let conn = database.get().await.unwrap();
    let day = day::read(&conn, &member, date, now()).await.unwrap();

    assert_eq!(day.records.sleeps.len(), 1);
    assert_eq!(line.round_trips() - before, 1);
    assert!(
        day::read(&conn, &user("nobody"), date, now())
            .await
            .unwrap()
            .member
            .is_none()
    );
    assert_eq!(line.round_trips() - before, 2);
}

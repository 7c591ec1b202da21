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

use crate::stand::{self, Stand, connect, now, store, user};

/// Proxy to PostgreSQL that counts round trips.
///
/// It holds back the server's answers until the client has sent nothing for a while, as on a slow
/// network. A client that sends its queries one after another therefore causes one round trip per
/// query.
struct SlowLine {
    port: u16,
    turns: Arc<AtomicUsize>,
}

impl SlowLine {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&counted)));
            }
        });
        Self { port, turns }
    }

    fn turns(&self) -> usize {
        self.turns.load(Ordering::SeqCst)
    }
}

async fn pass(client: TcpStream, server: TcpStream, turns: Arc<AtomicUsize>) {
    let silence = std::time::Duration::from_millis(40);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut held = Vec::new();
    let (mut asked, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            biased;
            read = from_client.read(&mut asked) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    if to_server.write_all(&asked[..length]).await.is_err() {
                        return;
                    }
                }
            },
            read = from_server.read(&mut answer) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => held.extend_from_slice(&answer[..length]),
            },
            () = tokio::time::sleep(silence), if !held.is_empty() => {
                turns.fetch_add(1, Ordering::SeqCst);
                if to_client.write_all(&held).await.is_err() {
                    return;
                }
                held.clear();
            }
        }
    }
}

#[tokio::test]
async fn a_stored_day_is_read_in_one_round_trip() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let member = connect(&mut conn, "mara").await;
    store(&mut conn, &member, &[stand::cycle(5, json!({}))]).await;
    store(&mut conn, &member, &[stand::sleep("night", 5, json!({}))]).await;
    let date = stand.value("SELECT local_date FROM whoop_sleep").await;
    let date = date.unwrap().parse().unwrap();

    let mut url = url::Url::parse(stand.db.url()).unwrap();
    let line = SlowLine::to(url.port().unwrap()).await;
    url.set_port(Some(line.port)).unwrap();
    let far_away = Database::new(&DatabaseConfig {
        url: SecretString::from(url.as_str()),
        pool_size: 1,
        pooler: stand.db.pooler(),
    })
    .unwrap();
    // The first read on a connection prepares its statements, so it is not counted.
    day::read(&far_away.get().await.unwrap(), &member, date, now())
        .await
        .unwrap();
    let before = line.turns();

    let conn = far_away.get().await.unwrap();
    let day = day::read(&conn, &member, date, now()).await.unwrap();

    assert_eq!(day.records.sleeps.len(), 1);
    assert_eq!(line.turns() - before, 1);
    assert!(
        day::read(&conn, &user("nobody"), date, now())
            .await
            .unwrap()
            .member
            .is_none()
    );
    assert_eq!(line.turns() - before, 2);
}

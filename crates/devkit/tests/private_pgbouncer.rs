//! Tests of the pooler through which tests can connect.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::collections::BTreeSet;
use std::net::TcpStream;

use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use whoop_devkit::{Environment, PgBouncer, PostgresStartError, server};

/// Starts a PgBouncer. Returns `None` if none is installed, because most developers do not need it.
async fn pgbouncer() -> Option<PgBouncer> {
    let starting = || {
        let url = server().admin_url().parse().unwrap();
        PgBouncer::start(&Environment::from_process(), &url)
    };
    match tokio::task::spawn_blocking(starting).await.unwrap() {
        Err(PostgresStartError::NoPgBouncer) => {
            println!("skipped: PgBouncer is not installed");
            None
        }
        started => Some(started.unwrap()),
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn backend(client: &Client) -> String {
    let messages = client.simple_query("SELECT pg_backend_pid()").await;
    let row = messages
        .unwrap()
        .into_iter()
        .find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
    row.unwrap()
}

#[tokio::test]
async fn many_clients_share_few_connections() {
    let Some(pgbouncer) = pgbouncer().await else {
        return;
    };
    let url = pgbouncer.url(&server().admin_url());
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        let client = connect(&url).await;
        clients.spawn(async move { (backend(&client).await, client) });
    }

    let backends = clients.join_all().await;

    let distinct: BTreeSet<&String> = backends.iter().map(|(backend, _)| backend).collect();
    assert!(distinct.len() <= 5, "{distinct:?}");
}

#[tokio::test]
async fn pgbouncer_ends_when_it_is_dropped() {
    let Some(pgbouncer) = pgbouncer().await else {
        return;
    };
    let url = url::Url::parse(&pgbouncer.url(&server().admin_url())).unwrap();
    let address = ("127.0.0.1", url.port().unwrap());
    assert!(TcpStream::connect(address).is_ok());

    tokio::task::spawn_blocking(|| drop(pgbouncer))
        .await
        .unwrap();

    assert!(TcpStream::connect(address).is_err());
}

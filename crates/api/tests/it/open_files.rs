//! The API with more connections than its limit of open files allows.

use std::time::Duration;

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use whoop_devkit::TestDb;

use crate::harness::{DEADLINE, RunningApi, SERVICE_KEY, simulator, status_of, until};

/// Returns the number of open files of a process.
fn open_files(pid: u32) -> usize {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    files.count()
}

/// Requests `/healthz` on an open connection, which remains open. Returns whether the API answers
/// 200.
async fn is_healthy(connection: &mut TcpStream) -> bool {
    let request = b"GET /healthz HTTP/1.1\r\nHost: api\r\n\r\n";
    if connection.write_all(request).await.is_err() {
        return false;
    }
    let mut answer = [0; 1024];
    match timeout(Duration::from_secs(2), connection.read(&mut answer)).await {
        Ok(Ok(bytes)) => status_of(&String::from_utf8_lossy(&answer[..bytes])) == 200,
        _ => false,
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn more_idle_connections_than_open_files_block_no_request() {
    const LIMIT: usize = 256;
    let (db, sim) = (TestDb::new().await, simulator().await);
    let api = RunningApi::start_limited(db.url(), &sim, "-n 256").await;
    let mut first = TcpStream::connect(api.client.address).await.unwrap();
    assert!(is_healthy(&mut first).await);

    // The test opens twice as many connections as the limit allows. The connections beyond the
    // limit wait in the kernel's queue.
    let mut idle = Vec::new();
    for _ in 0..2 * LIMIT {
        idle.push(TcpStream::connect(api.client.address).await.unwrap());
    }
    until("the workers accept no more connections", || async {
        open_files(api.pid()) > LIMIT / 3
    })
    .await;

    assert!(is_healthy(&mut first).await, "{}", api.log_so_far());
    // The operations address has its own connections, so it still answers.
    let operations = api.operations.clone().unwrap();
    operations.get("/healthz").send().await.expect(200);
    let files = open_files(api.pid());
    assert!(files < LIMIT, "{files} open files");
    drop(idle);
    until("a new connection is answered", || async {
        let mut new = TcpStream::connect(api.client.address).await.unwrap();
        is_healthy(&mut new).await
    })
    .await;
    // The database is still available: files are reserved for the pool.
    api.client.get("/readyz").send().await.expect(200);

    api.signal(Signal::TERM);
    let (_, log) = api.end().await;
    assert!(!log.contains("Too many open files"), "{log}");
}

#[tokio::test]
async fn the_soft_limit_of_open_files_is_raised_at_the_start_and_logged() {
    let (db, sim) = (TestDb::new().await, simulator().await);
    let api = RunningApi::start_limited(db.url(), &sim, "-Sn 128").await;

    until("the raised limit is logged", || async {
        let log = api.log_so_far();
        log.contains("limit of open files raised") && log.contains("before=128")
    })
    .await;
}

#[tokio::test]
async fn the_doctor_compares_the_limit_with_the_streams() {
    let (db, sim) = (TestDb::new().await, simulator().await);
    let api = RunningApi::start_limited(db.url(), &sim, "-n 512").await;

    let operations = api.operations.clone().unwrap();
    let ask = operations.post("/api/v1/whoop/admin/doctor");
    let found = ask.with_token(SERVICE_KEY);
    let found = timeout(DEADLINE, found.send()).await.unwrap().expect(200);

    let checks = found["checks"].as_array().unwrap();
    let files = checks.iter().find(|one| one["check"] == "open files");
    let files = files.unwrap();
    assert_eq!(files["state"], "warning");
    assert!(files["detail"].as_str().unwrap().contains("512"), "{files}");
    let remedy = files["what_to_do"].as_str().unwrap();
    assert!(remedy.contains("LimitNOFILE=65536"), "{remedy}");
}

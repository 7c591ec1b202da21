//! Compressed request bodies are refused before they are read, so that they cost no memory.

use std::io::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use whoop_devkit::TestDb;

use crate::harness::{RunningApi, SERVICE_KEY, Stage, documented, simulator, webhooks::Webhook};

/// 256 MiB of zeros, compressed with Brotli.
const BROTLI_BOMB: &str = "z///f/gnAOKxQCD3/p/////wTwDEYQGA7v0/////4Z8AiMMiAN37f/7//8M/ARCHBQC69//8//+HfwIgDgsAdO//+f//D/8EQBwWAOje//P//x/+CYA4LADQvf/n//8//BMAcVgAoHv/z///f/gnAOKwAED3/p/////wTwDEYQGA7v0/////4Z8AiMMCAN37f/7//8M/ARCHBQC69//8//+HfwIgDgsAdO//+f//D/8EQBwWAOje//P//x/+CYA4LADQvf/n//8//BMAcVgAoHv/Pw==";

/// Size in bytes of the gzip and deflate bodies before compression. Compressed, they are smaller
/// than the maximum body size of 16 KiB.
const DEFLATED_BYTES: usize = 12 * 1024 * 1024;

/// Returns a Zstandard frame of 256 MiB of zeros: 2,048 blocks of one repeated byte.
fn zstd_bomb() -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for block in 0..2_048 {
        let is_last = u32::from(block == 2_047);
        let header = (128 * 1024) << 3 | 1 << 1 | is_last;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

fn gzip_bomb() -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&vec![0; DEFLATED_BYTES]).unwrap();
    gzip.finish().unwrap()
}

fn deflate_bomb() -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(&vec![0; DEFLATED_BYTES]).unwrap();
    zlib.finish().unwrap()
}

/// Returns the maximum resident set size of a process so far, in kilobytes.
fn peak_memory_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}

#[tokio::test]
async fn every_content_encoding_is_refused_on_every_route_without_using_memory() {
    let (db, sim) = (TestDb::new().await, simulator().await);
    let api = RunningApi::start(db.url(), &sim, "info").await;
    let brotli = STANDARD.decode(BROTLI_BOMB).unwrap();
    let bombs = [
        ("br", brotli.clone()),
        ("BR", brotli.clone()),
        ("gzip", gzip_bomb()),
        ("x-gzip", gzip_bomb()),
        ("deflate", deflate_bomb()),
        ("zstd", zstd_bomb()),
        ("gzip, br", brotli.clone()),
        ("identity, br", brotli.clone()),
        ("br,identity", brotli.clone()),
        ("no-such-coding", b"{}".to_vec()),
    ];
    api.client.get("/healthz").send().await.expect(200);
    let before = peak_memory_kb(api.pid());

    let mut routes = 0;
    for route in documented().into_iter().filter(|one| one.takes_a_body()) {
        routes += 1;
        for (encoding, body) in &bombs {
            let path = route.of_member("alice");
            let ask = api.client.ask(route.method.clone(), &path);
            let ask = ask.with_token(SERVICE_KEY).with_body(body.clone());
            let answer = ask.with_header("content-encoding", encoding).send().await;
            answer.assert_problem(415, "encoded-body");
        }
        // Two `Content-Encoding` headers count as one list of encodings.
        let ask = api
            .client
            .ask(route.method.clone(), &route.of_member("alice"));
        let ask = ask.with_header("content-encoding", "identity");
        let ask = ask.with_header("content-encoding", "br");
        let answer = ask.with_body(brotli.clone()).send().await;
        answer.assert_problem(415, "encoded-body");
    }
    assert!(routes >= 4, "{routes} routes take a body");
    // A route that takes no body refuses an encoded body, too.
    let ask = api.client.get("/healthz").with_body(brotli.clone());
    let answer = ask
        .with_header("content-encoding", "br")
        .send_undescribed()
        .await;
    answer.assert_problem(415, "encoded-body");

    let grown = peak_memory_kb(api.pid()).saturating_sub(before);
    assert!(grown < 20 * 1024, "resident memory grew by {grown} KB");
}

#[tokio::test]
async fn a_webhook_is_signed_over_the_bytes_that_were_sent() {
    let (stage, _) = Stage::with_member().await;
    let event = r#"{"user_id": 7, "id":"x",  "type":"sleep.updated"}"#;
    let webhook = Webhook::of_bytes(event, stage.clock_now());

    for encoding in ["identity", "Identity", "identity, identity", ""] {
        let webhook = webhook.clone().with_content_encoding(encoding);
        webhook.send(&stage.client).await.assert_status(204);
    }
    let gzipped = {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(event.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    // In the first case the signature covers the decoded body, in the second case the encoded body.
    // The API decodes neither body.
    for signed in [
        webhook.with_body(gzipped.clone()),
        Webhook::of_bytes(gzipped, stage.clock_now()),
    ] {
        let answer = signed
            .with_content_encoding("gzip")
            .send(&stage.client)
            .await;
        answer.assert_problem(415, "encoded-body");
    }
}

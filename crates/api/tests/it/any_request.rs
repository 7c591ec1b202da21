//! Law 13 (bad input gets a clear error and changes nothing) for malformed HTTP: requests that no
//! client library would send.

use crate::harness::{Stage, status_of};

/// Returns whether the server still answers requests.
async fn lives(stage: &Stage) -> bool {
    stage.client.get("/healthz").send().await.status == 200
}

#[tokio::test]
async fn a_megabyte_of_headers_or_query_is_refused() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;
    let megabyte = "x".repeat(1024 * 1024);

    for request in [
        format!("GET /healthz HTTP/1.1\r\nHost: api\r\nX-Long: {megabyte}\r\n\r\n"),
        format!("GET /healthz?{megabyte} HTTP/1.1\r\nHost: api\r\n\r\n"),
        format!("GET /{megabyte} HTTP/1.1\r\nHost: api\r\n\r\n"),
        format!(
            "GET /healthz HTTP/1.1\r\nHost: api\r\n{}\r\n",
            "X-Many: 1\r\n".repeat(10_000)
        ),
        format!(
            "GET {}?date={megabyte} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {}\r\n\r\n",
            alice.path("daily-data"),
            alice.token
        ),
    ] {
        let answer = stage.client.send_raw(request.as_bytes()).await;
        let status = status_of(&answer);
        let head: String = answer.chars().take(80).collect();
        // The status is 0 if the server closed the connection during the request.
        assert!(status == 0 || (400..500).contains(&status), "{head}");
        assert!(lives(&stage).await, "{head}");
    }
    before.assert_unchanged(&stage.rows().await, "a megabyte");
}

#[tokio::test]
async fn a_malformed_http_request_is_refused() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;
    let sync = format!(
        "POST {} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {}\r\n",
        alice.path("sync"),
        alice.token
    );

    for request in [
        "\r\n\r\n\r\n\r\nx\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}".repeat(50),
        "GET\r\n\r\n".to_owned(),
        "GET /healthz\r\n\r\n".to_owned(),
        "GET /healthz HTTP/9.9\r\nHost: api\r\n\r\n".to_owned(),
        "GET /health z HTTP/1.1\r\nHost: api\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nNo colon\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\n: no name\r\n\r\n".to_owned(),
        format!("{sync}Content-Length: -1\r\n\r\n{{}}"),
        format!("{sync}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"),
        format!("{sync}Content-Length: 99999999999999999999\r\n\r\n{{}}"),
        format!("{sync}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{{}}"),
        format!("{sync}Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n"),
        format!("{sync}Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n"),
    ] {
        let answer = stage.client.send_raw(request.as_bytes()).await;
        let status = status_of(&answer);
        assert!(
            status == 0 || (400..500).contains(&status),
            "{request:?} is answered {answer:?}"
        );
        assert!(lives(&stage).await, "{request:?}");
    }
    before.assert_unchanged(&stage.rows().await, "no HTTP");
}

#[tokio::test]
async fn a_caller_who_disconnects_during_a_request_changes_nothing() {
    let (stage, alice) = Stage::with_member().await;
    let before = stage.rows().await;

    let head = format!(
        "POST {} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {}\r\nContent-Length: 100\r\n\r\n",
        alice.path("connect"),
        alice.token
    );
    for half in [&head[..40], head.as_str(), &format!("{head}{{\"consent\":")] {
        stage.client.send_and_hang_up(half.as_bytes()).await;
    }

    assert!(lives(&stage).await);
    before.assert_unchanged(&stage.rows().await, "half a request");
}

#[tokio::test]
async fn unsupported_headers_have_no_effect() {
    let (stage, alice) = Stage::with_member().await;
    let path = alice.path("daily-data");

    for (name, value) in [
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/api/v1/whoop/daily-data/bob"),
        ("x-forwarded-for", "127.0.0.1, ::1, not an address"),
        ("x-forwarded-host", "evil.example"),
        ("accept", "text/html;q=nonsense"),
        ("accept-encoding", "br;q=2, gzip;q=-1"),
        ("content-type", "application/nonsense"),
        ("range", "bytes=0-0"),
        ("expect", "teapot"),
        ("cookie", "=;=;"),
        ("if-modified-since", "never"),
        ("traceparent", "00-zz-zz-zz"),
        ("upgrade", "h2c"),
    ] {
        let ask = stage.client.get(&path).with_token(&alice.token);
        let answer = ask.with_header(name, value).send().await;
        assert_eq!(answer.expect(200)["user_id"], "alice", "{name}: {value}");
    }
}

#[tokio::test]
async fn an_authorization_header_with_invalid_bytes_is_refused() {
    let (stage, alice) = Stage::with_member().await;

    for value in [b"Bearer \xff\xfe".as_slice(), b"Bearer a\tb", b"\xc3\xa9"] {
        let mut request = format!(
            "GET {} HTTP/1.1\r\nHost: api\r\nConnection: close\r\nAuthorization: ",
            alice.path("daily-data")
        )
        .into_bytes();
        request.extend(value);
        request.extend(b"\r\n\r\n");
        let answer = stage.client.send_raw(&request).await;
        assert!(
            matches!(status_of(&answer), 400 | 401),
            "{value:?}: {answer}"
        );
    }
    assert!(lives(&stage).await);
}

//! The files of the web pages: their paths and headers. `scripts/test-page` tests their content in
//! a browser.

use crate::harness::{Answer, Stage};

async fn file(stage: &Stage, path: &str) -> Answer {
    stage.client.get(path).send_undescribed().await
}

#[tokio::test]
async fn a_page_loads_nothing_from_other_hosts_and_is_revalidated() {
    let stage = Stage::new().await;

    for path in [
        "/",
        "/admin",
        "/sw.js",
        "/page/health.js",
        "/page/style.css",
    ] {
        let answer = file(&stage, path).await;
        answer.assert_status(200);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'"),
            "{policy}"
        );
        assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));

        let tag = answer.header("etag").unwrap();
        let again = stage.client.get(path).with_header("if-none-match", tag);
        let again = again.send_undescribed().await;
        assert_eq!((again.status, again.text.as_str()), (304, ""));
    }
}

#[tokio::test]
async fn every_file_of_the_offline_page_is_listed_and_served() {
    let stage = Stage::new().await;
    let list = file(&stage, "/page/files.js").await.text;
    let list = list.strip_prefix("self.PAGE = ").unwrap();
    let list: serde_json::Value =
        serde_json::from_str(list.trim_end().trim_end_matches(';')).unwrap();

    let files = list["files"].as_object().unwrap();
    assert!(files.contains_key("/page/health.js"), "{list}");
    assert!(!files.contains_key("/page/admin.js"), "{list}");
    // Each entry of the list has the tag that distinguishes the file of this build from the same
    // file of other builds.
    let shell = [("/", &list["shell"])];
    let files = files.iter().map(|(path, tag)| (path.as_str(), tag));
    for (path, tag) in files.chain(shell) {
        let answer = file(&stage, path).await;
        answer.assert_status(200);
        let etag = format!("W/\"{}\"", tag.as_str().unwrap());
        assert_eq!(answer.header("etag"), Some(etag.as_str()));
    }
}

#[tokio::test]
async fn an_allowed_origin_may_frame_only_the_health_page() {
    let origins = ["--cors-allowed-origins=https://app.example,*".to_owned()];
    let stage = Stage::with_flags(&origins).await;
    let framed_by = async |path: &str| {
        let answer = file(&stage, path).await;
        answer.assert_status(200);
        let policy = answer.header("content-security-policy").unwrap();
        let (_, frames) = policy.split_once("frame-ancestors ").unwrap();
        let options = answer.header("x-frame-options").map(str::to_owned);
        (frames.to_owned(), options)
    };

    for path in ["/", "/page/index.html"] {
        assert_eq!(
            framed_by(path).await,
            ("https://app.example".to_owned(), None)
        );
    }
    for path in ["/admin", "/page/admin.html", "/page/admin.js", "/sw.js"] {
        let not_framed = ("'none'".to_owned(), Some("DENY".to_owned()));
        assert_eq!(framed_by(path).await, not_framed, "{path}");
    }
}

#[tokio::test]
async fn a_page_requires_trusted_types() {
    let stage = Stage::new().await;

    for path in ["/", "/admin"] {
        let answer = file(&stage, path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("; require-trusted-types-for 'script'; "),
            "{policy}"
        );
    }
}

#[tokio::test]
async fn the_description_and_its_page_are_compressed_once_and_have_an_etag() {
    let stage = Stage::new().await;
    let http = reqwest::Client::builder().no_gzip().build().unwrap();

    for path in ["/docs/", "/docs/swagger-ui-bundle.js", "/openapi.json"] {
        let url = format!("{}{path}", stage.client.base());
        let ask = || http.get(&url);
        let plain = ask().send().await.unwrap();
        assert_eq!(plain.status(), 200, "{path}");
        assert!(!plain.headers().contains_key("content-encoding"));
        let tag = plain.headers()["etag"].clone();
        let plain = plain.bytes().await.unwrap();
        // The client also accepts Brotli, but the file is available only with gzip.
        let packed = ask().header("accept-encoding", "br, gzip");
        let packed = packed.send().await.unwrap();
        assert_eq!(packed.headers()["content-encoding"], "gzip", "{path}");
        assert!(packed.bytes().await.unwrap().len() < plain.len());
        let again = ask().header("if-none-match", tag).send().await.unwrap();
        assert_eq!(again.status(), 304, "{path}");
    }
    let lost = file(&stage, "/docs/nothing.js").await;
    lost.assert_problem(404, "no-such-route");
    let posted = stage.client.post("/docs/").send_undescribed().await;
    posted.assert_problem(405, "method-not-allowed");
    let moved = file(&stage, "/docs").await;
    assert_eq!(
        (moved.status, moved.header("location")),
        (308, Some("/docs/"))
    );
}

#[tokio::test]
async fn an_unknown_page_is_answered_with_404() {
    let stage = Stage::new().await;

    for path in [
        "/page/",
        "/page/nothing.js",
        "/page/../Cargo.toml",
        "/page/%2e%2e/Cargo.toml",
        "/index.html",
    ] {
        file(&stage, path)
            .await
            .assert_problem(404, "no-such-route");
    }
    let posted = stage.client.post("/").send_undescribed().await;
    posted.assert_problem(405, "method-not-allowed");
}

//! What keeps the real program from starting, and how it says so.

use whoop_devkit::TestDb;

use crate::harness::{Binary, JWT_SECRET, RunningApi, TOKEN_KEY, free_address, simulator};

const APP_SECRET: &str = "hush-hush-app-secret";
const DATABASE_PASSWORD: &str = "hush-hush-password";

/// Everything that is needed, as variables, and a port nobody else can take.
const GOOD: [(&str, &str); 7] = [
    ("API_LISTEN", "127.0.0.1:0"),
    (
        "DATABASE_URL",
        "postgres://whoop:hush-hush-password@127.0.0.1:1/whoop",
    ),
    ("AUTH_JWT_SECRET", JWT_SECRET),
    ("WHOOP_CLIENT_ID", "an-app"),
    ("WHOOP_CLIENT_SECRET", APP_SECRET),
    (
        "WHOOP_REDIRECT_URL",
        "http://127.0.0.1:8080/api/v1/whoop/callback",
    ),
    (
        "TOKEN_KEYS",
        "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    ),
];

/// The program with one variable set to something else, or without it.
fn but_for(name: &str, value: Option<&str>) -> Binary {
    let mut binary = Binary::new();
    for (known, good) in GOOD.iter().filter(|(known, _)| *known != name) {
        binary = binary.env(known, good);
    }
    match value {
        Some(value) => binary.env(name, value),
        None => binary,
    }
}

async fn assert_refuses(binary: Binary, code: i32, mentions: &[&str]) {
    let ended = binary.ended().await;

    let told = &ended.stderr;
    assert_eq!(ended.status.code(), Some(code), "{told}");
    assert_eq!(ended.stdout, "");
    for word in mentions {
        assert!(told.contains(word), "no {word} in {told}");
    }
    for secret in [
        APP_SECRET,
        JWT_SECRET,
        DATABASE_PASSWORD,
        TOKEN_KEY,
        "AAECAwQ",
    ] {
        assert!(!told.contains(secret), "{told}");
    }
    assert!(!told.contains("panicked"), "{told}");
}

#[tokio::test]
async fn each_setting_that_it_needs_is_named_when_it_lacks() {
    for (name, _) in &GOOD[1..] {
        assert_refuses(but_for(name, None), 1, &[name]).await;
    }
    assert_refuses(but_for("AUTH_JWT_SECRET", None), 1, &["AUTH_SERVICE_KEYS"]).await;
    assert_refuses(
        but_for("AUTH_JWT_SECRET", Some("")),
        1,
        &["AUTH_JWT_SECRET"],
    )
    .await;
}

#[tokio::test]
async fn a_setting_that_cannot_be_is_named() {
    for (name, value) in [
        ("TOKEN_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        ("TOKEN_KEYS", "k1:AAECAwQ="),
        ("TOKEN_KEYS", "k1:AAECAwQ not base64"),
        ("TOKEN_KEYS", ""),
        (
            "TOKEN_KEYS",
            "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ),
        ("AUTH_SERVICE_KEYS", "hush-hush-password"),
        ("AUTH_SERVICE_KEYS", "zz"),
        (
            "AUTH_SERVICE_KEYS",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            "DATABASE_URL",
            "mysql://whoop:hush-hush-password@127.0.0.1/whoop",
        ),
        ("DATABASE_URL", "hush-hush-password"),
        (
            "DATABASE_URL",
            "postgres://whoop:hush-hush-password@127.0.0.1/whoop?sslmode=hope",
        ),
        ("AUTH_JWT_SECRET", "hush-hush-but-too-short"),
        ("AUTH_JWKS_URL", "http://issuer.example/keys"),
        (
            "AUTH_JWKS_URL",
            "https://user:hush-hush-password@issuer.example/keys",
        ),
        ("RUST_LOG", "info,=nonsense="),
    ] {
        assert_refuses(but_for(name, Some(value)), 1, &[name]).await;
    }
}

#[tokio::test]
async fn a_flag_that_cannot_be_is_a_wrong_usage() {
    for (name, value, flag) in [
        ("API_LISTEN", "everywhere", "--api-listen"),
        ("WHOOP_REDIRECT_URL", "callback", "--whoop-redirect-url"),
        ("WHOOP_API_URL", "whoop", "--whoop-api-url"),
        ("FRESHNESS_SECONDS", "0", "--freshness-seconds"),
        ("DATABASE_POOL_SIZE", "none", "--database-pool-size"),
        ("DATABASE_POOL_SIZE", "1", "--database-pool-size"),
        ("AUTH_JWKS_URL", "issuer", "--auth-jwks-url"),
        ("APP_RETURN_URLS", "app", "--app-return-urls"),
        ("LOG_FORMAT", "poem", "--log-format"),
    ] {
        assert_refuses(but_for(name, Some(value)), 2, &[flag]).await;
    }
    assert_refuses(but_for("X", None).arg("--nonsense"), 2, &["--nonsense"]).await;
}

#[tokio::test]
async fn without_authentication_it_listens_on_loopback_only() {
    for outside in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let binary = but_for("API_LISTEN", Some(outside)).arg("--insecure-no-auth");
        assert_refuses(binary, 1, &["--insecure-no-auth", "API_LISTEN"]).await;
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    assert_refuses(but_for("API_LISTEN", Some(&address)), 1, &[&address]).await;
}

#[tokio::test]
async fn help_shows_every_variable_and_no_value() {
    let mut binary = but_for("X", None).arg("--help");
    binary = binary.env("AUTH_SERVICE_KEYS", "hush-hush-digest");

    let ended = binary.ended().await;

    assert!(ended.status.success());
    for name in [
        "DATABASE_URL",
        "WHOOP_CLIENT_ID",
        "WHOOP_CLIENT_SECRET",
        "WHOOP_REDIRECT_URL",
        "WHOOP_API_URL",
        "WHOOP_OAUTH_URL",
        "TOKEN_KEYS",
        "API_LISTEN",
        "API_OPS_LISTEN",
        "API_DOCS",
        "AUTH_JWT_SECRET",
        "AUTH_JWKS_URL",
        "AUTH_JWT_AUDIENCE",
        "AUTH_JWT_ISSUER",
        "AUTH_SERVICE_KEYS",
        "APP_RETURN_URLS",
        "FRESHNESS_SECONDS",
        "DATABASE_POOL_SIZE",
        "LOG_FORMAT",
        "RUST_LOG",
    ] {
        assert!(ended.stdout.contains(name), "--help does not name {name}");
    }
    for secret in [
        APP_SECRET,
        JWT_SECRET,
        DATABASE_PASSWORD,
        TOKEN_KEY,
        "hush-hush",
    ] {
        assert!(!ended.stdout.contains(secret), "--help shows {secret}");
    }
}

#[tokio::test]
async fn a_healthcheck_without_a_shell_says_whether_the_api_is_alive() {
    let db = TestDb::new().await;
    let sim = simulator().await;
    let api = RunningApi::start(db.url(), &sim, "warn").await;
    let listen = api.client.address.to_string();

    let alive = Binary::new()
        .arg("healthcheck")
        .env("API_LISTEN", &listen)
        .ended()
        .await;
    let away = Binary::new()
        .arg("healthcheck")
        .arg(&format!("--api-listen={}", free_address()))
        .ended()
        .await;

    assert!(alive.status.success(), "{alive:?}");
    assert_eq!(away.status.code(), Some(1), "{away:?}");
}

//! Settings with which the real program does not start, and its error messages.

use whoop_devkit::TestDb;

use crate::harness::{Binary, JWT_SECRET, RunningApi, TOKEN_KEY, free_address, simulator};

const APP_SECRET: &str = "hush-hush-app-secret";
const DATABASE_PASSWORD: &str = "hush-hush-password";

/// Valid values of all required variables. The operating system chooses the port.
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

/// Returns the program with the variables in [`GOOD`], except that `name` has the value `value` or
/// is not set.
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

    let stderr = &ended.stderr;
    assert_eq!(ended.status.code(), Some(code), "{stderr}");
    assert_eq!(ended.stdout, "");
    for word in mentions {
        assert!(stderr.contains(word), "no {word} in {stderr}");
    }
    for secret in [
        APP_SECRET,
        JWT_SECRET,
        DATABASE_PASSWORD,
        TOKEN_KEY,
        "AAECAwQ",
    ] {
        assert!(!stderr.contains(secret), "{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[tokio::test]
async fn each_missing_required_setting_is_named() {
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
async fn all_missing_settings_are_named_at_once() {
    assert_refuses(
        Binary::new(),
        1,
        &[
            "DATABASE_URL is not set",
            "TOKEN_KEYS is not set",
            "WHOOP_CLIENT_ID is not set",
            "WHOOP_CLIENT_SECRET is not set",
            "WHOOP_REDIRECT_URL is not set",
            "AUTH_JWT_SECRET",
        ],
    )
    .await;
}

#[tokio::test]
async fn each_invalid_setting_is_named() {
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
        ("AUTH_JWT_AUDIENCE", "authenticated,,mobile"),
        ("AUTH_JWT_AUDIENCE", "authenticated, mobile"),
        ("AUTH_JWT_AUDIENCE", "*,mobile"),
        ("AUTH_JWT_ISSUER", "https://one.example/,"),
        ("AUTH_JWT_CLIENT_IDS", " "),
        ("AUTH_JWT_CLIENT_IDS", "one,,two"),
        ("AUTH_JWT_REQUIRE", "role"),
        ("AUTH_JWT_REQUIRE", "role="),
        ("AUTH_JWT_REQUIRE", "=authenticated"),
        ("AUTH_JWT_REQUIRE", "role = authenticated"),
        ("RUST_LOG", "info,=nonsense="),
    ] {
        assert_refuses(but_for(name, Some(value)), 1, &[name]).await;
    }
}

#[tokio::test]
async fn each_invalid_variable_is_named_with_a_valid_example() {
    for (name, value, right) in [
        ("API_LISTEN", "everywhere", "API_LISTEN=127.0.0.1:8080"),
        ("WHOOP_REDIRECT_URL", "callback", "/api/v1/whoop/callback"),
        ("WHOOP_API_URL", "whoop", "https://"),
        (
            "WHOOP_API_URL",
            "http://api.prod.whoop.com/developer",
            "https://",
        ),
        ("WHOOP_OAUTH_URL", "ftp://whoop.example", "https://"),
        ("API_PUBLIC_URL", "health.example", "https://health.example"),
        ("FRESHNESS_SECONDS", "0", "FRESHNESS_SECONDS=900"),
        ("DATABASE_POOL_SIZE", "none", "DATABASE_POOL_SIZE=8"),
        ("DATABASE_POOL_SIZE", "1", "2..=1000"),
        ("AUTH_JWKS_URL", "issuer", "jwks.json"),
        ("APP_RETURN_URLS", "app", "hos://whoop"),
        ("APP_RETURN_URLS", "javascript:alert(1)", "hos://whoop"),
        ("CORS_ALLOWED_ORIGINS", "app.example", "https://app.example"),
        (
            "CORS_ALLOWED_ORIGINS",
            "https://*.app.example",
            "https://app.example",
        ),
        (
            "CORS_ALLOWED_ORIGINS",
            "https://app.example/path",
            "https://app.example",
        ),
        (
            "CORS_ALLOWED_ORIGINS",
            "https://app.example,",
            "https://app.example",
        ),
        (
            "WHOOP_CLIENT_SECRET",
            "hush-hush",
            "developer-dashboard.whoop.com",
        ),
        ("LOG_FORMAT", "poem", "text, json"),
        ("RUST_LOG", "inof", "RUST_LOG=info"),
        (
            "AUTH_JWT_MAX_LIFETIME_SECONDS",
            "a day",
            "AUTH_JWT_MAX_LIFETIME_SECONDS=86400",
        ),
        ("AUTH_JWT_MAX_LIFETIME_SECONDS", "0", "60..=31536000"),
        ("CONNECT_CONFIRM", "perhaps", "off, required"),
    ] {
        assert_refuses(but_for(name, Some(value)), 1, &[name, right]).await;
    }
}

#[tokio::test]
async fn an_invalid_flag_is_refused_like_its_variable_and_an_unknown_flag_is_wrong_usage() {
    let freshness = || but_for("X", None).arg("--freshness-seconds=0");
    assert_refuses(freshness(), 1, &["FRESHNESS_SECONDS", "1..=86400"]).await;
    let keys = but_for("TOKEN_KEYS", None).arg("--token-keys=k1:AAECAwQ=");
    assert_refuses(keys, 1, &["TOKEN_KEYS"]).await;

    assert_refuses(but_for("X", None).arg("--nonsense"), 2, &["--nonsense"]).await;
    for flag in ["--auth-jwks-url", "--auth-jwt-issuer", "--token-keys"] {
        let name = if flag == "--token-keys" {
            "TOKEN_KEYS"
        } else {
            "X"
        };
        let empty = but_for(name, None).arg(&format!("{flag}="));
        assert_refuses(empty, 2, &[&format!("{flag} is empty")]).await;
    }
}

#[tokio::test]
async fn all_invalid_settings_are_reported_at_once() {
    let binary = but_for("WHOOP_CLIENT_ID", None)
        .env("TOKEN_KEYS", "k1:AAECAwQ=")
        .env("WHOOP_CLIENT_SECRET", "hush")
        .env("CORS_ALLOWED_ORIGINS", "app.example")
        .env("RUST_LOG", "inof")
        .env("API_WORKERS", "0")
        .env("AUTH_SERVICE_KEYS", "hush-hush-password")
        .env("DATABASE_READ_URL", "mysql://hush-hush-password@h")
        .env("AUTH_JWT_SECRET_FILE", "/nowhere/secret");
    assert_refuses(
        binary,
        1,
        &[
            "9 settings are missing or not usable",
            "WHOOP_CLIENT_ID is not set",
            "TOKEN_KEYS",
            "WHOOP_CLIENT_SECRET",
            "CORS_ALLOWED_ORIGINS",
            "RUST_LOG",
            "API_WORKERS",
            "AUTH_SERVICE_KEYS",
            "DATABASE_READ_URL",
            "AUTH_JWT_SECRET and AUTH_JWT_SECRET_FILE are both set",
        ],
    )
    .await;
}

/// A port that is already in use. A program with valid settings fails to start only because of this
/// port.
struct Taken {
    listener: std::net::TcpListener,
}

impl Taken {
    fn new() -> Self {
        Self {
            listener: std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    async fn assert_is_all_that_is_wrong(&self, binary: Binary) {
        let address = self.listener.local_addr().unwrap().to_string();
        let binary = binary.env("API_LISTEN", &address);
        assert_refuses(binary, 1, &["cannot listen on", &address]).await;
    }
}

#[tokio::test]
async fn an_empty_variable_is_the_same_as_an_absent_one() {
    let mut binary = but_for("X", None);
    for name in [
        "API_PUBLIC_URL",
        "API_REQUESTS_PER_MINUTE",
        "API_WORKERS",
        "APP_RETURN_URLS",
        "AUTH_JWKS_URL",
        "AUTH_JWT_AUDIENCE",
        "AUTH_JWT_ISSUER",
        "AUTH_SERVICE_KEYS",
        "CORS_ALLOWED_ORIGINS",
        "DATABASE_POOLER",
        "DATABASE_POOL_SIZE",
        "DATABASE_READ_URL",
        "DATABASE_STATEMENT_TIMEOUT_SECONDS",
        "DATABASE_URL_FILE",
        "FRESHNESS_SECONDS",
        "LOG_FORMAT",
        "RETENTION_DAYS",
        "RUST_LOG",
        "TOKEN_KEYS_FILE",
        "WEBHOOK_MAX_AGE_SECONDS",
        "WHOOP_API_URL",
        "WHOOP_CALLS_PER_DAY",
        "WHOOP_CALLS_PER_MINUTE",
        "WHOOP_OAUTH_URL",
    ] {
        binary = binary.env(name, "");
    }
    Taken::new().assert_is_all_that_is_wrong(binary).await;

    for (name, _) in &GOOD[1..] {
        assert_refuses(but_for(name, Some("")), 1, &[name, "not set"]).await;
    }
}

#[tokio::test]
async fn every_secret_may_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let taken = Taken::new();
    let keys = format!("{0},{0}\n", "a".repeat(64));
    let more = [
        ("AUTH_SERVICE_KEYS", keys.as_str()),
        ("DATABASE_READ_URL", GOOD[1].1),
    ];
    let secrets = [
        "DATABASE_URL",
        "WHOOP_CLIENT_SECRET",
        "TOKEN_KEYS",
        "AUTH_JWT_SECRET",
    ];
    let good = GOOD.iter().filter(|(name, _)| secrets.contains(name));
    let mut binary = Binary::new();
    for (name, value) in GOOD.iter().filter(|(name, _)| !secrets.contains(name)) {
        binary = binary.env(name, value);
    }
    for (name, content) in good.chain(&more) {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{}\n", content.trim_end())).unwrap();
        binary = binary.env(&format!("{name}_FILE"), path.to_str().unwrap());
    }
    taken.assert_is_all_that_is_wrong(binary).await;
}

#[tokio::test]
async fn a_file_without_a_usable_secret_is_named_and_its_content_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for (path, reason) in [
        (put("empty", b""), "is empty"),
        (put("line", b"\n"), "is empty"),
        (put("binary", b"hush-hush-password\xff"), "UTF-8"),
        (
            put("large", &b"hush-hush-password".repeat(4096)),
            "65536 bytes",
        ),
        (put("short", b"hush"), "at least 32"),
        (folder.path().to_str().unwrap().to_owned(), "cannot be read"),
        ("/nowhere/secret".to_owned(), "/nowhere/secret"),
    ] {
        let binary = but_for("AUTH_JWT_SECRET", None).env("AUTH_JWT_SECRET_FILE", &path);
        assert_refuses(binary, 1, &["AUTH_JWT_SECRET", reason]).await;
    }
    let both = but_for("X", None).env("TOKEN_KEYS_FILE", &put("keys", b"k1:AAECAwQ="));
    assert_refuses(both, 1, &["TOKEN_KEYS and TOKEN_KEYS_FILE are both set"]).await;
}

#[tokio::test]
async fn the_command_openapi_needs_no_settings() {
    let binary = Binary::new()
        .env("API_WORKERS", "none")
        .env("TOKEN_KEYS_FILE", "/nowhere")
        .arg("openapi");

    let ended = binary.ended().await;

    assert!(ended.status.success(), "{ended:?}");
}

#[tokio::test]
async fn without_authentication_it_listens_on_loopback_only() {
    for outside in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let binary = but_for("API_LISTEN", Some(outside)).arg("--insecure-no-auth");
        assert_refuses(binary, 1, &["--insecure-no-auth", "API_LISTEN"]).await;
    }
}

#[tokio::test]
async fn settings_that_accept_too_many_callers_are_logged_at_the_start() {
    let db = TestDb::new().await;
    let sim = simulator().await;
    let more = ["--insecure-no-auth", "--auth-jwt-audience=*"];
    let api = RunningApi::start_with_flags(db.url(), &sim, "warn", &more).await;

    api.signal(rustix::process::Signal::TERM);
    let (_, log) = api.end().await;

    for words in [
        "requests without credentials are accepted",
        "every person and program on this machine may read",
        "tokens for any audience are accepted",
    ] {
        assert_eq!(log.matches(words).count(), 1, "{words}: {log}");
    }
}

#[tokio::test]
async fn an_address_that_is_in_use_is_named() {
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
        "AUTH_JWT_CLIENT_IDS",
        "AUTH_JWT_REQUIRE",
        "AUTH_JWT_MAX_LIFETIME_SECONDS",
        "AUTH_SERVICE_KEYS",
        "APP_RETURN_URLS",
        "CONNECT_CONFIRM",
        "FRESHNESS_SECONDS",
        "DATABASE_POOL_SIZE",
        "LOG_FORMAT",
        "RUST_LOG",
    ] {
        assert!(ended.stdout.contains(name), "--help does not name {name}");
    }
    for secret in [
        "DATABASE_URL",
        "DATABASE_READ_URL",
        "WHOOP_CLIENT_SECRET",
        "TOKEN_KEYS",
        "AUTH_JWT_SECRET",
        "AUTH_SERVICE_KEYS",
    ] {
        let file = format!("{secret}_FILE]");
        assert!(ended.stdout.contains(&file), "--help does not name {file}");
    }
    assert_eq!(
        ended.stdout.matches("_FILE]").count(),
        6,
        "{}",
        ended.stdout
    );
    // Five settings are required. Three more are marked as required, because one of them has to be
    // set.
    assert_eq!(
        ended.stdout.matches("(required").count(),
        8,
        "{}",
        ended.stdout
    );
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
async fn the_command_healthcheck_reports_whether_the_api_is_alive() {
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

use std::net::SocketAddr;

use clap::{Args, Parser, ValueEnum};
use secrecy::SecretString;
use url::Url;
use whoop_sync::config::{
    DatabaseArgs, FreshnessArgs, LogArgs, RetentionArgs, WebhookArgs, WhoopArgs,
};

/// Answers the app from the members' own database.
///
/// Every flag is also a variable; flags win. Run `sync-worker migrate` first.
#[derive(Debug, Clone, Parser)]
#[command(name = "api", version)]
pub struct Cli {
    /// Where to listen.
    #[arg(
        long,
        env = "API_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    pub api_listen: SocketAddr,

    /// Second address for the operator: `/metrics`, `/admin` and `/api/v1/whoop/admin/*` are
    /// then on it alone, health checks on both. Such as `127.0.0.1:8081`.
    #[arg(long, env = "API_OPS_LISTEN", value_name = "ADDRESS")]
    pub api_ops_listen: Option<SocketAddr>,

    /// Whether `/docs` and `/openapi.json` are served.
    #[arg(
        long,
        env = "API_DOCS",
        value_enum,
        default_value = "on",
        value_name = "SWITCH"
    )]
    pub api_docs: Switch,

    /// Where the outside reaches this server, like `https://health.example`: where a
    /// connect that began on the Health page goes back to. Without it that page is
    /// taken to lie beside the callback.
    #[arg(long, env = "API_PUBLIC_URL", value_name = "URL")]
    pub api_public_url: Option<Url>,

    /// Threads that serve requests; as many as there are cores if not given.
    #[arg(long, env = "API_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub api_workers: Option<u16>,

    /// Requests a minute that a member may make, and as many at once; 0 for no limit.
    /// Service keys have none.
    #[arg(
        long,
        env = "API_REQUESTS_PER_MINUTE",
        default_value_t = 600,
        value_name = "N"
    )]
    pub api_requests_per_minute: u32,

    /// Origins of web apps that may ask from a browser, like `https://app.example`;
    /// `*` for any.
    #[arg(
        long,
        env = "CORS_ALLOWED_ORIGINS",
        value_delimiter = ',',
        value_name = "ORIGINS"
    )]
    pub cors_allowed_origins: Vec<String>,

    #[command(flatten)]
    pub auth: AuthArgs,

    #[command(flatten)]
    pub database: DatabaseArgs,

    /// A read replica, from which days, spans and records are read. Of a member who
    /// changed within the last minute the primary is read.
    #[arg(
        long,
        env = "DATABASE_READ_URL",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "PostgreSQL"
    )]
    pub database_read_url: Option<SecretString>,

    /// How long a statement may take before PostgreSQL ends it; 0 for no limit. Not
    /// behind a pooler in transaction mode: there, set it for the role.
    #[arg(
        long,
        env = "DATABASE_STATEMENT_TIMEOUT_SECONDS",
        default_value_t = 30,
        value_name = "SECONDS",
        help_heading = "PostgreSQL"
    )]
    pub database_statement_timeout_seconds: u32,

    #[command(flatten)]
    pub whoop: WhoopArgs,

    #[command(flatten)]
    pub webhooks: WebhookArgs,

    #[command(flatten)]
    pub freshness: FreshnessArgs,

    #[command(flatten)]
    pub retention: RetentionArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

/// A part of the API that can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

impl Cli {
    /// Whether every address that the API listens on is reachable from this machine alone.
    pub(crate) fn listens_on_loopback(&self) -> bool {
        let mut addresses = [Some(self.api_listen), self.api_ops_listen]
            .into_iter()
            .flatten();
        addresses.all(|address| address.ip().is_loopback())
    }
}

/// Who may ask.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Callers")]
pub struct AuthArgs {
    /// HS256 secret of the members' JWTs, at least 32 bytes (Supabase: the legacy
    /// JWT secret).
    #[arg(
        long,
        env = "AUTH_JWT_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub auth_jwt_secret: Option<SecretString>,

    /// Key set of whoever signs the members' JWTs with RS256, ES256 or `EdDSA`
    /// (Supabase: `https://<project>.supabase.co/auth/v1/.well-known/jwks.json`).
    #[arg(long, env = "AUTH_JWKS_URL", value_name = "URL")]
    pub auth_jwks_url: Option<Url>,

    /// `aud` that a JWT must carry; empty accepts any.
    #[arg(
        long,
        env = "AUTH_JWT_AUDIENCE",
        default_value = "authenticated",
        value_name = "AUDIENCE"
    )]
    pub auth_jwt_audience: String,

    /// `iss` that a JWT must carry; not checked if not given.
    #[arg(long, env = "AUTH_JWT_ISSUER", value_name = "ISSUER")]
    pub auth_jwt_issuer: Option<String>,

    /// SHA-256 hex digests of service keys; a holder may act for any member.
    #[arg(
        long,
        env = "AUTH_SERVICE_KEYS",
        hide_env_values = true,
        value_delimiter = ',',
        value_name = "DIGESTS"
    )]
    pub auth_service_keys: Vec<String>,

    /// Prefixes of addresses that a connect may return to.
    #[arg(
        long,
        env = "APP_RETURN_URLS",
        value_delimiter = ',',
        value_name = "URLS"
    )]
    pub app_return_urls: Vec<Url>,

    /// Let anybody on this machine ask for any member; for development only.
    #[arg(long)]
    pub insecure_no_auth: bool,
}

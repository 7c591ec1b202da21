use std::net::SocketAddr;

use clap::{Args, Parser, ValueEnum};
use secrecy::SecretString;
use url::Url;
use whoop_sync::config::{
    DatabaseArgs, FreshnessArgs, LogArgs, RetentionArgs, SettingFault, SettingFaults, WebhookArgs,
    WhoopArgs, database_address, web_address,
};

use crate::{auth, cors, return_to, start_error::ApiStartError};

/// Serves the app's HTTP API from PostgreSQL.
///
/// Every flag can also be set as an environment variable; the flag takes precedence. Run
/// `sync-worker migrate` before the first start.
#[derive(Debug, Clone, Parser)]
#[command(name = "api", version)]
pub struct ApiCli {
    /// Address to listen on.
    #[arg(
        long,
        env = "API_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    pub api_listen: SocketAddr,

    /// Second address to listen on, for the operator, such as `127.0.0.1:8081`. `/metrics`,
    /// `/admin` and `/api/v1/whoop/admin/*` are then served only on this address, and health checks
    /// on both addresses.
    #[arg(long, env = "API_OPS_LISTEN", value_name = "ADDRESS")]
    pub api_ops_listen: Option<SocketAddr>,

    /// Serve `/docs` and `/openapi.json`.
    #[arg(
        long,
        env = "API_DOCS",
        value_enum,
        default_value = "on",
        value_name = "SWITCH"
    )]
    pub api_docs: DocsSwitch,

    /// Public address of this server, such as `https://health.example`. After connecting WHOOP on
    /// the Health page, the browser returns to this address; by default it returns to the host of
    /// the callback.
    #[arg(long, env = "API_PUBLIC_URL", value_name = "URL", value_parser = web_address)]
    pub api_public_url: Option<Url>,

    /// Number of threads that serve requests; default: the number of CPU cores.
    #[arg(long, env = "API_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub api_workers: Option<u16>,

    /// Maximum number of requests per minute for each member, and also the maximum number of
    /// requests at once; 0 for no limit. Requests with a service key are not limited.
    #[arg(
        long,
        env = "API_REQUESTS_PER_MINUTE",
        default_value_t = 600,
        value_name = "N"
    )]
    pub api_requests_per_minute: u32,

    /// Origins of web apps that may send requests from a browser, separated by commas, such as
    /// `https://app.example`; `*` for any origin.
    #[arg(
        long,
        env = "CORS_ALLOWED_ORIGINS",
        value_delimiter = ',',
        value_name = "ORIGINS",
        value_parser = cors::parse_origin
    )]
    pub cors_allowed_origins: Vec<String>,

    #[command(flatten)]
    pub auth: AuthArgs,

    #[command(flatten)]
    pub database: DatabaseArgs,

    /// Address of a read replica, from which days, spans of days and records are read. Members with
    /// changes within the last 60 seconds are read from the primary.
    #[arg(
        long,
        env = "DATABASE_READ_URL",
        hide_env_values = true,
        value_name = "URL",
        value_parser = database_address,
        help_heading = "PostgreSQL"
    )]
    pub database_read_url: Option<SecretString>,

    /// Maximum duration of a statement in seconds, after which PostgreSQL cancels it; 0 for no
    /// limit. Not applied behind a pooler in transaction mode: there, set `statement_timeout` for
    /// the role.
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

    /// Settings that could not be read from the environment or from a file, each with the reason.
    #[arg(skip)]
    pub unreadable: SettingFaults,
}

/// Whether the API serves `/docs` and `/openapi.json` (`API_DOCS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DocsSwitch {
    On,
    Off,
}

impl ApiCli {
    /// Returns all settings that prevent the API from starting, each with the reason.
    pub fn faults(&self) -> SettingFaults {
        let mut faults = self.unreadable.clone();
        faults.extend(self.database.faults());
        faults.extend(self.whoop.faults());
        faults.extend(
            self.auth
                .faults(self.listens_on_loopback(), &self.unreadable),
        );
        faults.extend(self.operations_fault());
        faults
    }

    fn operations_fault(&self) -> Option<SettingFault> {
        let operations = self.api_ops_listen?;
        addresses_overlap(self.api_listen, operations).then(|| {
            let public = self.api_listen;
            let reason = ApiStartError::SameAddress { public, operations }.to_string();
            SettingFault::unusable("API_OPS_LISTEN", &reason)
        })
    }

    /// Returns whether all addresses that the API listens on are loopback addresses, which only
    /// programs on this machine can reach.
    pub(crate) fn listens_on_loopback(&self) -> bool {
        let mut addresses = [Some(self.api_listen), self.api_ops_listen]
            .into_iter()
            .flatten();
        addresses.all(|address| address.ip().is_loopback())
    }
}

/// Returns whether one server cannot listen on each of the two addresses at the same time.
///
/// The addresses conflict if their ports are equal and their IP addresses overlap: the IP addresses
/// are equal, or one of them is unspecified (such as `0.0.0.0`) and includes all others.
fn addresses_overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same_ip =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    // With port 0, the operating system chooses a different free port for each address.
    is_same_ip && one.port() == other.port() && one.port() != 0
}

/// Settings for the authentication of callers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Callers")]
pub struct AuthArgs {
    /// HS256 secret of the members' JWTs, at least 32 bytes (Supabase: the legacy JWT secret)
    /// (required, unless a key set or service keys are set)
    #[arg(
        long,
        env = "AUTH_JWT_SECRET",
        hide_env_values = true,
        value_name = "SECRET",
        value_parser = auth::parse_jwt_secret
    )]
    pub auth_jwt_secret: Option<SecretString>,

    /// Address of the key set of the issuer that signs the members' JWTs with RS256, ES256 or
    /// `EdDSA` (Supabase: `https://<project>.supabase.co/auth/v1/.well-known/jwks.json`) (required,
    /// unless a secret or service keys are set)
    #[arg(long, env = "AUTH_JWKS_URL", value_name = "URL", value_parser = auth::parse_key_set_url)]
    pub auth_jwks_url: Option<Url>,

    /// Accepted values of `aud` in a JWT, separated by commas; `*` alone accepts any value.
    #[arg(
        long,
        env = "AUTH_JWT_AUDIENCE",
        default_value = "authenticated",
        value_name = "AUDIENCES"
    )]
    pub auth_jwt_audience: String,

    /// Accepted values of `iss` in a JWT, separated by commas. If it is not set or is `*`, the
    /// issuer is not checked.
    #[arg(long, env = "AUTH_JWT_ISSUER", value_name = "ISSUERS")]
    pub auth_jwt_issuer: Option<String>,

    /// Ids of the OAuth clients to which accepted JWTs may be issued, separated by commas. A JWT
    /// with the claim `client_id` is refused unless that id is listed here.
    #[arg(long, env = "AUTH_JWT_CLIENT_IDS", value_name = "CLIENT_IDS")]
    pub auth_jwt_client_ids: Option<String>,

    /// Claims that every JWT must have, separated by commas, such as `role=authenticated,aal=aal2`.
    #[arg(long, env = "AUTH_JWT_REQUIRE", value_name = "CLAIM=VALUE,…")]
    pub auth_jwt_require: Option<String>,

    /// Maximum lifetime of a JWT in seconds: `exp` may be at most this far in the future, and at
    /// most this long after `iat`.
    #[arg(
        long,
        env = "AUTH_JWT_MAX_LIFETIME_SECONDS",
        default_value_t = 86_400,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(60..=31_536_000)
    )]
    pub auth_jwt_max_lifetime_seconds: u32,

    /// SHA-256 digests, in hexadecimal and separated by commas, of service keys with every scope.
    /// Set `database` if all callers use keys made by `sync-worker service-keys`, which are
    /// accepted with any value of this setting (required, unless a secret or a key set is set)
    #[arg(
        long,
        env = "AUTH_SERVICE_KEYS",
        hide_env_values = true,
        value_delimiter = ',',
        value_name = "DIGESTS",
        value_parser = auth::parse_service_key
    )]
    pub auth_service_keys: Vec<String>,

    /// Prefixes of the addresses to which the browser may be redirected after connecting WHOOP,
    /// separated by commas, such as `hos://whoop,https://app.example/`.
    #[arg(
        long,
        env = "APP_RETURN_URLS",
        value_delimiter = ',',
        value_name = "URLS",
        value_parser = return_to::parse_return_url
    )]
    pub app_return_urls: Vec<Url>,

    /// `required`: a member is connected only after the app has confirmed this with the member's
    /// JWT. This protects a member who opens a link with which another member began to connect
    /// WHOOP.
    #[arg(
        long,
        env = "CONNECT_CONFIRM",
        default_value = "off",
        value_name = "MODE"
    )]
    pub connect_confirm: ConnectConfirm,

    /// Accept requests without credentials, with access to every member's data. Only for
    /// development on loopback. Requests must have a loopback host (`localhost`, `127.0.0.1`,
    /// `[::1]`).
    #[arg(long)]
    pub insecure_no_auth: bool,
}

impl AuthArgs {
    /// Returns the authentication settings that prevent the API from starting, each with the
    /// reason.
    ///
    /// If a setting with credentials could not be read, missing credentials are not reported,
    /// because `unreadable` already contains that setting.
    fn faults(&self, listens_on_loopback: bool, unreadable: &SettingFaults) -> Vec<SettingFault> {
        let mut faults = Vec::new();
        if self.insecure_no_auth && !listens_on_loopback {
            let reason = ApiStartError::NoAuthOutsideLoopback.to_string();
            faults.push(SettingFault::unusable("--insecure-no-auth", &reason));
        }
        let settings = ["AUTH_JWT_SECRET", "AUTH_JWKS_URL", "AUTH_SERVICE_KEYS"];
        let is_unreadable = settings.iter().any(|name| unreadable.has(name));
        if !self.has_authentication() && !is_unreadable && !self.insecure_no_auth {
            let reason = ApiStartError::NoAuthentication.to_string();
            faults.push(SettingFault::unusable("AUTH_JWT_SECRET", &reason));
        }
        faults.extend(auth::claims::faults(self));
        faults
    }

    /// Returns whether a setting allows callers to authenticate: a JWT secret, a key set or service
    /// keys.
    fn has_authentication(&self) -> bool {
        self.auth_jwt_secret.is_some()
            || self.auth_jwks_url.is_some()
            || self
                .auth_service_keys
                .iter()
                .any(|key| !key.trim().is_empty())
    }
}

/// Whether the app has to confirm that a member is to be connected (`CONNECT_CONFIRM`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConnectConfirm {
    Off,
    Required,
}

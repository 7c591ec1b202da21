//! Settings that the API and the worker share. Each setting is a flag and also an environment
//! variable.

mod address;
mod command_line;
mod fault;
mod log_filter;
mod secret_file;

use std::{
    io::{self, IsTerminal},
    sync::Arc,
    time::Duration,
};

use chrono::TimeDelta;
use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};
use url::Url;
use whoop_client::{TimestampTolerance, WhoopClient, WhoopConfig, WhoopError};
use whoop_core::{Clock, quota::QuotaLimits, retention::Retention};
use whoop_storage::{
    Database, DatabaseConfig, PoolerMode, ServerVerification, StorageError, seal::TokenKeys,
};

pub use self::{
    address::web_address,
    command_line::{CommandLine, CommandLineError, read_command_line},
    fault::{SettingFault, SettingFaults},
};
use crate::{Engine, EngineSettings};

const DASHBOARD_HINT: &str = "take it from the app's page at https://developer-dashboard.whoop.com";

/// A missing or unusable setting, because of which the process cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    #[error("{name} is not set; {what_to_do}")]
    Missing {
        name: &'static str,
        what_to_do: &'static str,
    },
    #[error("{name} is not usable: {reason}")]
    Unusable { name: &'static str, reason: String },
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Whoop(#[from] WhoopError),
}

impl ConfigError {
    /// Converts the error to the fault of one setting, so that all faults can be reported together.
    pub fn to_fault(&self) -> SettingFault {
        let message = self.to_string();
        match self {
            Self::Missing { name, what_to_do } => SettingFault::missing(name, what_to_do),
            Self::Unusable { name, reason } => SettingFault::unusable(name, reason),
            Self::Storage(StorageError::Seal(_)) => SettingFault::unusable("TOKEN_KEYS", &message),
            Self::Storage(_) => SettingFault::unusable("DATABASE_URL", &message),
            Self::Whoop(_) => SettingFault::unusable("WHOOP_*", &message),
        }
    }
}

/// Settings of the connection to PostgreSQL.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "PostgreSQL")]
pub struct DatabaseArgs {
    /// Address of PostgreSQL, `postgres://…` (required)
    ///
    /// The complete form is `postgres://user:password@host:port/database`. The parameters `sslmode`
    /// and `sslrootcert` have the same meaning as in libpq.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL",
          value_parser = database_address)]
    pub database_url: Option<SecretString>,

    /// Maximum number of PostgreSQL connections of each process.
    ///
    /// A token refresh takes two connections.
    #[arg(long, env = "DATABASE_POOL_SIZE", default_value_t = 8, value_name = "N",
          value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub database_pool_size: u16,

    /// Set to `transaction` for a pooler in transaction mode.
    ///
    /// `PgBouncer`, and Supavisor at port 6543, are such poolers. In this mode, no statement is
    /// prepared in advance, and the service polls for changes instead of listening for
    /// notifications.
    #[arg(
        long,
        env = "DATABASE_POOLER",
        value_parser = pooler_mode(),
        default_value = "session",
        value_name = "MODE"
    )]
    pub database_pooler: PoolerMode,
}

/// Returns a clap parser for the pooler mode. It is defined here because the storage crate, which
/// defines the modes, does not depend on clap.
fn pooler_mode() -> impl TypedValueParser<Value = PoolerMode> {
    let modes = [PoolerMode::Session, PoolerMode::Transaction];
    PossibleValuesParser::new(modes.map(PoolerMode::name)).map(move |name| {
        let mode = modes.into_iter().find(|mode| mode.name() == name);
        mode.expect("clap accepts only the names of these modes")
    })
}

/// Checks that a text is the URL of a PostgreSQL database, and returns it as a secret.
///
/// # Errors
///
/// The reason for which the URL is refused, without any part of the password.
pub fn database_address(text: &str) -> Result<SecretString, String> {
    Database::check_address(text)
        .map_err(|reason| format!("{reason}; example: {DATABASE_EXAMPLE}"))?;
    Ok(text.into())
}

const DATABASE_EXAMPLE: &str = "postgres://user:password@db.example:5432/app?sslmode=verify-full";

impl DatabaseArgs {
    /// Returns the faults of the settings that the connection pool requires; empty if there are
    /// none.
    pub fn faults(&self) -> Vec<SettingFault> {
        self.database()
            .err()
            .map(|error| error.to_fault())
            .into_iter()
            .collect()
    }

    /// Creates the connection pool. No connection is opened yet.
    ///
    /// # Errors
    ///
    /// `DATABASE_URL` is missing or unusable.
    pub fn database(&self) -> Result<Database, ConfigError> {
        self.pool(None, self.database_pool_size.into(), None)
    }

    /// Creates a pool of `pool_size` connections to `other_url`, or to `DATABASE_URL` if
    /// `other_url` is `None`.
    ///
    /// If `statement_timeout` is given, PostgreSQL cancels statements that take longer.
    ///
    /// # Errors
    ///
    /// The URL is missing or unusable.
    pub fn pool(
        &self,
        other_url: Option<&SecretString>,
        pool_size: usize,
        statement_timeout: Option<Duration>,
    ) -> Result<Database, ConfigError> {
        let url = other_url.or(self.database_url.as_ref()).cloned();
        let url = url.ok_or(ConfigError::Missing {
            name: "DATABASE_URL",
            what_to_do: "example: postgres://user:password@db.example:5432/app?sslmode=verify-full",
        })?;
        let config = DatabaseConfig {
            url,
            pool_size,
            pooler: self.database_pooler,
        };
        Ok(Database::with_statement_timeout(
            &config,
            statement_timeout,
        )?)
    }

    /// Whether PostgreSQL's notifications (`LISTEN`) reach this process. A pooler in transaction
    /// mode does not deliver them.
    pub fn supports_listen(&self) -> bool {
        self.database_pooler == PoolerMode::Session
    }

    /// Returns the host and port of the database for messages, without the user name and the
    /// password; `None` if `DATABASE_URL` is not set or names no host.
    pub fn host_and_port(&self) -> Option<String> {
        let url = Url::parse(self.database_url.as_ref()?.expose_secret()).ok()?;
        let host = url.host_str().filter(|host| !host.is_empty())?;
        Some(format!("{host}:{}", url.port().unwrap_or(5432)))
    }
}

/// Logs a warning if the server's certificate is not checked, so that another machine could pose as
/// PostgreSQL. `setting` is the name of the variable that contains the server's URL.
pub fn warn_if_unverified(setting: &'static str, database: &Database) {
    if let ServerVerification::Unverified(sslmode) = database.server_verification() {
        tracing::warn!(
            setting,
            sslmode,
            "connection to PostgreSQL is not verified: the server's certificate is not checked; \
             use sslmode=verify-full, and sslrootcert=FILE for your own certificate authority"
        );
    }
}

/// WHOOP's call limits for the WHOOP app.
#[derive(Debug, Clone, Copy, Args)]
pub struct LimitArgs {
    /// Calls per minute that WHOOP allows.
    ///
    /// The limit applies to the WHOOP app, that is, to all processes together.
    #[arg(long, env = "WHOOP_CALLS_PER_MINUTE", default_value_t = QuotaLimits::default().per_minute,
          value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub whoop_calls_per_minute: u32,

    /// Calls per day that WHOOP allows.
    ///
    /// The limit applies to the WHOOP app, that is, to all processes together.
    #[arg(long, env = "WHOOP_CALLS_PER_DAY", default_value_t = QuotaLimits::default().per_day,
          value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub whoop_calls_per_day: u32,
}

impl LimitArgs {
    pub const fn limits(self) -> QuotaLimits {
        QuotaLimits {
            per_minute: self.whoop_calls_per_minute,
            per_day: self.whoop_calls_per_day,
        }
    }
}

/// Settings for WHOOP: credentials of the WHOOP app, URLs, call limits, and the keys that seal
/// members' tokens.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "WHOOP")]
pub struct WhoopArgs {
    /// Client id of the WHOOP app, from WHOOP's developer dashboard (required)
    #[arg(long, env = "WHOOP_CLIENT_ID", value_name = "ID")]
    pub whoop_client_id: Option<String>,

    /// Client secret of the WHOOP app (required)
    ///
    /// WHOOP's dashboard shows it on the same page as the client id. Never put it into a mobile
    /// app.
    #[arg(
        long,
        env = "WHOOP_CLIENT_SECRET",
        hide_env_values = true,
        value_name = "SECRET",
        value_parser = client_secret
    )]
    pub whoop_client_secret: Option<SecretString>,

    /// Callback URL, exactly as it is registered for the WHOOP app (required)
    #[arg(long, env = "WHOOP_REDIRECT_URL", value_name = "URL",
          value_parser = address::callback_address)]
    pub whoop_redirect_url: Option<Url>,

    /// URL of WHOOP's API.
    ///
    /// Paths that begin with `/v2/` are appended to this URL.
    #[arg(
        long,
        env = "WHOOP_API_URL",
        value_name = "URL",
        value_parser = address::whoop_address,
        default_value = "https://api.prod.whoop.com/developer"
    )]
    pub whoop_api_url: Url,

    /// URL of WHOOP's OAuth.
    ///
    /// The paths `/auth` and `/token` are appended to this URL.
    #[arg(
        long,
        env = "WHOOP_OAUTH_URL",
        value_name = "URL",
        value_parser = address::whoop_address,
        default_value = "https://api.prod.whoop.com/oauth/oauth2"
    )]
    pub whoop_oauth_url: Url,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub keys: KeyArgs,
}

/// The keys that seal (encrypt) members' tokens.
#[derive(Debug, Clone, Args)]
pub struct KeyArgs {
    /// Keys that seal tokens, `id:base64[,…]` (required)
    ///
    /// The complete form is `id:base64-of-32-bytes[,id:…]`. The first key seals (encrypts) tokens.
    /// All keys are used to open (decrypt) stored tokens.
    #[arg(long, env = "TOKEN_KEYS", hide_env_values = true, value_name = "KEYS",
          value_parser = token_keys)]
    pub token_keys: Option<SecretString>,
}

/// Checks the text of `TOKEN_KEYS`, and returns it as a secret. The error contains no part of a
/// key.
fn token_keys(text: &str) -> Result<SecretString, String> {
    let keys = SecretString::from(text);
    TokenKeys::parse(&keys).map_err(|error| error.to_string())?;
    Ok(keys)
}

/// Checks the length of WHOOP's client secret, which is also the key of the webhook signatures.
/// Returns the text as a secret.
fn client_secret(text: &str) -> Result<SecretString, String> {
    let secret = SecretString::from(text);
    whoop_client::check_client_secret(&secret)
        .map_err(|reason| format!("{reason}; {DASHBOARD_HINT}"))?;
    Ok(secret)
}

impl KeyArgs {
    /// Returns the faults of the settings that the keys require; empty if there are none.
    pub fn faults(&self) -> Vec<SettingFault> {
        self.keys()
            .err()
            .map(|error| error.to_fault())
            .into_iter()
            .collect()
    }

    /// Parses the keys in `TOKEN_KEYS`.
    ///
    /// # Errors
    ///
    /// `TOKEN_KEYS` is missing, or one of its keys is malformed. The error contains no part of a
    /// key.
    pub fn keys(&self) -> Result<TokenKeys, ConfigError> {
        let keys = self.token_keys.as_ref().ok_or(ConfigError::Missing {
            name: "TOKEN_KEYS",
            what_to_do: "create one with: echo \"k1:$(openssl rand -base64 32)\"",
        })?;
        Ok(TokenKeys::parse(keys).map_err(StorageError::from)?)
    }
}

fn require_dashboard_setting<T>(setting: Option<T>, name: &'static str) -> Result<T, ConfigError> {
    setting.ok_or(ConfigError::Missing {
        name,
        what_to_do: DASHBOARD_HINT,
    })
}

impl WhoopArgs {
    fn client_id(&self) -> Result<&String, ConfigError> {
        require_dashboard_setting(self.whoop_client_id.as_ref(), "WHOOP_CLIENT_ID")
    }

    fn client_secret(&self) -> Result<&SecretString, ConfigError> {
        require_dashboard_setting(self.whoop_client_secret.as_ref(), "WHOOP_CLIENT_SECRET")
    }

    fn redirect_url(&self) -> Result<&Url, ConfigError> {
        require_dashboard_setting(self.whoop_redirect_url.as_ref(), "WHOOP_REDIRECT_URL")
    }

    /// Returns the faults of all settings that [`engine`](Self::engine) requires; empty if there
    /// are none.
    pub fn faults(&self) -> Vec<SettingFault> {
        [
            self.keys.keys().err(),
            self.client_id().err(),
            self.client_secret().err(),
            self.redirect_url().err(),
        ]
        .into_iter()
        .flatten()
        .map(|error| error.to_fault())
        .collect()
    }

    fn whoop(&self, clock: Arc<dyn Clock>) -> Result<WhoopClient, ConfigError> {
        let config = WhoopConfig {
            api_url: self.whoop_api_url.clone(),
            oauth_url: self.whoop_oauth_url.clone(),
            client_id: self.client_id()?.clone(),
            client_secret: self.client_secret()?.clone(),
            redirect_url: self.redirect_url()?.clone(),
        };
        Ok(WhoopClient::new(config, clock)?)
    }

    /// Creates the engine, with all its services, for a database.
    ///
    /// # Errors
    ///
    /// A setting is missing or unusable; the error names it.
    pub fn engine(
        &self,
        database: Database,
        clock: Arc<dyn Clock>,
        settings: EngineSettings,
    ) -> Result<Engine, ConfigError> {
        let keys = self.keys.keys()?;
        let whoop = self.whoop(Arc::clone(&clock))?;
        let settings = EngineSettings {
            limits: self.limits.limits(),
            ..settings
        };
        Ok(Engine::new(database, whoop, keys, clock, settings))
    }
}

/// Settings for accepting WHOOP's webhooks.
#[derive(Debug, Clone, Copy, Args)]
pub struct WebhookArgs {
    /// Maximum age of a webhook's signature, in seconds. WHOOP repeats a webhook for about an hour,
    /// and a repetition may carry the timestamp of the first attempt.
    #[arg(long, env = "WEBHOOK_MAX_AGE_SECONDS", default_value_t = 4500, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(60..=86_400))]
    pub webhook_max_age_seconds: u32,
}

impl WebhookArgs {
    pub fn signed_within(self) -> TimestampTolerance {
        TimestampTolerance {
            past: TimeDelta::seconds(i64::from(self.webhook_max_age_seconds)),
            ..TimestampTolerance::default()
        }
    }
}

/// Settings for the age of today's data.
#[derive(Debug, Clone, Copy, Args)]
pub struct FreshnessArgs {
    /// Maximum age of today's data, in seconds; a request for older data calls WHOOP.
    #[arg(long, env = "FRESHNESS_SECONDS", default_value_t = 900, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub freshness_seconds: u32,

    /// Minimum interval between two forced reads of a data type; see
    /// [`EngineSettings::forced_read_interval`].
    ///
    /// This is not a flag. Tests whose clock does not move set it to zero.
    #[arg(skip = EngineSettings::default().forced_read_interval)]
    pub forced_read_interval: TimeDelta,
}

impl FreshnessArgs {
    pub fn interval(self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.freshness_seconds))
    }
}

/// Settings for the retention of records.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Retention")]
pub struct RetentionArgs {
    /// Days that records are kept, at least 31; no limit if not set.
    ///
    /// Older records are deleted at night. The minimum exists because a sync may read more than
    /// three weeks back, and would read the deleted records again.
    #[arg(long, env = "RETENTION_DAYS", value_name = "DAYS",
          value_parser = clap::value_parser!(u32).range(i64::from(Retention::MIN_DAYS)..=36_500))]
    pub retention_days: Option<u32>,
}

impl RetentionArgs {
    pub fn retention(self) -> Option<Retention> {
        self.retention_days.and_then(Retention::of_days)
    }
}

/// Settings for the retention of the audit trail.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Retention")]
pub struct AuditArgs {
    /// Days that rows of the audit trail are kept.
    ///
    /// Older rows are deleted at night.
    #[arg(long, env = "AUDIT_RETENTION_DAYS", default_value_t = 365, value_name = "DAYS",
          value_parser = clap::value_parser!(u32).range(30..=3650))]
    pub audit_retention_days: u32,
}

impl AuditArgs {
    pub fn retention(self) -> TimeDelta {
        TimeDelta::days(i64::from(self.audit_retention_days))
    }
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Settings for the format and the filter of the log.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// Format of the log: `text` for people, `json` for programs.
    #[arg(
        long,
        env = "LOG_FORMAT",
        value_enum,
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,

    /// Log level, such as debug or `info,whoop_sync=debug`.
    ///
    /// The levels are error, warn, info, debug, trace and off. A part of the program can have its
    /// own level, such as `whoop_sync` in the second example.
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER",
          value_parser = log_filter::parse)]
    pub rust_log: String,
}

impl LogArgs {
    /// Initializes logging. From now on, the log lines of the process are written to standard
    /// error.
    ///
    /// # Errors
    ///
    /// The filter in `RUST_LOG` is invalid.
    pub fn init(&self) -> Result<(), ConfigError> {
        self.init_to(io::stderr)
    }

    /// Initializes logging like [`LogArgs::init`], but through a writer of the caller, which has to
    /// write to standard error.
    ///
    /// # Errors
    ///
    /// The filter in `RUST_LOG` is invalid.
    pub fn init_to<W>(&self, writer: W) -> Result<(), ConfigError>
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let mut filter =
            EnvFilter::try_new(&self.rust_log).map_err(|error| ConfigError::Unusable {
                name: "RUST_LOG",
                reason: error.to_string(),
            })?;
        // `actix_http::h1` logs an error for every request that is not valid HTTP. Any client can
        // send such requests, so these lines are disabled unless `RUST_LOG` names `actix_http`.
        if !self.rust_log.contains("actix_http")
            && let Ok(quiet) = "actix_http::h1=off".parse()
        {
            filter = filter.add_directive(quiet);
        }
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            // Colours are used only on a terminal; a file or a log collector would store the colour
            // codes.
            .with_ansi(io::stderr().is_terminal())
            .with_writer(writer);
        // A second call in the same process has no effect; the first configuration remains in use.
        let _already_set = match self.log_format {
            LogFormat::Text => lines.try_init(),
            LogFormat::Json => lines.json().flatten_event(true).try_init(),
        };
        Ok(())
    }
}

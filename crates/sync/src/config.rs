//! The settings that the API and the worker share: each a flag, each a variable.

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

/// A setting that keeps a process from starting.
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
    /// The error of one setting, for a report of all of them.
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

/// Where PostgreSQL is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "PostgreSQL")]
pub struct DatabaseArgs {
    /// `postgres://…`; `sslmode` and `sslrootcert` mean what they mean to libpq
    /// (required)
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL",
          value_parser = database_address)]
    pub database_url: Option<SecretString>,

    /// Connections that this process may hold; a refresh of tokens takes two.
    #[arg(long, env = "DATABASE_POOL_SIZE", default_value_t = 8, value_name = "N",
          value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub database_pool_size: u16,

    /// `transaction` where a pooler in transaction mode stands in front (`PgBouncer`,
    /// Supavisor at port 6543): then no statement is prepared beforehand, and changes
    /// are looked for instead of listened to.
    #[arg(
        long,
        env = "DATABASE_POOLER",
        value_parser = pooler_mode(),
        default_value = "session",
        value_name = "MODE"
    )]
    pub database_pooler: PoolerMode,
}

/// Storage, which the modes are of, knows nothing of command lines.
fn pooler_mode() -> impl TypedValueParser<Value = PoolerMode> {
    let modes = [PoolerMode::Session, PoolerMode::Transaction];
    PossibleValuesParser::new(modes.map(PoolerMode::name)).map(move |name| {
        let mode = modes.into_iter().find(|mode| mode.name() == name);
        mode.expect("clap has compared it with these names")
    })
}

/// Reads an address of PostgreSQL.
///
/// # Errors
///
/// The reason, without a part of the password.
pub fn database_address(text: &str) -> Result<SecretString, String> {
    Database::check_address(text)
        .map_err(|reason| format!("{reason}; example: {DATABASE_EXAMPLE}"))?;
    Ok(text.into())
}

const DATABASE_EXAMPLE: &str = "postgres://user:password@db.example:5432/app?sslmode=verify-full";

impl DatabaseArgs {
    /// The settings without which there is no pool.
    pub fn faults(&self) -> Vec<SettingFault> {
        self.database()
            .err()
            .map(|error| error.to_fault())
            .into_iter()
            .collect()
    }

    /// The pool; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// There is no address, or it is not usable.
    pub fn database(&self) -> Result<Database, ConfigError> {
        self.pool(None, self.database_pool_size.into(), None)
    }

    /// A pool of so many connections; to another server of the same kind, if named,
    /// and with a limit to its statements, if there is one.
    ///
    /// # Errors
    ///
    /// No address, or one that cannot be one.
    pub fn pool(
        &self,
        elsewhere: Option<&SecretString>,
        pool_size: usize,
        statement_timeout: Option<Duration>,
    ) -> Result<Database, ConfigError> {
        let url = elsewhere.or(self.database_url.as_ref()).cloned();
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

    /// Whether PostgreSQL's notifications arrive.
    pub fn supports_listen(&self) -> bool {
        self.database_pooler == PoolerMode::Session
    }

    /// The address as messages may show it: host and port, nothing secret.
    pub fn host_and_port(&self) -> Option<String> {
        let url = Url::parse(self.database_url.as_ref()?.expose_secret()).ok()?;
        let host = url.host_str().filter(|host| !host.is_empty())?;
        Some(format!("{host}:{}", url.port().unwrap_or(5432)))
    }
}

/// Logs a warning if another machine could answer in the place of PostgreSQL; the setting is
/// the one that names the server.
pub fn warn_if_unverified(setting: &'static str, database: &Database) {
    if let ServerVerification::Unverified(sslmode) = database.server_verification() {
        tracing::warn!(
            setting,
            sslmode,
            "connection to PostgreSQL is not verified: the server's certificate is not checked; \
             use sslmode=verify-full, with sslrootcert=FILE for an authority of your own"
        );
    }
}

/// What WHOOP allows the app.
#[derive(Debug, Clone, Copy, Args)]
pub struct LimitArgs {
    /// Calls a minute that WHOOP allows the app, all processes together.
    #[arg(long, env = "WHOOP_CALLS_PER_MINUTE", default_value_t = QuotaLimits::default().per_minute,
          value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub whoop_calls_per_minute: u32,

    /// Calls a day that WHOOP allows the app, all processes together.
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

/// The WHOOP app, and the keys that seal its members' tokens.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "WHOOP")]
pub struct WhoopArgs {
    /// The app's id, from WHOOP's developer dashboard (required)
    #[arg(long, env = "WHOOP_CLIENT_ID", value_name = "ID")]
    pub whoop_client_id: Option<String>,

    /// The app's secret, from the same page; never in a mobile app (required)
    #[arg(
        long,
        env = "WHOOP_CLIENT_SECRET",
        hide_env_values = true,
        value_name = "SECRET",
        value_parser = client_secret
    )]
    pub whoop_client_secret: Option<SecretString>,

    /// The callback as it is registered for the app, letter for letter (required)
    #[arg(long, env = "WHOOP_REDIRECT_URL", value_name = "URL",
          value_parser = address::callback_address)]
    pub whoop_redirect_url: Option<Url>,

    /// Base of `/v2/…`.
    #[arg(
        long,
        env = "WHOOP_API_URL",
        value_name = "URL",
        value_parser = address::whoop_address,
        default_value = "https://api.prod.whoop.com/developer"
    )]
    pub whoop_api_url: Url,

    /// Base of `/auth` and `/token`.
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

/// The keys that seal members' tokens.
#[derive(Debug, Clone, Args)]
pub struct KeyArgs {
    /// `id:base64-of-32-bytes[,id:…]`: the first seals, all open (required)
    #[arg(long, env = "TOKEN_KEYS", hide_env_values = true, value_name = "KEYS",
          value_parser = token_keys)]
    pub token_keys: Option<SecretString>,
}

/// Checks the keys; never says a part of one.
fn token_keys(text: &str) -> Result<SecretString, String> {
    let keys = SecretString::from(text);
    TokenKeys::parse(&keys).map_err(|error| error.to_string())?;
    Ok(keys)
}

/// Checks the length of WHOOP's client secret, which also signs the webhooks.
fn client_secret(text: &str) -> Result<SecretString, String> {
    let secret = SecretString::from(text);
    whoop_client::check_client_secret(&secret)
        .map_err(|reason| format!("{reason}; {DASHBOARD_HINT}"))?;
    Ok(secret)
}

impl KeyArgs {
    /// The settings without which there are no keys.
    pub fn faults(&self) -> Vec<SettingFault> {
        self.keys()
            .err()
            .map(|error| error.to_fault())
            .into_iter()
            .collect()
    }

    /// The keys, read.
    ///
    /// # Errors
    ///
    /// There are none, or one of them is no key; never with a part of one.
    pub fn keys(&self) -> Result<TokenKeys, ConfigError> {
        let keys = self.token_keys.as_ref().ok_or(ConfigError::Missing {
            name: "TOKEN_KEYS",
            what_to_do: "make one with: echo \"k1:$(openssl rand -base64 32)\"",
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

    /// Every setting without which there is no [`engine`](Self::engine).
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

    /// The engine over a database.
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

/// What is taken for a webhook of WHOOP's.
#[derive(Debug, Clone, Copy, Args)]
pub struct WebhookArgs {
    /// How long ago WHOOP may have signed a webhook, in seconds. It tries for about
    /// an hour, and a retry may have the first timestamp.
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

/// How old today's data may be.
#[derive(Debug, Clone, Copy, Args)]
pub struct FreshnessArgs {
    /// How old today's data may be, in seconds, before a request asks WHOOP.
    #[arg(long, env = "FRESHNESS_SECONDS", default_value_t = 900, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub freshness_seconds: u32,

    /// [`Settings::forced_reads_every`]. Not a flag; tests with a clock that does not move set it to zero.
    #[arg(skip = EngineSettings::default().forced_read_interval)]
    pub forced_read_interval: TimeDelta,
}

impl FreshnessArgs {
    pub fn interval(self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.freshness_seconds))
    }
}

/// How long records are kept.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct RetentionArgs {
    /// Days that records are kept, at least 31 because a sync may read more than three weeks back. Older
    /// records are deleted at night. For ever if not given.
    #[arg(long, env = "RETENTION_DAYS", value_name = "DAYS",
          value_parser = clap::value_parser!(u32).range(i64::from(Retention::MIN_DAYS)..=36_500))]
    pub retention_days: Option<u32>,
}

impl RetentionArgs {
    pub fn retention(self) -> Option<Retention> {
        self.retention_days.and_then(Retention::of_days)
    }
}

/// Retention of the audit trail.
#[derive(Debug, Clone, Copy, Args)]
pub struct AuditArgs {
    /// Days that rows of the audit trail are kept; older ones are deleted at night.
    #[arg(long, env = "AUDIT_RETENTION_DAYS", default_value_t = 365, value_name = "DAYS",
          value_parser = clap::value_parser!(u32).range(30..=3650))]
    pub audit_retention_days: u32,
}

impl AuditArgs {
    pub fn retention(self) -> TimeDelta {
        TimeDelta::days(i64::from(self.audit_retention_days))
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    #[arg(
        long,
        env = "LOG_FORMAT",
        value_enum,
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,

    /// Levels by module, as tracing's filter reads them: `info,whoop_sync=debug`.
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER",
          value_parser = log_filter::parse)]
    pub rust_log: String,
}

impl LogArgs {
    /// Sends log lines to standard error, from now on and for the process.
    ///
    /// # Errors
    ///
    /// The filter cannot be read.
    pub fn init(&self) -> Result<(), ConfigError> {
        self.init_to(io::stderr)
    }

    /// As [`LogArgs::init`], through a writer that leads to standard error.
    ///
    /// # Errors
    ///
    /// The filter cannot be read.
    pub fn init_to<W>(&self, writer: W) -> Result<(), ConfigError>
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let mut filter =
            EnvFilter::try_new(&self.rust_log).map_err(|error| ConfigError::Unusable {
                name: "RUST_LOG",
                reason: error.to_string(),
            })?;
        // Its errors are whatever strangers send that is no HTTP.
        if !self.rust_log.contains("actix_http")
            && let Ok(quiet) = "actix_http::h1=off".parse()
        {
            filter = filter.add_directive(quiet);
        }
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            // Colours are for eyes; a file or a collector would keep the codes.
            .with_ansi(io::stderr().is_terminal())
            .with_writer(writer);
        // A second call, as in a process of several parts, changes nothing.
        let _already_set = match self.log_format {
            LogFormat::Text => lines.try_init(),
            LogFormat::Json => lines.json().flatten_event(true).try_init(),
        };
        Ok(())
    }
}

//! From a `postgres://` address to an open connection.

use std::{path::PathBuf, str::FromStr, time::Duration};

use diesel::{ConnectionError, ConnectionResult};
use tokio_postgres::{Config, NoTls, config::SslMode as WireSslMode};
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

use crate::{
    PgConnection, Pooler, StorageError,
    tls::{self, SslMode},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where PostgreSQL is, and how to prove that it is the one.
#[derive(Clone)]
pub(crate) struct Address {
    config: Config,
    pooler: Pooler,
    /// `None` speaks in the clear.
    tls: Option<MakeRustlsConnect>,
}

impl Address {
    /// Reads an address, with `sslmode` and `sslrootcert` taken out of it:
    /// tokio-postgres knows neither `verify-full` nor the other.
    pub(crate) fn parse(url: &str, pooler: Pooler) -> Result<Self, StorageError> {
        let mut url = Url::parse(url).map_err(|error| {
            StorageError::Config(format!("it is no postgres:// address ({error})"))
        })?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(StorageError::Config(
                "it does not begin with postgres://".to_owned(),
            ));
        }
        // Or a part of the password would be looked up, and told, as the host.
        if url.path().contains('@') || url.fragment().is_some() {
            return Err(StorageError::Config(
                "its password has a `/`, `?` or `#` as it is; write it as %2F, %3F or %23, and `@` \
                 as %40"
                    .to_owned(),
            ));
        }
        let mut mode = None;
        let mut root_certificate = None;
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter_map(|(name, value)| match name.as_ref() {
                "sslmode" => {
                    mode = Some(SslMode::parse(&value));
                    None
                }
                "sslrootcert" => {
                    root_certificate = Some(PathBuf::from(value.as_ref()));
                    None
                }
                _ => Some((name.into_owned(), value.into_owned())),
            })
            .collect();
        let mode = match mode {
            Some(mode) => mode?,
            None if root_certificate.is_some() => SslMode::VerifyFull,
            None => default_mode(&url),
        };
        if kept.is_empty() {
            url.set_query(None);
        } else {
            url.query_pairs_mut().clear().extend_pairs(kept);
        }
        let mut config = Config::from_str(url.as_str())
            .map_err(|error| StorageError::Config(without_url(&error)))?;
        config.ssl_mode(match mode {
            SslMode::Disable => WireSslMode::Disable,
            SslMode::Prefer => WireSslMode::Prefer,
            SslMode::Require | SslMode::VerifyFull => WireSslMode::Require,
        });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("whoop");
        }
        let tls = match mode {
            SslMode::Disable => None,
            _ => Some(MakeRustlsConnect::new(tls::client_config(
                mode,
                root_certificate.as_ref(),
            )?)),
        };
        Ok(Self {
            config,
            pooler,
            tls,
        })
    }

    pub(crate) async fn establish(&self) -> ConnectionResult<PgConnection> {
        let refused = |error: tokio_postgres::Error| {
            // tokio-postgres says "db error" and keeps the reason for its source.
            let reason = error.as_db_error().map(ToString::to_string);
            ConnectionError::BadConnection(reason.unwrap_or_else(|| without_url(&error)))
        };
        match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(refused)?;
                PgConnection::over(client, connection, self.pooler).await
            }
            Some(tls) => {
                let (client, connection) =
                    self.config.connect(tls.clone()).await.map_err(refused)?;
                PgConnection::over(client, connection, self.pooler).await
            }
        }
    }
}

/// A machine talks to itself in the clear; anything farther must prove itself.
fn default_mode(url: &Url) -> SslMode {
    match url.host_str() {
        None | Some("" | "localhost" | "127.0.0.1" | "[::1]") => SslMode::Prefer,
        Some(_) => SslMode::VerifyFull,
    }
}

/// tokio-postgres' errors name options, never the address; the chain is kept
/// because its first sentence alone ("error connecting to server") says little.
fn without_url(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libpqs_words_for_tls_are_understood() {
        for good in [
            "postgres://u:p@127.0.0.1:5432/d",
            "postgresql://u:p@localhost/d?sslmode=disable",
            "postgres://u:p@db.example/d?sslmode=require&application_name=x",
            "postgres://u:p@db.example/d?sslmode=verify-full",
        ] {
            assert!(Address::parse(good, Pooler::Session).is_ok(), "{good}");
        }
    }

    #[test]
    fn an_unusable_address_is_refused_without_its_password() {
        for bad in [
            "mysql://u:hunter2@h/d",
            "u:hunter2",
            "postgres://u:hunter2@h/d?sslmode=perhaps",
            "postgres://u:hunter2@h/d?sslrootcert=/nowhere.pem",
            "postgres://u:hunter2@h:99999/d",
            "postgres://u:hunter2@h/d?colour=blue",
        ] {
            let error = Address::parse(bad, Pooler::Session)
                .err()
                .map(|error| error.to_string());
            assert!(
                error.as_ref().is_some_and(|text| !text.contains("hunter2")),
                "{bad}: {error:?}"
            );
        }
    }
}

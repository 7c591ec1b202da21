//! Parses a `postgres://` address and opens connections to it.

use std::{net::IpAddr, str::FromStr, time::Duration};

use diesel::{ConnectionError, ConnectionResult};
use tokio_postgres::{
    Config, NoTls,
    config::{Host, SslMode as WireSslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

use crate::{
    PgConnection, PoolerMode, StorageError, sqlstate,
    tls::{RootCertificates, SslMode, TlsRules},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Extent to which connections verify the identity of the PostgreSQL server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerVerification {
    /// The server is on this machine.
    Local,
    /// The server's certificate is verified. The text is the value of `sslmode`.
    Verified(&'static str),
    /// The server is on another machine and its certificate is not verified, so another machine
    /// could impersonate it. The text is the value of `sslmode`.
    Unverified(&'static str),
}

/// Address of PostgreSQL, and the TLS settings for connections to it.
#[derive(Clone)]
pub(crate) struct ServerAddress {
    config: Config,
    pooler: PoolerMode,
    mode: SslMode,
    /// TLS configuration; `None` for connections without TLS.
    tls: Option<MakeRustlsConnect>,
}

impl ServerAddress {
    /// Parses a `postgres://` address.
    ///
    /// `sslmode` and `sslrootcert` are removed from the address and handled by this module, because
    /// tokio-postgres supports neither `sslmode=verify-full` nor `sslrootcert`.
    pub(crate) fn parse(url: &str, pooler: PoolerMode) -> Result<Self, StorageError> {
        let mut url = Url::parse(url).map_err(|error| {
            StorageError::Config(format!("it is not a valid postgres:// address ({error})"))
        })?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(StorageError::Config(
                "it must begin with postgres://".to_owned(),
            ));
        }
        // If the password contains an unescaped `/`, `?` or `#`, a part of the password would be
        // parsed as the host name. It would be looked up in DNS and shown in error messages.
        if url.path().contains('@') || url.fragment().is_some() {
            return Err(StorageError::Config(
                "the password contains a `/`, `?` or `#`; write it as %2F, %3F or %23, and `@` as \
                 %40"
                .to_owned(),
            ));
        }
        let mut mode = None;
        let mut roots = None;
        let mut other_parameters = Vec::new();
        for (name, value) in url.query_pairs() {
            let (is_first, name) = match name.as_ref() {
                "sslmode" => (mode.replace(SslMode::parse(&value)?).is_none(), name),
                "sslrootcert" => (
                    roots.replace(RootCertificates::parse(&value)).is_none(),
                    name,
                ),
                _ => {
                    other_parameters.push((name.into_owned(), value.into_owned()));
                    continue;
                }
            };
            if !is_first {
                return Err(StorageError::Config(format!(
                    "it contains {name} twice; remove one of them"
                )));
            }
        }
        if other_parameters.is_empty() {
            url.set_query(None);
        } else {
            url.query_pairs_mut().clear().extend_pairs(other_parameters);
        }
        let mut config = Config::from_str(url.as_str())
            .map_err(|error| StorageError::Config(without_url(&error)))?;
        let rules = TlsRules::new(mode, roots.flatten(), is_local(&config))?;
        config.ssl_mode(match rules.mode {
            SslMode::Disable => WireSslMode::Disable,
            SslMode::Prefer => WireSslMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => WireSslMode::Require,
        });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("whoop");
        }
        let tls = rules.client_config()?.map(MakeRustlsConnect::new);
        Ok(Self {
            config,
            pooler,
            mode: rules.mode,
            tls,
        })
    }

    pub(crate) fn verification(&self) -> ServerVerification {
        match self.mode {
            _ if is_local(&self.config) => ServerVerification::Local,
            SslMode::VerifyCa | SslMode::VerifyFull => {
                ServerVerification::Verified(self.mode.name())
            }
            SslMode::Disable | SslMode::Prefer | SslMode::Require => {
                ServerVerification::Unverified(self.mode.name())
            }
        }
    }

    pub(crate) async fn establish(&self) -> ConnectionResult<PgConnection> {
        let connection_error = |error: tokio_postgres::Error| {
            // tokio-postgres displays only "db error"; the reason is in the source of the error.
            let reason = error
                .as_db_error()
                .map(|error| sqlstate::with_code(&error.to_string(), error.code().code()));
            ConnectionError::BadConnection(reason.unwrap_or_else(|| without_url(&error)))
        };
        match &self.tls {
            None => {
                let (client, connection) =
                    self.config.connect(NoTls).await.map_err(connection_error)?;
                PgConnection::from_client(client, connection, self.pooler).await
            }
            Some(tls) => {
                let (client, connection) = self
                    .config
                    .connect(tls.clone())
                    .await
                    .map_err(connection_error)?;
                PgConnection::from_client(client, connection, self.pooler).await
            }
        }
    }
}

/// Returns whether all hosts of an address are this machine: a Unix socket or a loopback address.
fn is_local(config: &Config) -> bool {
    let is_loopback = |host: &str| {
        host == "localhost" || IpAddr::from_str(host).is_ok_and(|address| address.is_loopback())
    };
    let hosts_are_local = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => is_loopback(name),
        Host::Unix(_) => true,
    });
    // If the address contains IP addresses (`hostaddr`), connections are opened to these, and the
    // host names are used only to check certificates.
    match config.get_hostaddrs() {
        [] => hosts_are_local,
        addresses => addresses.iter().all(IpAddr::is_loopback),
    }
}

/// Formats an error with the messages of all its sources, without a part of the address.
///
/// The errors of tokio-postgres name options, but never contain the address. The sources are
/// included because the first message alone ("error connecting to server") does not contain the
/// reason.
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
    fn libpqs_tls_settings_are_accepted() {
        for address in [
            "postgres://u:p@127.0.0.1:5432/d",
            "postgresql://u:p@localhost/d?sslmode=disable",
            "postgres://u:p@db.example/d?sslmode=require&application_name=x",
            "postgres://u:p@db.example/d?sslmode=verify-full",
        ] {
            assert!(
                ServerAddress::parse(address, PoolerMode::Session).is_ok(),
                "{address}"
            );
        }
    }

    #[test]
    fn an_error_about_an_invalid_address_does_not_contain_its_password() {
        for bad in [
            "mysql://u:hunter2@h/d",
            "u:hunter2",
            "postgres://u:hunter2@h/d?sslmode=perhaps",
            "postgres://u:hunter2@h/d?sslrootcert=/nowhere.pem",
            "postgres://u:hunter2@h:99999/d",
            "postgres://u:hunter2@h/d?colour=blue",
            "postgres://u:hunter2@h/d?sslmode=verify-full&sslmode=disable",
            "postgres://u:hunter2@h/d?sslrootcert=system&sslrootcert=/etc/ca.pem",
        ] {
            let error = ServerAddress::parse(bad, PoolerMode::Session)
                .err()
                .map(|error| error.to_string());
            assert!(
                error.as_ref().is_some_and(|text| !text.contains("hunter2")),
                "{bad}: {error:?}"
            );
        }
    }

    #[test]
    fn a_server_on_another_machine_is_verified_unless_sslmode_disables_it() {
        use ServerVerification::{Local, Unverified, Verified};
        for (address, expected) in [
            ("postgres://u@127.0.0.1/d", Local),
            ("postgres://u@localhost/d?sslmode=disable", Local),
            ("postgres://u@[::1]/d", Local),
            ("postgres://u@%2Frun%2Fpostgresql/d", Local),
            (
                "postgres://u@localhost/d?host=db.example",
                Verified("verify-full"),
            ),
            ("postgres:///d?host=db.example", Verified("verify-full")),
            (
                "postgres://u@localhost/d?hostaddr=192.0.2.1",
                Verified("verify-full"),
            ),
            ("postgres://u@db.example/d", Verified("verify-full")),
            (
                "postgres://u@db.example/d?sslmode=verify-ca",
                Verified("verify-full"),
            ),
            (
                "postgres://u@db.example/d?sslmode=require",
                Unverified("require"),
            ),
            (
                "postgres://u@db.example/d?sslmode=allow",
                Unverified("prefer"),
            ),
            (
                "postgres://u@db.example/d?sslmode=disable",
                Unverified("disable"),
            ),
        ] {
            let address = ServerAddress::parse(address, PoolerMode::Session)
                .unwrap_or_else(|error| panic!("{address}: {error}"));

            assert_eq!(address.verification(), expected, "{:?}", address.config);
        }
    }

    #[test]
    fn a_missing_root_certificate_is_reported_with_its_path() {
        let error = ServerAddress::parse(
            "postgres://u@db.example/d?sslmode=require&sslrootcert=/nowhere/ca.pem",
            PoolerMode::Session,
        );

        let message = error
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(message.contains("sslrootcert=/nowhere/ca.pem"), "{message}");
        assert!(message.contains("PEM"), "{message}");
    }
}

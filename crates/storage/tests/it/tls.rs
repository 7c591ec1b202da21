//! TLS to a real server: the certificates that each `sslmode` and `sslrootcert` accepts.

use std::{fs, path::PathBuf, time::Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};
use whoop_devkit::PrivatePostgres;
use whoop_storage::{Database, DatabaseConfig, PoolerMode};

/// The only name in the server's certificate. The server is also reachable as 127.0.0.1, which the
/// certificate does not contain.
const NAME: &str = "localhost";

/// A server with a certificate signed by an authority, and the certificate files of two
/// authorities.
struct TlsServer {
    postgres: PrivatePostgres,
    folder: TempDir,
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl TlsServer {
    async fn start() -> Self {
        let (trusted, unrelated) = (authority(), authority());
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([NAME.to_owned()])
            .unwrap()
            .signed_by(&key, &trusted)
            .unwrap();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("right.pem"), trusted.pem()).unwrap();
        fs::write(folder.path().join("unrelated.pem"), unrelated.pem()).unwrap();
        fs::write(folder.path().join("empty.pem"), "").unwrap();
        let server = Self {
            postgres: PrivatePostgres::start().unwrap(),
            folder,
        };
        let admin = server.admin().await;
        write_server_file(&admin, "server.crt", &certificate.pem()).await;
        write_server_file(&admin, "server.key", &key.serialize_pem()).await;
        for statement in ["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"] {
            admin.batch_execute(statement).await.unwrap();
        }
        server.wait_for_tls().await;
        server
    }

    async fn admin(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.postgres.url("postgres"), NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client
    }

    /// Waits until new connections use TLS. The server applies the new settings with a short delay.
    async fn wait_for_tls(&self) {
        let started = Instant::now();
        while started.elapsed().as_secs() < 30 {
            let row = self.admin().await.query_one("SHOW ssl", &[]).await.unwrap();
            if row.get::<_, &str>(0) == "on" {
                return;
            }
        }
        panic!("the server did not enable TLS");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        let url = self.postgres.url("postgres");
        let (address, _) = url.split_once('?').unwrap();
        let parameters = parameters.replace("FOLDER", self.folder.path().to_str().unwrap());
        format!("{}?{parameters}", address.replace("127.0.0.1", host))
    }

    /// Returns whether the connection is encrypted, or the error if it fails.
    async fn connect(&self, host: &str, parameters: &str) -> Result<(), String> {
        let config = DatabaseConfig {
            url: SecretString::from(self.url(host, parameters)),
            pool_size: 1,
            pooler: PoolerMode::Session,
        };
        let database = Database::new(&config).map_err(|error| error.to_string())?;
        match database.get().await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{:#}", anyhow::Error::from(error))),
        }
    }
}

/// Writes a file into the server's data directory with the server's own account, because the server
/// rejects a key file of another owner.
async fn write_server_file(admin: &Client, name: &str, pem: &str) {
    let lines: Vec<String> = pem.lines().map(|line| format!("('{line}')")).collect();
    let sql = format!(
        "COPY (VALUES {}) TO PROGRAM 'umask 077; cat >{name}'",
        lines.join(", ")
    );
    admin.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn only_servers_with_a_certificate_of_the_given_authority_are_accepted() {
    let server = TlsServer::start().await;
    for mode in [
        "sslmode=require&",
        "sslmode=verify-ca&",
        "sslmode=verify-full&",
        "",
    ] {
        let trusted = format!("{mode}sslrootcert=FOLDER/right.pem");
        let unrelated = format!("{mode}sslrootcert=FOLDER/unrelated.pem");

        assert_eq!(server.connect(NAME, &trusted).await, Ok(()), "{mode}");
        let error = server.connect(NAME, &unrelated).await.unwrap_err();
        assert!(error.contains("certificate"), "{mode}: {error}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_host_is_accepted_if_only_the_authority_is_checked() {
    let server = TlsServer::start().await;
    for mode in ["require", "verify-ca"] {
        let parameters = format!("sslmode={mode}&sslrootcert=FOLDER/right.pem");
        assert_eq!(
            server.connect("127.0.0.1", &parameters).await,
            Ok(()),
            "{mode}"
        );
    }
    for parameters in [
        "sslmode=verify-full&sslrootcert=FOLDER/right.pem",
        "sslrootcert=FOLDER/right.pem",
    ] {
        let error = server.connect("127.0.0.1", parameters).await.unwrap_err();
        assert!(error.contains("certificate"), "{parameters}: {error}");
    }
}

#[tokio::test]
async fn an_unknown_authority_is_not_accepted_by_the_systems_certificates() {
    let server = TlsServer::start().await;
    for parameters in [
        "sslrootcert=system",
        "sslmode=verify-full",
        "sslmode=verify-ca",
    ] {
        let error = server.connect(NAME, parameters).await.unwrap_err();
        assert!(error.contains("certificate"), "{parameters}: {error}");
    }
    for parameters in ["sslmode=require", "sslmode=prefer", "sslmode=disable"] {
        assert_eq!(
            server.connect(NAME, parameters).await,
            Ok(()),
            "{parameters}"
        );
    }
}

#[tokio::test]
async fn a_file_without_a_certificate_is_refused_with_its_path() {
    let server = TlsServer::start().await;
    for name in ["empty.pem", "missing.pem"] {
        let parameters = format!("sslmode=require&sslrootcert=FOLDER/{name}");

        let error = server.connect(NAME, &parameters).await.unwrap_err();

        let path = server.file(name);
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}

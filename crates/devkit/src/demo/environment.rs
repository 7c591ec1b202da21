use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Parser;
use sha2::{Digest, Sha256};
use whoop_api::{ApiStartError, Application, RunningApplication};
use whoop_core::SystemClock;
use whoop_devkit::{DatabaseServer, TestDb, random, server};
use whoop_sim::{SimConfig, SimError, SimServer};

use super::{cli::DemoCli, report::DemoReport};

/// Number of ports that are tried, from the requested port upwards. If all are taken, any free port
/// is used.
const MAX_PORT_TRIES: u16 = 20;

/// All components that run during a demo.
pub(crate) struct DemoEnv {
    pub(crate) database: TestDb,
    pub(crate) sim: SimServer,
    pub(crate) api_url: String,
    pub(crate) jwt_secret: String,
    /// Service key with access to every route. The API is configured with the key's digest.
    pub(crate) service_key: String,
    /// Command-line flags that the API and the worker have in common. The first flag is the
    /// database's address.
    pub(crate) flags: Vec<String>,
    api: RunningApplication,
}

impl DemoEnv {
    pub(crate) async fn start(cli: &DemoCli, report: &mut DemoReport) -> anyhow::Result<Self> {
        let database = tokio::task::spawn_blocking(server)
            .await
            .context("cannot start PostgreSQL")?;
        report.print_fact("PostgreSQL", &describe_server(database));
        let database = TestDb::empty().await;
        let sim = start_simulator(cli).await?;
        report_moved_port(report, "simulator", cli.sim_port, sim.address().port());
        report.print_fact(
            "simulator",
            &format!("{}  (replaces WHOOP)", sim.base_url()),
        );

        let jwt_secret = random_secret();
        let service_key = random_secret();
        let defaults = SimConfig::default();
        let flags = vec![
            format!("--database-url={}", database.url()),
            format!("--whoop-client-id={}", defaults.client_id),
            format!("--whoop-client-secret={}", defaults.client_secret),
            format!("--whoop-api-url={}", sim.api_url()),
            format!("--whoop-oauth-url={}", sim.oauth_url()),
            format!("--token-keys=demo:{}", random_secret()),
        ];
        let (application, flags) = build_api(cli, flags, &jwt_secret, &service_key)?;
        let address = application.address();
        let api_url = format!("http://{address}");
        report_moved_port(report, "API", cli.api_port, address.port());
        report.print_fact("API", &format!("{api_url}  (description at /openapi.json)"));
        sim.world()
            .send_webhooks_to(&format!("{api_url}/webhooks/whoop"));
        Ok(Self {
            database,
            sim,
            api_url,
            jwt_secret,
            service_key,
            flags,
            api: application.spawn(),
        })
    }

    /// Stops all components. The API is stopped first, so that it cannot call a component that has
    /// already stopped.
    pub(crate) async fn stop(self) {
        if let Err(error) = self.api.stop().await {
            eprintln!("demo: the API ended with an error: {error}");
        }
        self.sim.stop();
        drop(self.database);
    }
}

fn describe_server(server: &DatabaseServer) -> String {
    match server {
        DatabaseServer::Private(private) => {
            format!(
                "{}, a private server on 127.0.0.1:{}",
                private.version(),
                private.port()
            )
        }
        _ => "the server in DATABASE_URL, with a new database".to_owned(),
    }
}

fn report_moved_port(report: &DemoReport, program: &str, requested: u16, actual: u16) {
    if requested != actual {
        report.print_line(&format!(
            "  Port {requested} is taken; the {program} listens on {actual}."
        ));
    }
}

/// Returns the addresses to try, one after the other: the requested port and the ports above it,
/// then port 0.
///
/// For port 0, the operating system picks a free port.
fn candidate_addresses(requested: u16) -> impl Iterator<Item = SocketAddr> {
    (0..MAX_PORT_TRIES)
        .filter_map(move |offset| requested.checked_add(offset))
        .chain([0])
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

async fn start_simulator(cli: &DemoCli) -> anyhow::Result<SimServer> {
    for listen in candidate_addresses(cli.sim_port) {
        let config = SimConfig {
            listen,
            people: cli.people.into(),
            days: cli.days(),
            // Tests of the page start the demo without members and use the simulator's consent
            // page.
            auto_consent: !cli.without_members,
            // The acceptance steps compare stored records with WHOOP's, so the records must not
            // change meanwhile. In the demo for people, the records do change.
            freeze_records: cli.check,
            ..SimConfig::default()
        };
        match SimServer::start(config).await {
            Err(SimError::Listen { source, .. }) if is_taken(&source) => {}
            result => return result.context("cannot start the simulator"),
        }
    }
    anyhow::bail!("no free port for the simulator")
}

fn build_api(
    cli: &DemoCli,
    flags: Vec<String>,
    jwt_secret: &str,
    service_key: &str,
) -> anyhow::Result<(Application, Vec<String>)> {
    for listen in candidate_addresses(cli.api_port) {
        // The callback's address contains the port, and WHOOP must know the address before the API
        // starts. The port is therefore chosen first.
        let listen = if listen.port() == 0 {
            free_address()?
        } else {
            listen
        };
        let mut flags = flags.clone();
        flags.push(format!(
            "--whoop-redirect-url=http://{listen}/api/v1/whoop/callback"
        ));
        let api_flags = [
            "api".to_owned(),
            format!("--api-listen={listen}"),
            format!("--auth-jwt-secret={jwt_secret}"),
            format!(
                "--auth-service-keys={}",
                random::to_hex(&Sha256::digest(service_key.as_bytes()))
            ),
            "--api-workers=2".to_owned(),
        ];
        let cli = whoop_api::ApiCli::try_parse_from(api_flags.into_iter().chain(flags.clone()))
            .context("invalid settings of the API")?;
        match Application::build(&cli, Arc::new(SystemClock)) {
            Err(ApiStartError::Listen { source, .. }) if is_taken(&source) => {}
            result => return Ok((result.context("cannot start the API")?, flags)),
        }
    }
    anyhow::bail!("no free port for the API")
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}

/// Returns 32 random bytes in Base64, the format of a key in `TOKEN_KEYS`. The demo uses such bytes
/// for its other secrets too.
fn random_secret() -> String {
    STANDARD.encode(random::bytes::<32>())
}

use std::{future::Future, io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use actix_web::{
    App, HttpServer, ResponseError,
    dev::{Server, ServerHandle},
    error::InternalError,
    middleware::{Condition, from_fn},
    web,
};
use tokio::sync::Notify;
use tracing_actix_web::TracingLogger;
use whoop_core::Clock;
use whoop_sync::Settings;

use crate::{
    allowance::Allowance,
    auth::Authenticator,
    background::Background,
    body,
    capacity::Capacity,
    config::Cli,
    cors,
    events::{self, Hub},
    export_permits::ExportPermits,
    inbox::keep_draining,
    log::RequestLine,
    metrics::{self, Metrics},
    one_per_member::OnePerMember,
    open_files,
    pages::Pages,
    panics,
    problem::Problem,
    reads::{self, Reads, Replica, Shares},
    request_id,
    return_to::ReturnUrls,
    routes,
    start_error::StartError,
    state::AppState,
};

/// How long a connection without a request stays open.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long the head of a request may take.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// The API, bound to its address and not yet serving.
pub struct Application {
    server: Server,
    background: Background,
    address: SocketAddr,
}

impl Application {
    /// Reads the settings and binds. PostgreSQL need not be there yet.
    ///
    /// # Errors
    ///
    /// A setting is missing or unusable, or the address is taken.
    pub fn build(cli: &Cli, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let background = Background::new();
        let is_loopback = cli.api_listen.ip().is_loopback();
        let auth = Authenticator::new(&cli.auth, is_loopback, &clock, &background)?;
        let workers = workers(cli);
        let limit = match cli.database_statement_timeout_seconds {
            0 => None,
            seconds => Some(Duration::from_secs(seconds.into())),
        };
        let shares = Shares::of(cli.database.database_pool_size.into(), workers);
        let database = cli.database.pool(None, shares.engine, limit)?;
        let read_url = cli.database_read_url.clone();
        // Here, where an address that cannot be one is told.
        let to_look = cli.database.pool(read_url.as_ref(), 1, limit)?;
        let settings = Settings {
            freshness: cli.freshness.interval(),
            retention: cli.retention.retention(),
            signed_within: cli.webhooks.signed_within(),
            ..Settings::default()
        };
        let engine = cli.whoop.engine(database, clock, settings)?;
        let connections = usize::from(cli.database.database_pool_size);
        let capacity = Capacity::new(open_files::limit(), workers, connections);
        let inbox = Arc::new(Notify::new());
        let hub = Arc::new(Hub::new(capacity.streams));
        background.spawn(keep_draining(
            engine.clone(),
            Arc::clone(&inbox),
            background.stopping(),
        ));
        background.spawn(events::watch(
            engine.clone(),
            Arc::clone(&hub),
            cli.database.may_listen(),
            background.stopping(),
        ));
        let replica = read_url.as_ref().map(|_| Arc::new(Replica::new()));
        if let Some(replica) = &replica {
            background.spawn(reads::watch(
                engine.clone(),
                to_look,
                Arc::clone(replica),
                cli.database.may_listen(),
                background.stopping(),
            ));
        }
        let state = web::Data::new(AppState {
            engine,
            auth,
            return_urls: ReturnUrls::new(
                cli.auth.app_return_urls.clone(),
                cli.api_public_url.clone(),
            ),
            background: background.clone(),
            metrics: Metrics::new(),
            allowance: Allowance::per_minute(cli.api_requests_per_minute),
            exports: ExportPermits::default(),
            background_syncs: OnePerMember::default(),
            inbox,
            hub,
            pages: Pages::new(&cli.cors_allowed_origins),
            capacity,
        });
        let origins = cli.cors_allowed_origins.clone();
        let database_args = cli.database.clone();
        let server = HttpServer::new(move || {
            // Of this worker alone: its connections live on this thread.
            let pool = database_args.pool(read_url.as_ref(), shares.worker.max(1), limit);
            let pool = pool.ok().filter(|_| shares.worker > 0);
            App::new()
                .app_data(web::Data::new(Reads::new(pool, replica.clone())))
                // The last is met first.
                .wrap(from_fn(body::refuse_encoded))
                .wrap(from_fn(panics::contain))
                .wrap(from_fn(metrics::observe))
                .wrap(TracingLogger::<RequestLine>::new())
                .wrap(from_fn(request_id::name))
                .wrap(Condition::new(!origins.is_empty(), cors::allow(&origins)))
                .app_data(state.clone())
                .app_data(web::QueryConfig::default().error_handler(|error, _| {
                    let problem = Problem::invalid(
                        "invalid-query",
                        "query",
                        format!("the query cannot be read: {error}"),
                    );
                    let response = problem.error_response();
                    InternalError::from_response(error, response).into()
                }))
                .configure(routes::configure)
        })
        // The binary listens to the signals itself.
        .disable_signals()
        // Longer than load balancers keep theirs: it is they who close.
        // An answer in parts, as an event or a compressed day, must not wait for the
        // acknowledgement of its first part.
        .tcp_nodelay(true)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_WITHIN)
        .shutdown_timeout(10);
        let server = server
            .workers(workers)
            .max_connections(capacity.connections_per_worker);
        let cannot_listen = |source| StartError::Listen {
            address: cli.api_listen,
            source,
        };
        let server = server.bind(cli.api_listen).map_err(cannot_listen)?;
        let address = server.addrs().first().copied().unwrap_or(cli.api_listen);
        Ok(Self {
            server: server.run(),
            background,
            address,
        })
    }

    /// Where it listens; with port 0 in the settings, the one that was free.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it from elsewhere.
    pub fn handle(&self) -> Handle {
        Handle {
            server: self.server.handle(),
            background: self.background.clone(),
        }
    }

    /// Serves until stopped, and finishes what was begun on the way.
    ///
    /// # Errors
    ///
    /// The sockets broke.
    pub async fn run(self) -> io::Result<()> {
        let served = self.server.await;
        self.background.end().await;
        served
    }
}

/// Threads that serve.
fn workers(cli: &Cli) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cli.api_workers.map_or_else(cores, usize::from)
}

/// Stops an [`Application`] that serves.
#[derive(Debug, Clone)]
pub struct Handle {
    server: ServerHandle,
    background: Background,
}

impl Handle {
    /// No new request is taken, what is in flight is finished. The call itself
    /// asks for that; what it returns only waits.
    pub fn stop(&self) -> impl Future<Output = ()> + use<> {
        self.background.stop();
        self.server.stop(true)
    }
}

/// An API that serves on a task of its own, in a process of several parts.
pub struct Running {
    handle: Handle,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl Application {
    /// Serves in the background until [`Running::stop`].
    pub fn spawn(self) -> Running {
        Running {
            handle: self.handle(),
            task: tokio::spawn(self.run()),
        }
    }
}

impl Running {
    /// Finishes what is in flight, then ends.
    ///
    /// # Errors
    ///
    /// The server had broken before.
    pub async fn stop(self) -> io::Result<()> {
        self.handle.stop().await;
        self.task
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

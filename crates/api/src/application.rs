use std::{future::Future, io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use actix_web::{
    HttpServer,
    dev::{Server, ServerHandle},
    web,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use whoop_core::Clock;
use whoop_sync::{EngineSettings, config::warn_if_unverified};

use crate::{
    app_factory::AppFactory,
    audit::AuditQueue,
    auth::Authenticator,
    background::BackgroundTasks,
    caller::KeyUses,
    capacity::{ConnectionCapacity, OPERATIONS_CONNECTIONS},
    config::{ApiCli, ConnectConfirm, DocsSwitch},
    events::{self, EventHub},
    export_permits::ExportPermits,
    first_syncs,
    metrics::ApiMetrics,
    one_per_member::OnePerMember,
    open_files,
    pages::WebPages,
    reads::{self, PoolSizes, ReadPool, ReadReplica},
    request_limiter::RequestRateLimiter,
    return_to::ReturnUrls,
    revocations::run_revocations,
    routes::ServedRoutes,
    start_error::ApiStartError,
    state::AppState,
    unread_limit,
    webhook_drain::run_webhook_drain,
};

/// Time after which the connection of a caller who sends no request is closed: 75 seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Maximum time that a caller may take to send the request line and the headers of a request.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The API after its addresses were bound and before it serves requests.
pub struct Application {
    public: BoundServer,
    operations: Option<BoundServer>,
    background: BackgroundTasks,
    /// Token that is cancelled after the last request was answered.
    all_served: CancellationToken,
}

/// An HTTP server, and the address that it is bound to.
struct BoundServer {
    server: Server,
    address: SocketAddr,
}

/// Configuration of one HTTP server: its address, the number of worker threads, and the maximum
/// number of connections of each worker.
struct ListenerConfig {
    setting: &'static str,
    address: SocketAddr,
    workers: usize,
    connections_per_worker: usize,
}

impl ListenerConfig {
    /// Binds the address and returns the server. Every worker thread calls `reads` once, to create
    /// its own connection pool for reads.
    fn bind(
        self,
        app_factory: AppFactory,
        reads: impl Fn() -> ReadPool + Send + Clone + 'static,
    ) -> Result<BoundServer, ApiStartError> {
        let server = HttpServer::new(move || app_factory.build_app(reads()))
            // `serve` handles SIGTERM and SIGINT, so actix-web must not handle them.
            .disable_signals()
            // Disables Nagle's algorithm: the later parts of a response, such as an event or a
            // compressed day, must not wait for the acknowledgement of the first part.
            .tcp_nodelay(true)
            // The keep-alive is longer than the keep-alive of usual load balancers, so that load
            // balancers close idle connections first.
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(REQUEST_HEAD_TIMEOUT)
            .on_connect(|connection, _| unread_limit::limit_unread_time(connection))
            .shutdown_timeout(10)
            .workers(self.workers)
            .max_connections(self.connections_per_worker)
            .bind(self.address)
            .map_err(|source| ApiStartError::Listen {
                setting: self.setting,
                address: self.address,
                source,
            })?;
        let address = server.addrs().first().copied().unwrap_or(self.address);
        Ok(BoundServer {
            server: server.run(),
            address,
        })
    }
}

impl Application {
    /// Checks the settings, starts the background tasks and binds the addresses. PostgreSQL need
    /// not be available yet.
    ///
    /// # Errors
    ///
    /// A setting is missing or invalid, or an address is in use.
    pub fn build(cli: &ApiCli, clock: Arc<dyn Clock>) -> Result<Self, ApiStartError> {
        let faults = cli.faults();
        if !faults.is_empty() {
            return Err(ApiStartError::Settings(faults));
        }
        let background = BackgroundTasks::new();
        let auth = Authenticator::new(&cli.auth, cli.listens_on_loopback(), &clock, &background)?;
        auth.warn_at_start();
        let workers = worker_count(cli);
        let statement_timeout = match cli.database_statement_timeout_seconds {
            0 => None,
            seconds => Some(Duration::from_secs(seconds.into())),
        };
        let pool_sizes = PoolSizes::of(cli.database.database_pool_size.into(), workers);
        let database = cli
            .database
            .pool(None, pool_sizes.engine, statement_timeout)?;
        let read_url = cli.database_read_url.clone();
        // The pool is created here, so that an invalid address in the settings is reported when the
        // process starts.
        let lag_check_pool = cli.database.pool(read_url.as_ref(), 1, statement_timeout)?;
        warn_if_unverified("DATABASE_URL", &database);
        if read_url.is_some() {
            warn_if_unverified("DATABASE_READ_URL", &lag_check_pool);
        }
        let settings = EngineSettings {
            freshness: cli.freshness.interval(),
            forced_read_interval: cli.freshness.forced_read_interval,
            retention: cli.retention.retention(),
            signed_within: cli.webhooks.signed_within(),
            ..EngineSettings::default()
        };
        let engine = cli.whoop.engine(database, clock, settings)?;
        let all_served = CancellationToken::new();
        let (audit, audit_writer) = AuditQueue::new(engine.clone(), all_served.clone());
        background.spawn(audit_writer);
        let connections = usize::from(cli.database.database_pool_size);
        let capacity = ConnectionCapacity::new(open_files::limit(), workers, connections);
        let webhook_arrived = Arc::new(Notify::new());
        let hub = Arc::new(EventHub::new(capacity.max_streams));
        background.spawn(run_webhook_drain(
            engine.clone(),
            Arc::clone(&webhook_arrived),
            background.stop_token(),
        ));
        background.spawn(run_revocations(engine.clone(), background.stop_token()));
        background.spawn(first_syncs::resume(engine.clone(), background.stop_token()));
        background.spawn(finish_refreshes(
            engine.clone(),
            all_served.clone(),
            background.stop_token(),
        ));
        background.spawn(events::watch_members(
            engine.clone(),
            Arc::clone(&hub),
            cli.database.supports_listen(),
            background.stop_token(),
        ));
        let replica = read_url.as_ref().map(|_| Arc::new(ReadReplica::new()));
        if let Some(replica) = &replica {
            background.spawn(reads::watch_replica(
                engine.clone(),
                lag_check_pool,
                Arc::clone(replica),
                cli.database.supports_listen(),
                background.stop_token(),
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
            metrics: ApiMetrics::new(),
            request_limiter: RequestRateLimiter::per_minute(cli.api_requests_per_minute),
            export_permits: ExportPermits::default(),
            background_syncs: OnePerMember::default(),
            webhook_arrived,
            audit,
            key_uses: KeyUses::default(),
            event_hub: hub,
            pages: WebPages::new(&cli.cors_allowed_origins),
            capacity,
            confirms_connects: cli.auth.connect_confirm == ConnectConfirm::Required,
        });
        let public = AppFactory {
            routes: ServedRoutes {
                members: true,
                operations: cli.api_ops_listen.is_none(),
                docs: cli.api_docs == DocsSwitch::On,
            },
            state: state.clone(),
            origins: cli.cors_allowed_origins.clone(),
        };
        let database_args = cli.database.clone();
        let reads = move || {
            // Each worker has its own pool, because a database connection belongs to the thread
            // that opened it.
            let pool = database_args.pool(
                read_url.as_ref(),
                pool_sizes.worker.max(1),
                statement_timeout,
            );
            let pool = pool.ok().filter(|_| pool_sizes.worker > 0);
            ReadPool::new(pool, replica.clone())
        };
        let public = ListenerConfig {
            setting: "API_LISTEN",
            address: cli.api_listen,
            workers,
            connections_per_worker: capacity.connections_per_worker,
        }
        .bind(public, reads)?;
        let operations = cli.api_ops_listen.map(|address| {
            let app_factory = AppFactory {
                routes: ServedRoutes {
                    members: false,
                    operations: true,
                    docs: false,
                },
                state,
                // No web app of another origin may use this address: only the operator's page sends
                // requests to it, and this page has the same origin.
                origins: Vec::new(),
            };
            // The operations address has its own thread and connections, so that the operator can
            // use it while the public address is overloaded.
            let listener = ListenerConfig {
                setting: "API_OPS_LISTEN",
                address,
                workers: 1,
                connections_per_worker: OPERATIONS_CONNECTIONS,
            };
            listener.bind(app_factory, || ReadPool::new(None, None))
        });
        Ok(Self {
            public,
            operations: operations.transpose()?,
            background,
            all_served,
        })
    }

    /// Returns the address that the app uses.
    ///
    /// If the port in `API_LISTEN` is 0, the returned address contains the port that the operating
    /// system chose.
    pub fn address(&self) -> SocketAddr {
        self.public.address
    }

    /// Returns the address for the operator, or `None` if `API_OPS_LISTEN` is not set.
    pub fn operations_address(&self) -> Option<SocketAddr> {
        self.operations.as_ref().map(|bound| bound.address)
    }

    /// Returns a handle with which another task can stop the API.
    pub fn handle(&self) -> StopHandle {
        let servers = [Some(&self.public), self.operations.as_ref()];
        StopHandle {
            servers: servers
                .into_iter()
                .flatten()
                .map(|bound| bound.server.handle())
                .collect(),
            background: self.background.clone(),
        }
    }

    /// Serves requests until [`StopHandle::stop`] is called. Then finishes the requests in progress
    /// and the background tasks.
    ///
    /// # Errors
    ///
    /// A listening socket failed.
    pub async fn run(self) -> io::Result<()> {
        let operations = async {
            match self.operations {
                Some(bound) => bound.server.await,
                None => Ok(()),
            }
        };
        let result = futures::future::try_join(self.public.server, operations).await;
        self.all_served.cancel();
        self.background.shut_down().await;
        result.map(|_| ())
    }
}

/// Waits until the last request was answered, and then for the token refreshes that are still
/// running because no caller waits for their result any more.
async fn finish_refreshes(
    engine: whoop_sync::Engine,
    all_served: CancellationToken,
    stop: CancellationToken,
) {
    all_served.cancelled().await;
    engine.refresher.finish_refreshes(&stop).await;
}

/// Returns the number of worker threads of the public address: `API_WORKERS`, or by default the
/// number of CPU cores.
fn worker_count(cli: &ApiCli) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cli.api_workers.map_or_else(cores, usize::from)
}

/// Handle that stops a running [`Application`].
#[derive(Debug, Clone)]
pub struct StopHandle {
    servers: Vec<ServerHandle>,
    background: BackgroundTasks,
}

impl StopHandle {
    /// Stops the API: no new request is accepted, and requests in progress are finished.
    ///
    /// The stop begins when this function is called. The returned future completes after the last
    /// request in progress was answered.
    pub fn stop(&self) -> impl Future<Output = ()> + use<> {
        self.background.stop();
        let stopping = self.servers.iter().map(|server| server.stop(true));
        let stopping = futures::future::join_all(stopping);
        async move {
            stopping.await;
        }
    }
}

/// An API that runs in its own Tokio task, for a process that also runs other parts, such as the
/// demo.
pub struct RunningApplication {
    handle: StopHandle,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl Application {
    /// Starts to serve requests in a new Tokio task, until [`RunningApplication::stop`] is called.
    pub fn spawn(self) -> RunningApplication {
        RunningApplication {
            handle: self.handle(),
            task: tokio::spawn(self.run()),
        }
    }
}

impl RunningApplication {
    /// Stops the API, and waits until the requests in progress are finished.
    ///
    /// # Errors
    ///
    /// A listening socket failed, or the task of the API panicked.
    pub async fn stop(self) -> io::Result<()> {
        self.handle.stop().await;
        self.task
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

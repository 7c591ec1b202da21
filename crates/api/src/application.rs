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

/// Maximum time that a connection stays open without a request.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Maximum time that a caller may take to send the head of a request.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The API, bound to its address and not yet serving.
pub struct Application {
    public: BoundServer,
    operations: Option<BoundServer>,
    background: BackgroundTasks,
    /// Cancelled after the last request.
    all_served: CancellationToken,
}

/// A server that is bound to its address.
struct BoundServer {
    server: Server,
    address: SocketAddr,
}

/// Address to listen on, with its numbers of threads and connections.
struct ListenerConfig {
    setting: &'static str,
    address: SocketAddr,
    workers: usize,
    connections_per_worker: usize,
}

impl ListenerConfig {
    /// Binds the address. Each worker calls `reads` once.
    fn bind(
        self,
        app_factory: AppFactory,
        reads: impl Fn() -> ReadPool + Send + Clone + 'static,
    ) -> Result<BoundServer, ApiStartError> {
        let server = HttpServer::new(move || app_factory.build_app(reads()))
            // The binary handles the signals itself.
            .disable_signals()
            // A response in several parts, such as an event or a compressed day, must not wait for
            // the acknowledgement of its first part.
            .tcp_nodelay(true)
            // Longer than the keep-alive of usual load balancers, so that they close idle
            // connections first.
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
    /// Reads the settings and binds the addresses. PostgreSQL need not be available yet.
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
        // Created here, so that an invalid address is reported when the process starts.
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
            // Each worker has a pool of its own, because its connections belong to this thread.
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
                // Only the operator's page, which is of the same origin, sends requests to this
                // address.
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

    /// The public address. If the settings have port 0, it contains the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.public.address
    }

    /// The operations address, if there is one.
    pub fn operations_address(&self) -> Option<SocketAddr> {
        self.operations.as_ref().map(|bound| bound.address)
    }

    /// Returns a handle that stops the API.
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

    /// Serves until it is stopped, and finishes the requests in progress.
    ///
    /// # Errors
    ///
    /// A socket failed.
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

/// Waits, after the last request, for token refreshes that no caller waits for.
async fn finish_refreshes(
    engine: whoop_sync::Engine,
    all_served: CancellationToken,
    stop: CancellationToken,
) {
    all_served.cancelled().await;
    engine.refresher.finish_refreshes(&stop).await;
}

/// Number of worker threads of the public address.
fn worker_count(cli: &ApiCli) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cli.api_workers.map_or_else(cores, usize::from)
}

/// Handle that stops an [`Application`] that serves.
#[derive(Debug, Clone)]
pub struct StopHandle {
    servers: Vec<ServerHandle>,
    background: BackgroundTasks,
}

impl StopHandle {
    /// Requests the stop: no new request is accepted, requests in progress are finished. The
    /// returned future only waits until they are finished.
    pub fn stop(&self) -> impl Future<Output = ()> + use<> {
        self.background.stop();
        let stopping = self.servers.iter().map(|server| server.stop(true));
        let stopping = futures::future::join_all(stopping);
        async move {
            stopping.await;
        }
    }
}

/// An API that serves in a task of its own, for a process with several parts.
pub struct RunningApplication {
    handle: StopHandle,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl Application {
    /// Serves in the background until [`RunningApplication::stop`].
    pub fn spawn(self) -> RunningApplication {
        RunningApplication {
            handle: self.handle(),
            task: tokio::spawn(self.run()),
        }
    }
}

impl RunningApplication {
    /// Finishes the requests in progress, then stops.
    ///
    /// # Errors
    ///
    /// The server had already failed.
    pub async fn stop(self) -> io::Result<()> {
        self.handle.stop().await;
        self.task
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

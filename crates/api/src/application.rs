use std::{future::Future, io, net::SocketAddr, sync::Arc};

use actix_web::{
    App, HttpServer, ResponseError,
    dev::{Server, ServerHandle},
    error::InternalError,
    middleware::from_fn,
    web,
};
use tokio::sync::{Notify, Semaphore};
use tracing_actix_web::TracingLogger;
use whoop_core::Clock;
use whoop_sync::Settings;

use crate::{
    auth::Authenticator,
    background::Background,
    body,
    config::Cli,
    events::{self, Hub},
    inbox::keep_draining,
    log::RequestLine,
    metrics::{self, Metrics},
    problem::Problem,
    return_to::ReturnUrls,
    routes,
    start_error::StartError,
    state::AppState,
};

/// Exports at the same time: a few members' downloads must not keep the pool
/// from the days that others open.
const EXPORTS: usize = 4;

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
        let database = cli.database.database()?;
        let settings = Settings {
            freshness: cli.freshness.interval(),
            retention: cli.retention.retention(),
            signed_within: cli.webhooks.signed_within(),
            ..Settings::default()
        };
        let engine = cli.whoop.engine(database, clock, settings)?;
        let (inbox, hub) = (Arc::new(Notify::new()), Arc::new(Hub::default()));
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
        let state = web::Data::new(AppState {
            engine,
            auth,
            return_urls: ReturnUrls::new(cli.auth.app_return_urls.clone()),
            background: background.clone(),
            metrics: Metrics::new(),
            exports: Arc::new(Semaphore::new(EXPORTS)),
            inbox,
            hub,
        });
        let server = HttpServer::new(move || {
            App::new()
                .wrap(from_fn(metrics::observe))
                .wrap(TracingLogger::<RequestLine>::new())
                .app_data(state.clone())
                .app_data(body::limit())
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
        .shutdown_timeout(10);
        let server = match cli.api_workers {
            Some(workers) => server.workers(workers.into()),
            None => server,
        };
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

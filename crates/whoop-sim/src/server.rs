//! The running simulator: an HTTP server on its own thread.

use std::{net::SocketAddr, thread::JoinHandle};

use actix_web::{App, HttpServer, dev::ServerHandle, web};
use tokio::sync::oneshot;

use crate::{
    config::{SimConfig, SimError},
    handle::WorldHandle,
    http,
    webhook::{self, DeliveryLock},
    world::World,
};

/// A simulator that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct SimServer {
    world: WorldHandle,
    delivery_lock: DeliveryLock,
    address: SocketAddr,
    server: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl SimServer {
    /// Starts a simulator; it accepts connections when this returns.
    ///
    /// The server has its own thread and its own runtime, so it answers even if the calling test
    /// blocks its runtime or pauses its clock.
    pub async fn start(config: SimConfig) -> Result<Self, SimError> {
        config.validate()?;
        let listen = config.listen;
        let failed = |source| SimError::Listen {
            address: listen,
            source,
        };
        let listener = std::net::TcpListener::bind(listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;

        let world = WorldHandle::new(World::new(config));
        let (started, starts) = oneshot::channel();
        let gate = DeliveryLock::default();
        let (served, served_gate) = (world.clone(), DeliveryLock::clone(&gate));
        let thread = std::thread::Builder::new()
            .name("whoop-sim".to_owned())
            .spawn(move || run_server(listener, served, served_gate, started))
            .map_err(SimError::Thread)?;
        match starts.await {
            Ok(Ok(server)) => Ok(Self {
                world,
                delivery_lock: gate,
                address,
                server,
                thread: Some(thread),
            }),
            Ok(Err(source)) => Err(failed(source)),
            Err(_) => Err(SimError::ServerEnded),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base URL, such as `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the URL that replaces `https://api.prod.whoop.com/developer`.
    pub fn api_url(&self) -> String {
        format!("{}/developer", self.base_url())
    }

    /// Returns the URL that replaces `https://api.prod.whoop.com/oauth/oauth2`.
    pub fn oauth_url(&self) -> String {
        format!("{}/oauth/oauth2", self.base_url())
    }

    pub fn world(&self) -> WorldHandle {
        self.world.clone()
    }

    /// Sends all webhooks that are due now, waits for the answers and returns the number of
    /// webhooks.
    ///
    /// If the simulator is already sending webhooks by itself, this waits for them first. They are
    /// not part of the returned number.
    pub async fn deliver_webhooks(&self) -> usize {
        // A separate HTTP client: the connections of the other one belong to the server's
        // runtime.
        match webhook::http_client() {
            Ok(http) => webhook::deliver_due(&self.world, &http, &self.delivery_lock).await,
            Err(error) => {
                tracing::error!(%error, "webhooks cannot be sent");
                0
            }
        }
    }

    /// Stops the server and waits for the end of its thread. Open calls are aborted.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The call itself sends the command; the returned future only waits for the end.
            drop(self.server.stop(false));
            // If the thread panicked, it has already printed the panic.
            let _ = thread.join();
        }
    }
}

impl Drop for SimServer {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn run_server(
    listener: std::net::TcpListener,
    world: WorldHandle,
    gate: DeliveryLock,
    started: oneshot::Sender<Result<ServerHandle, std::io::Error>>,
) {
    actix_web::rt::System::new().block_on(async move {
        // This task ends with the runtime.
        actix_web::rt::spawn(webhook::run_delivery(world.clone(), gate));
        let data = web::Data::new(world);
        let server =
            HttpServer::new(move || App::new().app_data(data.clone()).configure(http::configure))
                .workers(2)
                .disable_signals()
                .listen(listener)
                .map(HttpServer::run);
        match server {
            Ok(server) => {
                let _ = started.send(Ok(server.handle()));
                if let Err(error) = server.await {
                    tracing::error!(%error, "the simulator's server ended");
                }
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    });
}

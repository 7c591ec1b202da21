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
    /// Starts a simulator. It accepts connections when this function returns.
    ///
    /// The server has its own thread and its own runtime, so it answers even if the calling test
    /// blocks the test's runtime or pauses the test's clock.
    pub async fn start(config: SimConfig) -> Result<Self, SimError> {
        config.validate()?;
        let listen = config.listen;
        let listen_error = |source| SimError::Listen {
            address: listen,
            source,
        };
        let listener = std::net::TcpListener::bind(listen).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;

        let world = WorldHandle::new(World::new(config));
        let (started_sender, started) = oneshot::channel();
        let delivery_lock = DeliveryLock::default();
        let (server_world, server_lock) = (world.clone(), DeliveryLock::clone(&delivery_lock));
        let thread = std::thread::Builder::new()
            .name("whoop-sim".to_owned())
            .spawn(move || run_server(listener, server_world, server_lock, started_sender))
            .map_err(SimError::Thread)?;
        match started.await {
            Ok(Ok(server)) => Ok(Self {
                world,
                delivery_lock,
                address,
                server,
                thread: Some(thread),
            }),
            Ok(Err(source)) => Err(listen_error(source)),
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
    /// If the simulator's background task is already sending webhooks, this function waits for them
    /// first. They are not part of the returned number.
    pub async fn deliver_webhooks(&self) -> usize {
        // This function needs its own HTTP client: the connections of the background task's client
        // belong to the server's runtime.
        match webhook::http_client() {
            Ok(http) => webhook::deliver_due(&self.world, &http, &self.delivery_lock).await,
            Err(error) => {
                tracing::error!(%error, "cannot create the HTTP client for webhooks");
                0
            }
        }
    }

    /// Stops the server and waits for the end of its thread. Requests that are still open are
    /// aborted.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Calling `stop` already sends the command. The future that it returns only waits for
            // the end.
            drop(self.server.stop(false));
            // An error means that the thread panicked. The thread has already printed the panic.
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
    delivery_lock: DeliveryLock,
    started_sender: oneshot::Sender<Result<ServerHandle, std::io::Error>>,
) {
    actix_web::rt::System::new().block_on(async move {
        // This task ends with the runtime.
        actix_web::rt::spawn(webhook::run_delivery(world.clone(), delivery_lock));
        let data = web::Data::new(world);
        let server =
            HttpServer::new(move || App::new().app_data(data.clone()).configure(http::configure))
                .workers(2)
                .disable_signals()
                .listen(listener)
                .map(HttpServer::run);
        match server {
            Ok(server) => {
                let _ = started_sender.send(Ok(server.handle()));
                if let Err(error) = server.await {
                    tracing::error!(%error, "the HTTP server of the simulator failed");
                }
            }
            Err(error) => {
                let _ = started_sender.send(Err(error));
            }
        }
    });
}

//! The running simulator: a server on a thread of its own.

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
    /// Starts a simulator; it listens when this returns.
    ///
    /// The server has its own thread and its own runtime. Callers may be on any
    /// runtime, block it, or pause its clock, and are still answered.
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

    /// `http://127.0.0.1:PORT`
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What takes the place of `https://api.prod.whoop.com/developer`.
    pub fn api_url(&self) -> String {
        format!("{}/developer", self.base_url())
    }

    /// What takes the place of `https://api.prod.whoop.com/oauth/oauth2`.
    pub fn oauth_url(&self) -> String {
        format!("{}/oauth/oauth2", self.base_url())
    }

    pub fn world(&self) -> WorldHandle {
        self.world.clone()
    }

    /// Sends every webhook that is due now and returns when each is answered.
    ///
    /// A round that the simulator began by itself is waited for as well; its
    /// webhooks are not in the number that comes back.
    pub async fn deliver_webhooks(&self) -> usize {
        // A client of its own: the connections of the other one belong to the
        // server's runtime.
        match webhook::http_client() {
            Ok(http) => webhook::deliver_due(&self.world, &http, &self.delivery_lock).await,
            Err(error) => {
                tracing::error!(%error, "webhooks cannot be sent");
                0
            }
        }
    }

    /// Stops the server and waits for its thread to end. Open calls are cut off.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The command is sent by the call itself; what it returns only waits.
            drop(self.server.stop(false));
            // A panic there was already printed by that thread.
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
        // It ends with this runtime.
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

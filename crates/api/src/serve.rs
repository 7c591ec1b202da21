use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use whoop_core::SystemClock;

use crate::{ApiCli, Application, open_files};

/// Runs the API: starts the log, and serves requests until SIGTERM or SIGINT arrives.
///
/// # Errors
///
/// A setting is missing or invalid, an address is in use, or the server failed.
#[tokio::main]
pub async fn serve(cli: &ApiCli) -> anyhow::Result<()> {
    cli.log.init()?;
    open_files::raise_limit();
    let application = Application::build(cli, Arc::new(SystemClock))?;
    tracing::info!(
        address = %application.address(),
        operations = application.operations_address().map(tracing::field::display),
        "listening"
    );
    let handle = application.handle();
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping after the requests in progress");
        handle.stop().await;
    });
    application.run().await.context("the server failed")
}

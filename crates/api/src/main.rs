//! `api`: serves the app over HTTP until it is told to stop.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use whoop_api::{Application, Cli};
use whoop_core::SystemClock;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match serve(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Before or beside the log: whoever starts it reads this.
            eprintln!("api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(cli: &Cli) -> anyhow::Result<()> {
    cli.log.init()?;
    let application = Application::build(cli, Arc::new(SystemClock))?;
    tracing::info!(address = %application.address(), "listening");
    let handle = application.handle();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping; what is in flight is finished first");
        handle.stop().await;
    });
    application.run().await.context("the server broke")
}

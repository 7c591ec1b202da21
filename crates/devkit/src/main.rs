//! `cargo demo`: the whole system on one machine, with nothing to set up.
//!
//! `whoop-sim` stands in for WHOOP; its people are made up, and the demo says
//! so. Everything else is the real thing, through its own doors: the worker's
//! command line, the API over HTTP, OAuth by redirects.

mod demo {
    pub(super) mod cli;
    pub(super) mod http;
    pub(super) mod live;
    pub(super) mod report;
    pub(super) mod stack;
    pub(super) mod story;
    pub(super) mod unusual_lives;
}

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use demo::{cli::Cli, report::Report, stack::Stack, story};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(cli.rust_log.as_str())
        .with_writer(std::io::stderr)
        .init();
    let mut report = Report::new(cli.json || cli.nobody);
    report.headline("A demonstration: whoop-sim stands in for WHOOP, and its people are made up.");
    let stack = Stack::start(cli, &mut report).await?;
    if cli.check {
        story::check(&stack, &mut report).await;
        stack.stop().await;
        return Ok(report.finish());
    }
    if cli.nobody {
        story::nobody(&stack).await?;
    } else {
        story::open(&stack, &mut report).await?;
    }
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen to Ctrl-C")?,
        _ = terminate.recv() => {}
    }
    stack.stop().await;
    report.headline("Stopped; nothing is left behind.");
    Ok(ExitCode::SUCCESS)
}

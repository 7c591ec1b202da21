//! `cargo demo`: the whole system on one machine, without any setup.
//!
//! `whoop-sim` replaces WHOOP. Its people are made up, and the demo prints this. All other
//! components are the real ones and are used through their own interfaces: the worker through its
//! command line, the API over HTTP, and the connection of a member through OAuth redirects.

mod demo {
    pub(super) mod cli;
    pub(super) mod environment;
    pub(super) mod live;
    pub(super) mod member;
    pub(super) mod report;
    pub(super) mod steps;
    pub(super) mod unusual_lives;
}

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use demo::{cli::DemoCli, environment::DemoEnv, report::DemoReport, steps};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = DemoCli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(cli: &DemoCli) -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(cli.rust_log.as_str())
        .with_writer(std::io::stderr)
        .init();
    let mut report = DemoReport::new(cli.json || cli.without_members);
    report.print_line("A demo with simulated people: whoop-sim replaces WHOOP.");
    let env = DemoEnv::start(cli, &mut report).await?;
    if cli.check {
        steps::run_acceptance_steps(&env, &mut report).await;
        env.stop().await;
        return Ok(report.finish());
    }
    if cli.without_members {
        steps::run_without_members(&env).await?;
    } else {
        steps::run_demo(&env, &mut report).await?;
    }
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for Ctrl-C")?,
        _ = terminate.recv() => {}
    }
    env.stop().await;
    report.print_line("Stopped all processes and removed all temporary data.");
    Ok(ExitCode::SUCCESS)
}

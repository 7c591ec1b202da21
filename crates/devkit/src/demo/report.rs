use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use serde::Serialize;

/// Output of the demo: lines for people, or one JSON object.
pub(crate) struct DemoReport {
    json: bool,
    started: Instant,
    steps: Vec<DemoStep>,
}

#[derive(Serialize)]
struct DemoStep {
    name: &'static str,
    ok: bool,
    seconds: f64,
    /// The step's result in words, or the error if the step failed.
    detail: String,
}

#[derive(Serialize)]
struct DemoResult<'a> {
    ok: bool,
    seconds: f64,
    steps: &'a [DemoStep],
}

impl DemoReport {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            started: Instant::now(),
            steps: Vec::new(),
        }
    }

    pub(crate) fn print_line(&self, text: &str) {
        if !self.json {
            println!("{text}");
        }
    }

    pub(crate) fn print_fact(&self, name: &str, text: &str) {
        if !self.json {
            println!("  {name:<12} {text}");
        }
    }

    pub(crate) fn step(
        &mut self,
        name: &'static str,
        took: Duration,
        outcome: anyhow::Result<String>,
    ) {
        let ok = outcome.is_ok();
        let detail = outcome.unwrap_or_else(|error| format!("{error:#}"));
        let step = DemoStep {
            name,
            ok,
            seconds: took.as_secs_f64(),
            detail,
        };
        if !self.json {
            let status = if ok { "ok" } else { "FAILED" };
            println!(
                "  {status:<6} {name:<20} {:>7.3} s  {}",
                step.seconds, step.detail
            );
        }
        self.steps.push(step);
    }

    pub(crate) fn finish(self) -> ExitCode {
        let ok = self.steps.iter().all(|step| step.ok);
        let seconds = self.started.elapsed().as_secs_f64();
        if self.json {
            let result = DemoResult {
                ok,
                seconds,
                steps: &self.steps,
            };
            match serde_json::to_string(&result) {
                Ok(text) => println!("{text}"),
                Err(error) => eprintln!("demo: cannot write the report: {error}"),
            }
        } else {
            let failed = self.steps.iter().filter(|step| !step.ok).count();
            println!(
                "{} steps in {seconds:.1} s, {failed} failed",
                self.steps.len()
            );
        }
        if ok {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

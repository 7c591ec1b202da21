use clap::Parser;

/// Runs the whole system on one machine: PostgreSQL, simulator, API and one member.
#[derive(Debug, Parser)]
#[command(name = "cargo demo", bin_name = "cargo demo", version)]
pub(crate) struct DemoCli {
    /// Run the acceptance steps and exit, with code 1 if a step fails.
    #[arg(long)]
    pub(crate) check: bool,

    /// Print one JSON object to standard output instead of lines; requires --check.
    #[arg(long, requires = "check")]
    pub(crate) json: bool,

    /// Connect no member, and print the addresses and keys as one JSON object; for tests of the
    /// page.
    #[arg(long = "nobody", conflicts_with = "check")]
    pub(crate) without_members: bool,

    /// Port of the API. If it is taken, the next free port is used.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    pub(crate) api_port: u16,

    /// Port of the simulator. If it is taken, the next free port is used.
    #[arg(long, default_value_t = 8090, value_name = "PORT")]
    pub(crate) sim_port: u16,

    /// Number of simulated people.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) people: u16,

    /// Days of history of each person [default: 400; 100 with --check, to stay within WHOOP's 100
    /// calls a minute].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(40..=3650))]
    days: Option<u32>,

    /// Log filter, such as `error` or `info,whoop_sync=debug`.
    #[arg(long, env = "RUST_LOG", default_value = "error", value_name = "FILTER")]
    pub(crate) rust_log: String,
}

impl DemoCli {
    pub(crate) fn days(&self) -> u32 {
        self.days.unwrap_or(if self.check { 100 } else { 400 })
    }
}

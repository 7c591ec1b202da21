//! The command line's arguments. Flags that the API also has are defined in `whoop_sync`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use whoop_capacity::{CallConditions, DayVariation, Outage, WebhookConditions};
use whoop_core::{DataType, UserId};
use whoop_storage::{
    Database,
    service_key::{KeyName, Scope},
};
use whoop_sync::config::{
    AuditArgs, DatabaseArgs, KeyArgs, LimitArgs, LogArgs, RetentionArgs, SettingFault,
    SettingFaults, WhoopArgs,
};

use crate::{expiry::ExpiryArg, slot::SlotArg, time_arg::TimeArg};

/// Keeps the WHOOP records of every connected member in PostgreSQL.
///
/// Made for cron: a command does its work once and exits.
#[derive(Debug, Parser)]
#[command(
    name = "sync-worker",
    version,
    propagate_version = true,
    after_help = EXIT_CODES,
    max_term_width = 100
)]
pub struct WorkerCli {
    #[command(subcommand)]
    pub command: WorkerCommand,

    /// Settings that could not be read, see [`whoop_sync::config::read_command_line`].
    #[arg(skip)]
    pub unreadable_settings: SettingFaults,
}

const EXIT_CODES: &str = "Exit codes: 0 all done, 1 could not run (database, configuration), \
2 wrong usage, 3 ran and some members failed, 4 ran and work was deferred (quota or stop signal)";

#[derive(Debug, Subcommand)]
pub enum WorkerCommand {
    /// Update the database's tables to this version; does nothing if they are up to date.
    Migrate(MigrateArgs),
    /// Sync the connected members with WHOOP once, as one of the day's four runs.
    Run(Box<RunArgs>),
    /// Backfill members' history page by page, back to their first record.
    ///
    /// It can be stopped at any moment; the next backfill continues from there. Every night run
    /// does the same with the quota that is still unused on that day.
    Backfill(Box<BackfillArgs>),
    /// Read WHOOP again, store what differs, and report each difference.
    ///
    /// A difference has one of five causes: `missing`, `older`, `altered`, `wrong_date`, `gone`.
    /// Without `--user` the calls have the priority of a backfill. A deferred run starts from the
    /// beginning.
    Reconcile(Box<ReconcileArgs>),
    /// Simulate how many members WHOOP's quota supports.
    ///
    /// The members are generated in memory, and their reads are planned as the service plans its
    /// runs. Needs no database and no WHOOP app.
    ///
    /// Exits with 1 if the quota does not suffice or a freshness goal is missed.
    Capacity(CapacityArgs),
    /// Import members, tokens and records of the legacy service.
    ///
    /// Reads the tables that `migrate` renamed to `predecessor_…`. Tokens are sealed and verified
    /// at WHOOP, with at most one refresh each, so that members do not have to connect again.
    /// Running it twice changes nothing. Stop the legacy service for good first.
    Adopt(Box<AdoptArgs>),
    /// Show the whole service on one page: members, quota, last runs.
    Status(StatusArgs),
    /// Check the service, and print each problem with what to do about it.
    ///
    /// Uses one call of WHOOP's quota. Also checks client id and secret, which costs no call.
    ///
    /// Exits with 0 if it finds nothing but warnings, 3 if there is a problem, and 1 if the
    /// settings or the database prevent the checks.
    Doctor(Box<DoctorArgs>),
    /// Print the script that completes commands and flags in a shell.
    Completions(CompletionsArgs),
    /// Print the manual page, for `man -l -`.
    Man,
    /// Explain the settings that the commands share.
    Settings,
    /// List, inspect, disconnect and erase members.
    #[command(subcommand)]
    Users(UsersCommand),
    /// Manage WHOOP's webhooks: received, pending and dead events.
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Manage the keys that seal members' tokens.
    #[command(subcommand)]
    Keys(TokenKeysCommand),
    /// Manage the change feed with which apps update their copies.
    #[command(subcommand)]
    Changes(ChangesCommand),
    /// Manage the service keys of the team's backends: create, list and revoke them.
    ///
    /// A change takes effect at once in every API process, without a restart.
    #[command(subcommand)]
    ServiceKeys(ServiceKeysCommand),
    /// List the audit trail: connects, reads, exports, disconnects and erasures.
    ///
    /// Each row names its caller. Newest first. An erased member is found by id as long as
    /// `TOKEN_KEYS` still has the key that was its first one at the erasure.
    Audit(ListAuditArgs),
}

#[derive(Debug, Subcommand)]
pub enum ServiceKeysCommand {
    /// Create a key and print it.
    ///
    /// The key is printed only once: the database stores only its hash.
    Create(CreateServiceKeyArgs),
    /// List all keys with their scopes, state and last use.
    List(ListServiceKeysArgs),
    /// Revoke a key; its next request is refused.
    Revoke(RevokeServiceKeyArgs),
}

/// The scope argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ScopeArg {
    /// Read members' data.
    Read,
    /// Connect members, and sync their data from WHOOP on request.
    Sync,
    /// Disconnect and erase members.
    Erase,
    /// Read and use the operator's routes.
    Operate,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Read => Self::Read,
            ScopeArg::Sync => Self::Sync,
            ScopeArg::Erase => Self::Erase,
            ScopeArg::Operate => Self::Operate,
        }
    }
}

#[derive(Debug, Args)]
pub struct CreateServiceKeyArgs {
    /// Name in the request log, in metrics and in the audit trail: 1 to 64 characters of a-z, 0-9,
    /// dot, underscore and hyphen.
    #[arg(long, value_name = "NAME")]
    pub name: KeyName,

    /// Scopes of the key, separated by commas.
    #[arg(
        long = "scope",
        value_enum,
        value_delimiter = ',',
        required = true,
        value_name = "SCOPES"
    )]
    pub scopes: Vec<ScopeArg>,

    /// Last day of the key (YYYY-MM-DD, in UTC), or an instant such as 2027-01-31T08:00:00Z. By
    /// default the key does not expire.
    #[arg(long, value_name = "DATE")]
    pub expires: Option<ExpiryArg>,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct ListServiceKeysArgs {
    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct RevokeServiceKeyArgs {
    /// Name of the key.
    #[arg(value_name = "NAME")]
    pub name: KeyName,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct ListAuditArgs {
    /// Only rows about this member, even if the member was erased.
    #[arg(long, value_name = "ID")]
    pub user: Option<UserId>,

    /// Only rows from this time on: YYYY-MM-DD, or an instant such as 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<TimeArg>,

    /// Only rows of this caller: member, whoop, key:NAME or cli:USER; key and cli match all callers
    /// of that kind.
    #[arg(long, value_name = "CALLER", value_parser = parse_caller)]
    pub caller: Option<String>,

    /// Maximum number of rows.
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,

    #[command(flatten)]
    pub keys: KeyArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

fn parse_caller(text: &str) -> Result<String, String> {
    let is_caller = match text.split_once(':') {
        Some((kind, name)) => ["key", "cli"].contains(&kind) && !name.is_empty(),
        None => ["member", "whoop", "key", "cli"].contains(&text),
    };
    if is_caller && text.chars().count() <= 100 {
        Ok(text.to_owned())
    } else {
        Err("use member, whoop, key, cli, key:NAME or cli:USER, such as key:backend".to_owned())
    }
}

#[derive(Debug, Subcommand)]
pub enum ChangesCommand {
    /// Make every app read all its data again, after a backup was restored.
    ///
    /// A restored database repeats sequence numbers that apps already know. Run this before you
    /// start anything else on it.
    Restart(RestartChangesArgs),
}

#[derive(Debug, Args)]
pub struct RestartChangesArgs {
    /// Confirm the restart. Every app will download all its data again.
    #[arg(long)]
    pub yes: bool,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Subcommand)]
pub enum WebhooksCommand {
    /// List received events, the latest first.
    ///
    /// Events are kept for 30 days.
    List(ListEventsArgs),
    /// Process all due events once.
    ///
    /// The API does this continuously.
    #[command(after_help = EXIT_CODES)]
    Drain(Box<DrainWebhooksArgs>),
    /// Process events again, dead ones or any others.
    Replay(ReplayWebhooksArgs),
}

/// State of an event, as stored in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum EventStateArg {
    /// Not processed yet.
    Pending,
    /// Processed.
    Done,
    /// Dead: no longer retried after too many attempts.
    Dead,
    /// Its event type is unknown to this version.
    UnknownType,
    /// Its WHOOP user is not a connected member.
    UnknownMember,
}

/// Filter of events; an event has to match all of its conditions.
#[derive(Debug, Args)]
pub struct EventFilterArgs {
    /// Only the event with this number; repeat it for several.
    #[arg(long = "id", value_name = "N")]
    pub ids: Vec<i64>,

    /// Only events of this member.
    #[arg(long, value_name = "ID")]
    pub user: Option<UserId>,

    /// Only events received from this time on: YYYY-MM-DD, or an instant such as
    /// 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<TimeArg>,

    /// Only events received before this time. A date includes the whole day.
    #[arg(long, value_name = "WHEN")]
    pub until: Option<TimeArg>,
}

#[derive(Debug, Args)]
pub struct ListEventsArgs {
    /// Only events in this state; separate several by commas.
    #[arg(long = "state", value_enum, value_delimiter = ',')]
    pub states: Vec<EventStateArg>,

    /// Maximum number of events.
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,

    #[command(flatten)]
    pub filter: EventFilterArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct DrainWebhooksArgs {
    #[command(flatten)]
    pub whoop: WhoopArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct ReplayWebhooksArgs {
    /// Only events in this state; separate several by commas.
    #[arg(long = "state", value_enum, value_delimiter = ',')]
    pub states: Vec<EventStateArg>,

    #[command(flatten)]
    pub filter: EventFilterArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// List all members with their connection and their last sync.
    ///
    /// `written` counts every write of a record: a record that was rescored twice counts three
    /// times.
    List(ListMembersArgs),
    /// Show one member: connection, consent, and what was read of each data type.
    Show(ShowMemberArgs),
    /// Try the stored tokens of members in `reauth_required` at WHOOP once more.
    ///
    /// A member is connected again if WHOOP refreshes the tokens.
    #[command(after_help = EXIT_CODES)]
    Retry(Box<RetryMembersArgs>),
    /// End a member's connection; the stored data is kept.
    Disconnect(Box<DisconnectMemberArgs>),
    /// End a member's connection and delete all data of the member.
    Erase(Box<EraseMemberArgs>),
}

/// Status of a member, as stored in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum MemberStatusArg {
    Connected,
    ReauthRequired,
    Disconnected,
}

impl MemberStatusArg {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::ReauthRequired => "reauth_required",
            Self::Disconnected => "disconnected",
        }
    }
}

#[derive(Debug, Args)]
pub struct ListMembersArgs {
    /// Only members with this status.
    #[arg(long, value_enum)]
    pub status: Option<MemberStatusArg>,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct ShowMemberArgs {
    /// The member's id in your app.
    #[arg(value_name = "ID")]
    pub user: UserId,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct RetryMembersArgs {
    /// Only this member; repeat it for several. Default: all members in `reauth_required`.
    #[arg(long = "user", value_name = "ID")]
    pub users: Vec<UserId>,

    #[command(flatten)]
    pub whoop: WhoopArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct DisconnectMemberArgs {
    /// The member's id in your app.
    #[arg(value_name = "ID")]
    pub user: UserId,

    #[command(flatten)]
    pub whoop: WhoopArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct EraseMemberArgs {
    /// Skip the confirmation.
    #[arg(long)]
    pub yes: bool,

    #[command(flatten)]
    pub disconnect: DisconnectMemberArgs,
}

#[derive(Debug, Subcommand)]
pub enum TokenKeysCommand {
    /// Seal all stored tokens with the first key of `TOKEN_KEYS`.
    ///
    /// The service can keep running. Put the new key first in `TOKEN_KEYS` of every process, keep
    /// the old one after it, run this, and then remove the old one.
    Rotate(RotateTokenKeysArgs),
}

#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// Report what would be imported; write nothing and do not call WHOOP.
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub whoop: WhoopArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct RotateTokenKeysArgs {
    /// Count the rows to seal, and change nothing.
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub keys: KeyArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

/// Arguments of all commands that use the database.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// Print one JSON object to standard output and nothing else.
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub database: DatabaseArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

impl WorkerCli {
    /// Returns `None` for commands that only print.
    pub fn common(&self) -> Option<&CommonArgs> {
        Some(match &self.command {
            WorkerCommand::Migrate(args) => &args.common,
            WorkerCommand::Run(args) => &args.work.common,
            WorkerCommand::Backfill(args) => &args.work.common,
            WorkerCommand::Reconcile(args) => &args.work.common,
            WorkerCommand::Capacity(args) => &args.common,
            WorkerCommand::Adopt(args) => &args.common,
            WorkerCommand::Status(args) => &args.common,
            WorkerCommand::Doctor(args) => &args.common,
            WorkerCommand::Webhooks(command) => match command {
                WebhooksCommand::List(args) => &args.common,
                WebhooksCommand::Drain(args) => &args.common,
                WebhooksCommand::Replay(args) => &args.common,
            },
            WorkerCommand::Keys(TokenKeysCommand::Rotate(args)) => &args.common,
            WorkerCommand::Changes(ChangesCommand::Restart(args)) => &args.common,
            WorkerCommand::ServiceKeys(command) => match command {
                ServiceKeysCommand::Create(args) => &args.common,
                ServiceKeysCommand::List(args) => &args.common,
                ServiceKeysCommand::Revoke(args) => &args.common,
            },
            WorkerCommand::Audit(args) => &args.common,
            WorkerCommand::Users(command) => match command {
                UsersCommand::List(args) => &args.common,
                UsersCommand::Show(args) => &args.common,
                UsersCommand::Retry(args) => &args.common,
                UsersCommand::Disconnect(args) => &args.common,
                UsersCommand::Erase(args) => &args.disconnect.common,
            },
            WorkerCommand::Completions(_) | WorkerCommand::Man | WorkerCommand::Settings => {
                return None;
            }
        })
    }

    /// Returns every invalid setting that prevents the command from running.
    pub fn setting_faults(&self) -> SettingFaults {
        let mut faults = self.unreadable_settings.clone();
        if let Some(args) = self.database_args() {
            faults.extend(args.faults());
        }
        faults.extend(self.whoop_faults());
        faults
    }

    /// Returns the database that the command uses, if it uses one and its settings are valid.
    pub fn database(&self) -> Option<Database> {
        self.database_args()?.database().ok()
    }

    fn database_args(&self) -> Option<&DatabaseArgs> {
        match self.command {
            // The members are simulated in memory.
            WorkerCommand::Capacity(_) => None,
            _ => self.common().map(|common| &common.database),
        }
    }

    fn whoop_faults(&self) -> Vec<SettingFault> {
        match &self.command {
            WorkerCommand::Run(args) => args.work.whoop.faults(),
            WorkerCommand::Backfill(args) => args.work.whoop.faults(),
            WorkerCommand::Reconcile(args) => args.work.whoop.faults(),
            WorkerCommand::Adopt(args) => args.whoop.faults(),
            WorkerCommand::Doctor(args) => args.whoop.faults(),
            WorkerCommand::Webhooks(WebhooksCommand::Drain(args)) => args.whoop.faults(),
            WorkerCommand::Users(UsersCommand::Retry(args)) => args.whoop.faults(),
            WorkerCommand::Users(UsersCommand::Disconnect(args)) => args.whoop.faults(),
            WorkerCommand::Users(UsersCommand::Erase(args)) => args.disconnect.whoop.faults(),
            WorkerCommand::Keys(TokenKeysCommand::Rotate(args)) => args.keys.faults(),
            WorkerCommand::Migrate(_)
            | WorkerCommand::Capacity(_)
            | WorkerCommand::Status(_)
            | WorkerCommand::Completions(_)
            | WorkerCommand::Man
            | WorkerCommand::Settings
            | WorkerCommand::Changes(_)
            | WorkerCommand::ServiceKeys(_)
            | WorkerCommand::Audit(_)
            | WorkerCommand::Webhooks(WebhooksCommand::List(_) | WebhooksCommand::Replay(_))
            | WorkerCommand::Users(UsersCommand::List(_) | UsersCommand::Show(_)) => Vec::new(),
        }
    }
}

#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Role of the API and the worker, which may then read and write every row but change no table.
    ///
    /// The role must exist. Roles of earlier migrations keep their privileges and get those for new
    /// tables.
    #[arg(long, env = "DATABASE_SERVING_ROLE", value_name = "ROLE")]
    pub serving_role: Option<String>,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct RunArgs {
    /// Run of the day; `auto` chooses it by the clock and the time zone (TZ).
    ///
    /// morning: recovery and sleep. afternoon, evening: workout and cycle. night: all four, and
    /// history back to each member's first record.
    #[arg(long, value_enum)]
    pub slot: SlotArg,

    /// Only this data type instead of the slot's: recovery, sleep, workout or cycle. Repeat it for
    /// several.
    #[arg(long = "data-type", value_name = "TYPE", value_delimiter = ',')]
    pub data_types: Vec<DataType>,

    /// Read back at least to here: YYYY-MM-DD, or an instant such as 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<TimeArg>,

    /// Print the plan and its number of calls; call nothing, write nothing.
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub work: WorkArgs,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct BackfillArgs {
    /// Read back to here and no farther: YYYY-MM-DD, or an instant such as 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "WHEN")]
    pub from: Option<TimeArg>,

    #[command(flatten)]
    pub work: WorkArgs,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct ReconcileArgs {
    /// Start of the span: YYYY-MM-DD, or an instant such as 2026-01-31T08:00:00Z. Default: 30 days
    /// before its end.
    #[arg(long, value_name = "WHEN")]
    pub from: Option<TimeArg>,

    /// End of the span; a date includes the whole day. Default: now.
    #[arg(long, value_name = "WHEN")]
    pub to: Option<TimeArg>,

    /// Report differences and change nothing. WHOOP is called as without this flag.
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub work: WorkArgs,
}

/// Arguments of all commands that work on members with calls to WHOOP.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Only this member; repeat it for several. Default: all connected members.
    #[arg(long = "user", value_name = "ID")]
    pub users: Vec<UserId>,

    /// Maximum number of members that are processed at the same time.
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: u16,

    /// Maximum number of calls to WHOOP in this run; the rest of the work is deferred.
    #[arg(long, value_name = "N")]
    pub max_calls: Option<u64>,

    /// Seconds that a run waits for an unavailable database.
    ///
    /// The run waits at its start, for example while PostgreSQL restarts. After that time the
    /// command exits with 1.
    #[arg(long, env = "DATABASE_WAIT_SECONDS", value_name = "SECONDS", default_value_t = 0,
          value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub database_wait_seconds: u64,

    /// File for metrics, for node-exporter's textfile collector (`*.prom`).
    ///
    /// The run writes the file when it ends.
    #[arg(long, env = "METRICS_FILE", value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,

    #[command(flatten)]
    pub whoop: WhoopArgs,

    #[command(flatten)]
    pub retention: RetentionArgs,

    #[command(flatten)]
    pub audit: AuditArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub whoop: WhoopArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Shell for which to print the script.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Setting that is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SwitchArg {
    On,
    Off,
}

#[derive(Debug, Args)]
pub struct CapacityArgs {
    /// Number of connected members.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub users: u32,

    /// Share of members who open the app on a day, twice each: 0.25 for a quarter.
    #[arg(long, value_name = "SHARE", default_value_t = 0.25, value_parser = parse_share)]
    pub active_share: f64,

    /// Number of days to simulate.
    #[arg(long, value_name = "D", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=366))]
    pub days: u32,

    /// Whether WHOOP's webhooks arrive.
    #[arg(long, value_enum, default_value_t = SwitchArg::Off)]
    pub webhooks: SwitchArg,

    /// Share of webhooks that never arrive.
    #[arg(long, value_name = "SHARE", default_value_t = WebhookConditions::default().lost_share, value_parser = parse_share)]
    pub webhooks_lost: f64,

    /// Delay of the slowest webhook, in minutes.
    #[arg(long, value_name = "MINUTES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_440))]
    pub webhooks_late: u32,

    /// Share of nights, naps and workouts that are uploaded or scored hours later.
    #[arg(long, value_name = "SHARE", default_value_t = DayVariation::default().late_scores, value_parser = parse_share)]
    pub late_scores: f64,

    /// Share of nights without data at WHOOP, for example because the member did not wear the
    /// strap.
    #[arg(long, value_name = "SHARE", default_value_t = DayVariation::default().missed_nights, value_parser = parse_share)]
    pub missed_nights: f64,

    /// Share of days with a nap.
    #[arg(long, value_name = "SHARE", default_value_t = DayVariation::default().naps, value_parser = parse_share)]
    pub naps: f64,

    /// Share of a member's days on which one record is read by its id, for example after a
    /// deletion.
    #[arg(long, value_name = "SHARE", default_value_t = DayVariation::default().deletions, value_parser = parse_share)]
    pub deletions: f64,

    /// Time that WHOOP needs to refresh a token, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 700, value_parser = clap::value_parser!(u32).range(0..=120_000))]
    pub refresh_ms: u32,

    /// Share of members for which WHOOP answers every call with a 5xx status.
    #[arg(long, value_name = "SHARE", default_value_t = CallConditions::default().failing_share, value_parser = parse_share)]
    pub failing_members: f64,

    /// Number of outages of WHOOP in 30 days. Each lasts an hour; the seed decides when they begin.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "outages", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub outages_per_month: u32,

    /// One outage of WHOOP that lasts an hour: 2:18 begins at 18:00 of the second day. Repeat it
    /// for several.
    #[arg(long = "outage", value_name = "DAY:HOUR", value_parser = parse_outage)]
    pub outages: Vec<Outage>,

    /// Number of new members who connect from 18:00 of the second day on, in addition to `--users`.
    #[arg(long, value_name = "N", requires = "within", value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub launch: Option<u32>,

    /// Time in which the members of `--launch` connect, in minutes.
    #[arg(long, value_name = "MINUTES", requires = "launch", value_parser = clap::value_parser!(u32).range(1..=1_440))]
    pub within: Option<u32>,

    /// Seed of the random numbers; the same seed gives the same members.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

fn parse_share(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "use a share from 0 to 1, such as 0.25 for a quarter".to_owned())
}

fn parse_outage(text: &str) -> Result<Outage, String> {
    let parts = text.split_once(':');
    let numbers = parts.and_then(|(day, hour)| Some((day.parse().ok()?, hour.parse().ok()?)));
    numbers
        .filter(|(day, hour): &(u32, u32)| (1..=366).contains(day) && *hour < 24)
        .map(|(day, hour)| Outage::one_hour(day, hour))
        .ok_or_else(|| "use a day from 1 to 366 and an hour from 0 to 23, such as 2:18".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn verify_cli() {
        WorkerCli::command().debug_assert();
        crate::help::command().debug_assert();
    }
}

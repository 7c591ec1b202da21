//! What can be typed. The flags that the API has too come from the engine.

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
/// Made for cron: a command does its work once and ends.
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

    /// Settings that could not be read, see [`whoop_sync::config::read`].
    #[arg(skip)]
    pub unreadable_settings: SettingFaults,
}

const EXIT_CODES: &str = "Exit codes: 0 all done, 1 could not run (database, configuration), \
2 wrong usage, 3 ran and some members failed, 4 ran and work was put off (quota, or told to stop)";

#[derive(Debug, Subcommand)]
pub enum WorkerCommand {
    /// Bring the database's tables up to this version; does nothing where they are.
    Migrate(MigrateArgs),
    /// Sync the connected members with WHOOP once, as one of the day's four runs.
    Run(Box<RunArgs>),
    /// Go on with members' history, page by page, back to their first record.
    ///
    /// It may be stopped at any moment and goes on where it was. Every night run
    /// does the same with what the day has left.
    Backfill(Box<BackfillArgs>),
    /// Read WHOOP again, store what differs, and report each difference.
    ///
    /// A difference has one of five causes: `missing`, `older`, `altered`, `wrong_date`, `gone`.
    /// Without `--user` the calls have the priority of a back-fill. A deferred run starts from the
    /// beginning.
    Reconcile(Box<ReconcileArgs>),
    /// How many members WHOOP's quota carries: days of generated members, in
    /// memory, planned as the product plans.
    ///
    /// Ends with 1 where the quota or a goal of freshness is not held.
    Capacity(CapacityArgs),
    /// Take members, tokens and records over from the service that stood here before.
    ///
    /// Reads the tables that `migrate` moved aside as `predecessor_…`. Tokens are sealed
    /// and shown to WHOOP, refreshed for that at most once, so nobody has to connect
    /// again. Running it twice changes nothing. Stop the older service for good first.
    Adopt(Box<AdoptArgs>),
    /// The whole service on one page: members, quota, last runs.
    Status(StatusArgs),
    /// What is wrong, and what to do about it. Makes one call to WHOOP, and asks it whether
    /// it knows the app, which is none.
    ///
    /// Ends with 0 where nothing but warnings is found, 3 where there is a
    /// problem, 1 where the settings or the database do not allow to look.
    Doctor(Box<DoctorArgs>),
    /// Print what makes a shell complete commands and flags.
    Completions(CompletionsArgs),
    /// Print the manual page, for `man -l -`.
    Man,
    /// Who there is, how they stand, and letting them go.
    #[command(subcommand)]
    Users(UsersCommand),
    /// WHOOP's webhooks: what came in, what waits, what was given up.
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// The keys that seal members' tokens.
    #[command(subcommand)]
    Keys(TokenKeysCommand),
    /// The numbered changes by which apps keep their copies.
    #[command(subcommand)]
    Changes(ChangesCommand),
    /// Service keys of the team's backends: create, list and revoke them.
    ///
    /// A change takes effect at once in every API, without a restart.
    #[command(subcommand)]
    ServiceKeys(ServiceKeysCommand),
    /// List the audit trail: connects, disconnects, exports, erasures and reads, with their callers.
    ///
    /// Newest first. An erased member is found by id while the key of `TOKEN_KEYS` that was first
    /// at the erasure is still there.
    Audit(ListAuditArgs),
}

#[derive(Debug, Subcommand)]
pub enum ServiceKeysCommand {
    /// Create a key and print it. It is shown this once and stored nowhere.
    Create(CreateServiceKeyArgs),
    /// List all keys with their scopes, state and last use.
    List(ListServiceKeysArgs),
    /// Revoke a key; its next request is refused.
    Revoke(RevokeServiceKeyArgs),
}

/// A scope as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ScopeArg {
    /// Read members' data.
    Read,
    /// Connect members, and have their data read from WHOOP now.
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

    /// Last day of the key (YYYY-MM-DD, in UTC), or an instant such as 2027-01-31T08:00:00Z; without
    /// an end if not given.
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
    /// Only rows about this member, an erased one included.
    #[arg(long, value_name = "ID")]
    pub user: Option<UserId>,

    /// Only rows since: YYYY-MM-DD, or an instant such as 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<TimeArg>,

    /// Only rows of this caller: member, whoop, key:NAME, cli:USER, or all of a kind: key, cli.
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
        Err("one of member, whoop, key, cli, key:NAME or cli:USER, such as key:backend".to_owned())
    }
}

#[derive(Debug, Subcommand)]
pub enum ChangesCommand {
    /// Have every app with a copy read everything anew; after a backup was restored.
    ///
    /// An older database gives numbers once more that apps have had already. Run this
    /// before anything else is started on it.
    Restart(RestartChangesArgs),
}

#[derive(Debug, Args)]
pub struct RestartChangesArgs {
    /// It is meant.
    #[arg(long)]
    pub yes: bool,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Subcommand)]
pub enum WebhooksCommand {
    /// What came in, the latest first; kept for 30 days.
    List(ListEventsArgs),
    /// Work off what is due, once. The API does the same all the time.
    #[command(after_help = EXIT_CODES)]
    Drain(Box<DrainWebhooksArgs>),
    /// Have events worked off again, those that were given up or any others.
    Replay(ReplayWebhooksArgs),
}

/// How an event stands, as the table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum EventStateArg {
    /// To be worked off.
    Pending,
    /// Worked off.
    Done,
    /// Given up after too many tries.
    Dead,
    /// Of a type that this version knows nothing of.
    UnknownType,
    /// Of nobody who is connected.
    UnknownMember,
}

/// Which events are meant; all of it must be true.
#[derive(Debug, Args)]
pub struct EventFilterArgs {
    /// The event of this number; repeat it for several.
    #[arg(long = "id", value_name = "N")]
    pub ids: Vec<i64>,

    /// Only this member's.
    #[arg(long, value_name = "ID")]
    pub user: Option<UserId>,

    /// Only what came in since: YYYY-MM-DD, or an instant as 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<TimeArg>,

    /// Only what came in until then, a whole date included.
    #[arg(long, value_name = "WHEN")]
    pub until: Option<TimeArg>,
}

#[derive(Debug, Args)]
pub struct ListEventsArgs {
    /// Only those that stand so; separate several by commas.
    #[arg(long = "state", value_enum, value_delimiter = ',')]
    pub states: Vec<EventStateArg>,

    /// So many at most.
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
    /// Only those that stand so; separate several by commas.
    #[arg(long = "state", value_enum, value_delimiter = ',')]
    pub states: Vec<EventStateArg>,

    #[command(flatten)]
    pub filter: EventFilterArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// All members, with their connection and their last sync. `written` counts each
    /// writing of a record: one that was rescored twice counts three times.
    List(ListMembersArgs),
    /// One member: connection, consent, and what was read of each type.
    Show(ShowMemberArgs),
    /// Show the stored tokens of members in `reauth_required` to WHOOP once more. A member whose
    /// tokens WHOOP renews is connected again.
    #[command(after_help = EXIT_CODES)]
    Retry(Box<RetryMembersArgs>),
    /// End a member's connection; what is stored stays.
    Disconnect(Box<DisconnectMemberArgs>),
    /// End a member's connection and delete everything that is stored of them.
    Erase(Box<EraseMemberArgs>),
}

/// How a member stands, as the table has it.
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
    /// Only those who stand so.
    #[arg(long, value_enum)]
    pub status: Option<MemberStatusArg>,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct ShowMemberArgs {
    /// Your id of the member.
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
    /// Your id of the member.
    #[arg(value_name = "ID")]
    pub user: UserId,

    #[command(flatten)]
    pub whoop: WhoopArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct EraseMemberArgs {
    /// Erase without asking.
    #[arg(long)]
    pub yes: bool,

    #[command(flatten)]
    pub disconnect: DisconnectMemberArgs,
}

#[derive(Debug, Subcommand)]
pub enum TokenKeysCommand {
    /// Seal everything with the first of `TOKEN_KEYS`, while everything runs.
    ///
    /// Put the new key first in `TOKEN_KEYS` everywhere, keep the old one behind
    /// it, run this, and then take the old one out.
    Rotate(RotateTokenKeysArgs),
}

#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// Say what there is, write nothing, and do not ask WHOOP.
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub whoop: WhoopArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct RotateTokenKeysArgs {
    /// Count what there is to do, and change nothing.
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub keys: KeyArgs,

    #[command(flatten)]
    pub common: CommonArgs,
}

/// What every command has.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// Print one JSON object on standard output, and nothing else there.
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub database: DatabaseArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

impl WorkerCli {
    /// `None` for what only prints.
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
            WorkerCommand::Completions(_) | WorkerCommand::Man => return None,
        })
    }

    /// Every setting that keeps the command from running.
    pub fn setting_faults(&self) -> SettingFaults {
        let mut faults = self.unreadable_settings.clone();
        if let Some(args) = self.database_args() {
            faults.extend(args.faults());
        }
        faults.extend(self.whoop_faults());
        faults
    }

    /// The database that the command works on, if it works on one and its settings are right.
    pub fn database(&self) -> Option<Database> {
        self.database_args()?.database().ok()
    }

    fn database_args(&self) -> Option<&DatabaseArgs> {
        match self.command {
            // Members are simulated in memory.
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
    /// Let this role serve: it may read and write every row, and change no
    /// table. Roles that were given once are renewed by themselves.
    #[arg(long, env = "DATABASE_SERVING_ROLE", value_name = "ROLE")]
    pub serving_role: Option<String>,

    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct RunArgs {
    /// Which run of the day; `auto` goes by the clock and the time zone (TZ).
    ///
    /// morning: recovery and sleep. afternoon, evening: workout and cycle.
    /// night: all four, and history back to each member's first record.
    #[arg(long, value_enum)]
    pub slot: SlotArg,

    /// Only this type instead of the slot's: recovery, sleep, workout or cycle.
    /// Repeat it for several.
    #[arg(long = "data-type", value_name = "TYPE", value_delimiter = ',')]
    pub data_types: Vec<DataType>,

    /// Read back to here at the least: YYYY-MM-DD, or an instant as
    /// 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<TimeArg>,

    /// Print the plan with its cost; call nothing, write nothing.
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub work: WorkArgs,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct BackfillArgs {
    /// Back to here and no farther: YYYY-MM-DD, or an instant as
    /// 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "WHEN")]
    pub from: Option<TimeArg>,

    #[command(flatten)]
    pub work: WorkArgs,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct ReconcileArgs {
    /// From here on: YYYY-MM-DD, or an instant as 2026-01-31T08:00:00Z; the last 30
    /// days if not given.
    #[arg(long, value_name = "WHEN")]
    pub from: Option<TimeArg>,

    /// Up to here, a whole date included; up to now if not given.
    #[arg(long, value_name = "WHEN")]
    pub to: Option<TimeArg>,

    /// Report what differs and change nothing. WHOOP is called as without it.
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub work: WorkArgs,
}

/// What all commands have that work through members.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Only this member; repeat it for several. Without it: everybody connected.
    #[arg(long = "user", value_name = "ID")]
    pub users: Vec<UserId>,

    /// Members that are worked on at the same time.
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: u16,

    /// Calls to WHOOP that this run may make; what is left is put off.
    #[arg(long, value_name = "N")]
    pub max_calls: Option<u64>,

    /// How long to wait for a database that is away when the run begins, such as one
    /// that is restarted at that hour. Then it ends with 1, as it does at once without.
    #[arg(long, env = "DATABASE_WAIT_SECONDS", value_name = "SECONDS", default_value_t = 0,
          value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub database_wait_seconds: u64,

    /// Write the run's metrics here when it ends, for node-exporter's textfile
    /// collector; name it *.prom.
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
    /// Which shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SwitchArg {
    On,
    Off,
}

#[derive(Debug, Args)]
pub struct CapacityArgs {
    /// Connected members.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub users: u32,

    /// Members who open the app on a day, twice each: 0.25 for a quarter.
    #[arg(long, value_name = "SHARE", default_value_t = 0.25, value_parser = parse_share)]
    pub active_share: f64,

    /// Days to live through.
    #[arg(long, value_name = "D", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=366))]
    pub days: u32,

    /// Whether WHOOP's webhooks arrive.
    #[arg(long, value_enum, default_value_t = SwitchArg::Off)]
    pub webhooks: SwitchArg,

    /// Of the webhooks, those that never arrive.
    #[arg(long, value_name = "SHARE", default_value_t = WebhookConditions::default().lost_share, value_parser = parse_share)]
    pub webhooks_lost: f64,

    /// How long the slowest webhook is on its way.
    #[arg(long, value_name = "MINUTES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_440))]
    pub webhooks_late: u32,

    /// Nights, naps and workouts that are uploaded or scored hours later.
    #[arg(long, value_name = "SHARE", default_value_t = DayVariation::default().late_scores, value_parser = parse_share)]
    pub late_scores: f64,

    /// Nights of which WHOOP has nothing, as without the strap.
    #[arg(long, value_name = "SHARE", default_value_t = DayVariation::default().missed_nights, value_parser = parse_share)]
    pub missed_nights: f64,

    /// Days with a nap.
    #[arg(long, value_name = "SHARE", default_value_t = DayVariation::default().naps, value_parser = parse_share)]
    pub naps: f64,

    /// Days of a member on which one record is asked for by its id, for example after a deletion.
    #[arg(long, value_name = "SHARE", default_value_t = DayVariation::default().deletions, value_parser = parse_share)]
    pub deletions: f64,

    /// Time that WHOOP takes to refresh a token, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 700, value_parser = clap::value_parser!(u32).range(0..=120_000))]
    pub refresh_ms: u32,

    /// Members for whom WHOOP answers every call with a 5xx.
    #[arg(long, value_name = "SHARE", default_value_t = CallConditions::default().failing_share, value_parser = parse_share)]
    pub failing_members: f64,

    /// Outages of WHOOP in 30 days, of an hour each, at times that the seed decides.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "outages", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub outages_per_month: u32,

    /// An outage of WHOOP of an hour: 2:18 begins at 18:00 of the second day. Repeat it for several.
    #[arg(long = "outage", value_name = "DAY:HOUR", value_parser = parse_outage)]
    pub outages: Vec<Outage>,

    /// New members who connect from 18:00 of the second day on, beside the `--users`.
    #[arg(long, value_name = "N", requires = "within", value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub launch: Option<u32>,

    /// Minutes within which the members of the `--launch` connect.
    #[arg(long, value_name = "MINUTES", requires = "launch", value_parser = clap::value_parser!(u32).range(1..=1_440))]
    pub within: Option<u32>,

    /// The same seed gives the same members.
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
        .ok_or_else(|| "a share from 0 to 1, as 0.25 for a quarter".to_owned())
}

fn parse_outage(text: &str) -> Result<Outage, String> {
    let parts = text.split_once(':');
    let numbers = parts.and_then(|(day, hour)| Some((day.parse().ok()?, hour.parse().ok()?)));
    numbers
        .filter(|(day, hour): &(u32, u32)| (1..=366).contains(day) && *hour < 24)
        .map(|(day, hour)| Outage::one_hour(day, hour))
        .ok_or_else(|| "a day from 1 and an hour from 0 to 23, as 2:18".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn verify_cli() {
        WorkerCli::command().debug_assert();
    }
}

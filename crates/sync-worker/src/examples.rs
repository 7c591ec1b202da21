//! Examples on the help pages.

/// Examples by the names of the command and its parents; the program itself has no name. Each
/// example is a comment and a command line.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    (
        "",
        "
  # find problems, and what to do about them
  sync-worker doctor
  # the run of this time of day, as cron starts it
  sync-worker run --slot auto
  # explain the settings
  sync-worker help settings",
    ),
    (
        "migrate",
        "
  # as the owner of the tables, at every upgrade
  sync-worker migrate
  # also grant the role of the API and the worker what it needs
  sync-worker migrate --serving-role whoop_serve",
    ),
    (
        "run",
        "
  # the run of this time of day, as cron starts it
  sync-worker run --slot auto
  # only show the members that a night run would sync, and the calls
  sync-worker run --slot night --dry-run
  # one member's recovery and sleep, back to a date
  sync-worker run --slot morning --user alice --since 2026-11-01",
    ),
    (
        "backfill",
        "
  # the history of all members, with at most 2000 calls
  sync-worker backfill --max-calls 2000
  # one member, back to a date
  sync-worker backfill --user alice --from 2025-01-01",
    ),
    (
        "reconcile",
        "
  # report the differences of one member, and change nothing
  sync-worker reconcile --user alice --dry-run
  # repair a month of all members
  sync-worker reconcile --from 2026-10-01 --to 2026-10-31",
    ),
    (
        "capacity",
        "
  # 1600 members; a quarter of them open the app on a day
  sync-worker capacity --users 1600 --active-share 0.25
  # with webhooks, and with a higher limit at WHOOP
  sync-worker capacity --users 5000 --webhooks on --whoop-calls-per-day 50000
  # 50 members, and 1600 new ones within an hour
  sync-worker capacity --users 50 --days 3 --launch 1600 --within 60",
    ),
    (
        "adopt",
        "
  # only report what would be imported
  sync-worker adopt --dry-run
  # import, after the legacy service was stopped
  sync-worker adopt",
    ),
    (
        "status",
        "
  # for people
  sync-worker status
  # for scripts
  sync-worker status --json",
    ),
    (
        "doctor",
        "
  # for people
  sync-worker doctor
  # for scripts
  sync-worker doctor --json",
    ),
    (
        "completions",
        "
  # for all users of bash
  sync-worker completions bash > /etc/bash_completion.d/sync-worker",
    ),
    (
        "man",
        "
  # read the manual page
  sync-worker man | man -l -",
    ),
    (
        "settings",
        "
  # print only the list below
  sync-worker settings",
    ),
    (
        "users",
        "
  # members who have to connect again
  sync-worker users list --status reauth_required
  # the state of one member
  sync-worker users show alice",
    ),
    (
        "users list",
        "
  # all members
  sync-worker users list
  # members who have to connect again
  sync-worker users list --status reauth_required",
    ),
    (
        "users show",
        "
  # the state of one member
  sync-worker users show alice",
    ),
    (
        "users retry",
        "
  # all members who have to connect again
  sync-worker users retry
  # two of them
  sync-worker users retry --user alice --user bob",
    ),
    (
        "users disconnect",
        "
  # end the connection, and keep the data
  sync-worker users disconnect alice",
    ),
    (
        "users erase",
        "
  # at a terminal, where the command asks for confirmation
  sync-worker users erase alice
  # in a script
  sync-worker users erase alice --yes --json",
    ),
    (
        "webhooks",
        "
  # events that are no longer retried
  sync-worker webhooks list --state dead
  # process them again
  sync-worker webhooks replay --state dead",
    ),
    (
        "webhooks list",
        "
  # events that are no longer retried
  sync-worker webhooks list --state dead
  # one member's events of a day
  sync-worker webhooks list --user alice --since 2026-11-20 --until 2026-11-20",
    ),
    (
        "webhooks drain",
        "
  # process the due events now
  sync-worker webhooks drain",
    ),
    (
        "webhooks replay",
        "
  # all dead events
  sync-worker webhooks replay --state dead
  # all events since the start of an outage
  sync-worker webhooks replay --since 2026-11-20T08:00:00Z",
    ),
    (
        "keys",
        "
  # seal the tokens with a new key
  sync-worker keys rotate",
    ),
    (
        "keys rotate",
        "
  # only count the rows to seal again
  sync-worker keys rotate --dry-run
  # seal them with the first key of TOKEN_KEYS
  sync-worker keys rotate",
    ),
    (
        "changes",
        "
  # after a backup was restored
  sync-worker changes restart --yes",
    ),
    (
        "changes restart",
        "
  # after a backup was restored
  sync-worker changes restart --yes",
    ),
    (
        "service-keys",
        "
  # create a key that can only read
  sync-worker service-keys create --name nightly-report --scope read
  # all keys, with their last use
  sync-worker service-keys list",
    ),
    (
        "service-keys create",
        "
  # a key that can only read
  sync-worker service-keys create --name nightly-report --scope read
  # a key with two scopes
  sync-worker service-keys create --name backend --scope read,sync
  # a key with a last day
  sync-worker service-keys create --name trial --scope read --expires 2027-01-31",
    ),
    (
        "service-keys list",
        "
  # all keys, with their last use
  sync-worker service-keys list",
    ),
    (
        "service-keys revoke",
        "
  # refuse a key from now on
  sync-worker service-keys revoke nightly-report",
    ),
    (
        "audit",
        "
  # everything about one member
  sync-worker audit --user alice
  # the requests of one service key since a date
  sync-worker audit --caller key:backend --since 2026-11-01",
    ),
];

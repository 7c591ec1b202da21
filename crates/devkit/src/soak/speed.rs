//! Measures the speed of the engine alone: the simulator responds at once, and the quota is never
//! used up.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::ensure;
use whoop_core::{DataType, plan::Slot};
use whoop_sync::{
    SyncContext,
    member_sync::SyncRequest,
    run::{RunRequest, RunTask},
};

use crate::environment::SoakEnv;

#[derive(Debug, clap::Args)]
pub(crate) struct SpeedSoakArgs {
    /// Number of times that one member's year is read and measured.
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Number of members in the run whose planning is measured.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    members: u32,
}

pub(crate) async fn measure(args: &SpeedSoakArgs) -> anyhow::Result<ExitCode> {
    let env = SoakEnv::build(1, 365).await?;
    measure_member_year(&env, args.rounds).await?;
    measure_planning(&env, args).await?;
    env.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Measures the time that the backfill of one year takes, for a member without stored records.
async fn measure_member_year(env: &SoakEnv, rounds: u32) -> anyhow::Result<()> {
    let member = &env.members[0];
    let mut times = Vec::new();
    let (mut records, mut calls) = (0, 0);
    // The first round is a warm-up and is not measured. The other members are added at its end.
    for round in 0..=rounds {
        for table in ["recovery", "sleep", "workout", "cycle", "sync_log"] {
            let user_id = &member.user_id;
            env.execute_sql(&format!(
                "DELETE FROM whoop_{table} WHERE user_id = '{user_id}'"
            ))
            .await?;
        }
        env.execute_sql("VACUUM ANALYZE").await?;
        let context = SyncContext::scheduled(None, tokio_util::sync::CancellationToken::new());
        let before = env.world().call_count();
        let started = Instant::now();
        let report = env
            .engine()
            .members
            .backfill_member(&member.user_id, &context, None)
            .await?;
        let took = started.elapsed();
        ensure!(report.error.is_none(), "{report:?}");
        records = report.stored().inserted;
        calls = env.world().call_count() - before;
        if round > 0 {
            times.push(took);
        } else {
            insert_other_members(env).await?;
        }
    }
    println!(
        "backfill of a year: {records} records, {calls} calls; {}",
        spread_text(&mut times)
    );
    Ok(())
}

/// Adds 100 members with as much data as the measured member.
///
/// With only one member, PostgreSQL would choose other query plans than in production.
async fn insert_other_members(env: &SoakEnv) -> anyhow::Result<()> {
    env
        .execute_sql(
            "INSERT INTO whoop_users (user_id, whoop_user_id, status, connected_at, updated_at) \
             SELECT 'other-' || n, 6000000 + n, 'disconnected', now(), now() \
             FROM generate_series(1, 100) AS n; \
             DO $$ DECLARE name TEXT; columns TEXT; BEGIN \
             FOREACH name IN ARRAY ARRAY['whoop_cycle', 'whoop_recovery', 'whoop_sleep', 'whoop_workout', 'whoop_sync_log'] LOOP \
                 SELECT string_agg(quote_ident(column_name), ', ') INTO columns \
                 FROM information_schema.columns \
                 WHERE table_schema = 'public' AND table_name = name \
                   AND is_generated = 'NEVER' AND column_name <> 'user_id'; \
                 EXECUTE format('INSERT INTO %I (user_id, %s) SELECT other.id, %s FROM %I, ' \
                     || '(SELECT user_id AS id FROM whoop_users WHERE user_id LIKE ''other-%%'') AS other ' \
                     || 'WHERE user_id NOT LIKE ''other-%%''', name, columns, regexp_replace(columns, '\\mid\\M', name || '.id'), name); \
             END LOOP; END $$",
        )
        .await
}

/// Measures the time that the plan of a run over thousands of members takes.
async fn measure_planning(env: &SoakEnv, args: &SpeedSoakArgs) -> anyhow::Result<()> {
    env
        .execute_sql(&format!(
            "INSERT INTO whoop_users (user_id, whoop_user_id, status, connected_at, updated_at) \
             SELECT 'planned-' || n, 5000000 + n, 'connected', now(), now() \
             FROM generate_series(1, {}) AS n; \
             INSERT INTO whoop_sync_log (user_id, data_type, sync_status, last_sync_at, covered_from, \
                 covered_until, whole_history) \
             SELECT user_id, data_type, 'success', now() - INTERVAL '9 hours', now() - INTERVAL '1 year', \
                 now() - INTERVAL '9 hours', TRUE \
             FROM whoop_users, unnest(ARRAY['recovery', 'sleep', 'workout', 'cycle']) AS data_type \
             WHERE user_id LIKE 'planned-%'; \
             ANALYZE",
            args.members
        ))
        .await?;
    let sync_request = SyncRequest {
        slot: Some(Slot::Night),
        data_types: DataType::ALL.to_vec(),
        ..SyncRequest::of_all_types()
    };
    let request = RunRequest {
        trigger: "manual",
        task: RunTask::Sync(sync_request),
        users: Vec::new(),
        parallel: 4,
    };
    let mut times = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        let plan = env.engine().runs.dry_run(&request).await?;
        times.push(started.elapsed());
        ensure!(
            plan.members.len() >= args.members as usize,
            "the plan has only {} members",
            plan.members.len()
        );
    }
    println!(
        "plan of {} members, four data types each: {}",
        args.members,
        spread_text(&mut times)
    );
    Ok(())
}

fn spread_text(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let median = times.get(times.len() / 2);
    match (times.first(), median, times.last()) {
        (Some(min), Some(median), Some(max)) => format!(
            "median {:.3} s, {:.3} to {:.3} s, {} samples",
            median.as_secs_f64(),
            min.as_secs_f64(),
            max.as_secs_f64(),
            times.len()
        ),
        _ => "no samples".to_owned(),
    }
}

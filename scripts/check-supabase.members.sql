-- Test data for scripts/check-supabase: two rows in each members' table for Alice, one for Bob,
-- and at least one row in each table that the Data API must not read.

\set alice 11111111-1111-4111-8111-111111111111
\set bob 22222222-2222-4222-8222-222222222222

INSERT INTO whoop_users (user_id, whoop_user_id, status, connected_at, updated_at, timezone_offset)
VALUES (:'alice', 101, 'connected', now(), now(), '+01:00'), (:'bob', 102, 'connected', now(), now(), '+01:00');

CREATE TEMP TABLE night (user_id TEXT, n INTEGER, date DATE, recovery DOUBLE PRECISION);
INSERT INTO night VALUES (:'alice', 1, '2026-11-19', 41), (:'alice', 2, '2026-11-20', 66.5), (:'bob', 3, '2026-11-20', 12.25);

INSERT INTO whoop_sleep (user_id, id, local_date, timezone_offset, score_state, created_at, updated_at, synced_at,
                         cycle_id, start_time, end_time, nap, total_light_sleep_time_milli,
                         total_slow_wave_sleep_time_milli, total_rem_sleep_time_milli, sleep_performance_percentage)
SELECT user_id, 'sleep-' || n, date, '+01:00', 'SCORED', date, date, date,
       (900 + n)::TEXT, date - INTERVAL '2 hours', date + INTERVAL '5 hours', FALSE, 14400000, 5400000, 5400000, 70 + n
FROM night;
INSERT INTO whoop_cycle (user_id, id, local_date, timezone_offset, score_state, created_at, updated_at, synced_at,
                         start_time, day_strain, kilojoule)
SELECT user_id, (900 + n)::TEXT, date, '+01:00', 'SCORED', date, date, date, date - INTERVAL '2 hours', 10 + n, 8368
FROM night;
INSERT INTO whoop_recovery (user_id, id, local_date, timezone_offset, score_state, created_at, updated_at, synced_at,
                            cycle_id, sleep_id, recovery_score, resting_heart_rate, hrv_rmssd_milli)
SELECT user_id, (900 + n)::TEXT, date, '+01:00', 'SCORED', date, date, date,
       (900 + n)::TEXT, 'sleep-' || n, recovery, 50 + n, 60 + n
FROM night;
INSERT INTO whoop_workout (user_id, id, local_date, timezone_offset, score_state, created_at, updated_at, synced_at,
                           sport_name, start_time, end_time, strain_score)
SELECT user_id, 'workout-' || n, date, '+01:00', 'SCORED', date, date, date,
       'running', date + INTERVAL '10 hours', date + INTERVAL '11 hours', 8 + n
FROM night;
INSERT INTO whoop_change (user_id, seq, data_type, record_id, local_date, op, changed_at)
SELECT user_id, n, 'sleep', 'sleep-' || n, date, 'upsert', now() FROM night;
INSERT INTO whoop_sync_log (user_id, data_type, sync_status)
VALUES (:'alice', 'sleep', 'success'), (:'alice', 'cycle', 'success'), (:'bob', 'sleep', 'success');

INSERT INTO whoop_tokens (user_id, sealed, key_id, scope, expires_at, refreshed_at)
SELECT user_id, '\x00', 'k1', 'offline', now(), now() FROM whoop_users;
INSERT INTO whoop_rejected_record (user_id, data_type, raw_hash, raw, reason, first_seen_at, last_seen_at)
SELECT user_id, 'sleep', '\x00', '{}', 'a trial', now(), now() FROM whoop_users;
INSERT INTO whoop_record_denial (user_id, data_type, record_id, denied_at)
SELECT user_id, 'sleep', 'sleep-1', now() FROM whoop_users;
INSERT INTO whoop_refresh (user_id, begun_at) SELECT user_id, now() FROM whoop_users;
INSERT INTO whoop_oauth_states (state_hash, user_id, created_at, expires_at) VALUES ('\x00', :'alice', now(), now());
INSERT INTO whoop_revocation (id, sealed, key_id, scope, expires_at, next_attempt_at, created_at)
VALUES (gen_random_uuid(), '\x00', 'k1', 'offline', now(), now(), now());
INSERT INTO whoop_erasure (id, erased_at, deleted_rows) VALUES (gen_random_uuid(), now(), 1);
INSERT INTO whoop_sync_run (trigger, started_at) VALUES ('manual', now());
INSERT INTO whoop_call_budget (version, ledger, updated_at) VALUES (1, '{}', now()) ON CONFLICT DO NOTHING;
INSERT INTO whoop_webhook_event (trace_id, event_type, record_id, whoop_user_id, state, signed_at, received_at, due_at, finished_at)
VALUES ('t', 'sleep.updated', 'sleep-1', 101, 'done', now(), now(), now(), now());
INSERT INTO predecessor_set_aside (kind, original, renamed) VALUES ('table', 'a', 'b');

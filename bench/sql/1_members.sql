-- Members, and the nights from which the records are generated.
--
-- Variables: members, days, veterans, veteran_days, last (the newest date).
-- The numbers are random, but the same in every run.

SELECT setseed(0.5);

INSERT INTO whoop_users (user_id, whoop_user_id, status, email, first_name, last_name, consent, consented_at,
                         connected_at, last_seen_at, timezone_offset, timezone_offset_at, updated_at, change_seq)
SELECT bench_user(n), 20000000 + n, 'connected', 'member' || n || '@example.org', 'Member', n::TEXT, 'terms', now(),
       now() - INTERVAL '400 days', now(), bench_offset(n), now(), now(), 1
FROM generate_series(1, :members + :veterans) AS n;

-- The coverage of every data type reaches from the first record to now, so no request calls WHOOP.
INSERT INTO whoop_sync_log (user_id, data_type, sync_status, last_sync_at, last_attempt_at, records_synced,
                            covered_from, covered_until, whole_history)
SELECT user_id, data_type, 'success', now(), now(), 1000,
       :'last'::DATE - :veteran_days - INTERVAL '2 days', now(), TRUE
FROM whoop_users CROSS JOIN unnest(ARRAY['recovery', 'sleep', 'workout', 'cycle']) AS data_type;

-- The oldest nights of all members first, as they would arrive day by day, so that the rows of one
-- member are scattered over the tables as in reality.
CREATE UNLOGGED TABLE bench_night AS
SELECT n, d, bench_user(n) AS user_id, day AS local_date, bench_offset(n) AS timezone_offset,
       100000000 + (:veteran_days - d)::BIGINT * 100000 + n AS cycle_id,
       md5('sleep ' || n || ' ' || d)::UUID::TEXT AS sleep_id,
       bench_midnight(day, n) - INTERVAL '2 hours' + random() * INTERVAL '3 hours' AS asleep_at,
       bench_midnight(day, n) + INTERVAL '5 hours' + random() * INTERVAL '4 hours' AS woke_at
FROM (SELECT n, d, :'last'::DATE - d AS day
      FROM generate_series(1, :members + :veterans) AS n,
           LATERAL generate_series(0, CASE WHEN n <= :members THEN :days ELSE :veteran_days END - 1) AS d) AS nights
ORDER BY d DESC, n;

ANALYZE bench_night;

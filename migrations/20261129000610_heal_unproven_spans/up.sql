-- Removes spans without proof from the coverage, so that the backfill reads them again: the end of
-- every history, and the time before a gap that one missing answer may have caused. Such a gap is
-- longer than 7 days between two records, or 21 days between two workouts; the newest one counts. If
-- no record of the data type is stored, its coverage shrinks to its end. If WHOOP has no records in
-- the gap either, the history before it is read once more, within the backfill's share of the quota.
SET LOCAL statement_timeout = 0;

WITH happened AS (
    SELECT user_id, 'cycle' AS data_type, start_time AS at FROM whoop_cycle
    UNION ALL
    SELECT user_id, 'sleep', start_time FROM whoop_sleep
    UNION ALL
    SELECT user_id, 'workout', start_time FROM whoop_workout
    UNION ALL
    SELECT user_id, 'recovery', created_at FROM whoop_recovery
), joined AS (
    SELECT user_id, data_type, at,
           lag(at) OVER (PARTITION BY user_id, data_type ORDER BY at) AS before
    FROM happened
), proven AS (
    SELECT user_id, data_type, max(at) AS since
    FROM joined
    WHERE before IS NULL
       OR at - before > CASE data_type WHEN 'workout' THEN INTERVAL '21 days' ELSE INTERVAL '7 days' END
    GROUP BY user_id, data_type
)
UPDATE whoop_sync_log AS log
SET whole_history = FALSE,
    covered_from = least(log.covered_until, greatest(log.covered_from, coalesce(
        (SELECT proven.since FROM proven
         WHERE proven.user_id = log.user_id AND proven.data_type = log.data_type),
        log.covered_until)))
WHERE log.covered_from IS NOT NULL;

-- Returns a day as one row, for psql and for Supabase RPC. It chooses records by the same rules as the
-- API: the main sleep with the longest time asleep, and the recovery and the cycle of that sleep. If
-- the time asleep is unknown, the time from start to end counts; of equal sleeps the one that starts
-- later is chosen. If the chosen recovery is not scored, its values are null; the values of another
-- recovery do not replace them.
-- SECURITY INVOKER: row-level security limits the rows to those that the caller may read.
CREATE FUNCTION get_daily_summary(p_user_id TEXT, p_date DATE)
RETURNS TABLE (
    recovery_score DOUBLE PRECISION,
    hrv_rmssd_milli DOUBLE PRECISION,
    resting_heart_rate DOUBLE PRECISION,
    sleep_performance DOUBLE PRECISION,
    sleep_duration_hours DOUBLE PRECISION,
    day_strain DOUBLE PRECISION,
    total_calories DOUBLE PRECISION,
    workouts BIGINT
)
LANGUAGE sql STABLE SECURITY INVOKER
AS $$
    WITH night AS (
        SELECT s.id, s.cycle_id, s.sleep_performance_percentage, s.total_sleep_time_milli
        FROM public.whoop_sleep s
        WHERE s.user_id = p_user_id AND s.local_date = p_date AND s.nap IS NOT TRUE
        ORDER BY coalesce(s.total_sleep_time_milli,
                          extract(epoch FROM s.end_time - s.start_time) * 1000, 0) DESC,
                 s.start_time DESC, s.id COLLATE "C" DESC
        LIMIT 1
    ),
    own_recovery AS (
        SELECT r.score_state, r.recovery_score, r.hrv_rmssd_milli, r.resting_heart_rate
        FROM public.whoop_recovery r LEFT JOIN night ON TRUE
        WHERE r.user_id = p_user_id AND r.local_date = p_date
          AND (night.id IS NULL OR r.sleep_id = night.id OR r.cycle_id = night.cycle_id)
        ORDER BY r.cycle_id::NUMERIC DESC
        LIMIT 1
    ),
    own_cycle AS (
        SELECT c.day_strain, c.calories_burned
        FROM public.whoop_cycle c LEFT JOIN night ON TRUE
        WHERE c.user_id = p_user_id AND c.local_date = p_date
          AND (night.id IS NULL OR c.id = night.cycle_id)
        ORDER BY c.start_time DESC, c.id::NUMERIC DESC
        LIMIT 1
    )
    SELECT own_recovery.recovery_score, own_recovery.hrv_rmssd_milli, own_recovery.resting_heart_rate,
           night.sleep_performance_percentage,
           night.total_sleep_time_milli / 3600000.0::DOUBLE PRECISION,
           own_cycle.day_strain, own_cycle.calories_burned,
           (SELECT count(*) FROM public.whoop_workout w
            WHERE w.user_id = p_user_id AND w.local_date = p_date)
    FROM (VALUES (1)) AS one_row (n)
    LEFT JOIN night ON TRUE
    LEFT JOIN own_recovery ON own_recovery.score_state = 'SCORED'
    LEFT JOIN own_cycle ON TRUE
$$;

COMMENT ON FUNCTION get_daily_summary(TEXT, DATE) IS 'One row a day and member; absent values are null. Calories in kcal.';

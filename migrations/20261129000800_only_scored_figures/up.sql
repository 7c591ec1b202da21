-- Only SCORED records show values, because WHOOP's scores exist only for SCORED, and a pending record
-- may contain zeros or the score of its earlier version. There is one exception: the strain and the
-- calories of a running cycle that is pending are shown if its kilojoules are above zero.
CREATE OR REPLACE FUNCTION get_daily_summary(p_user_id TEXT, p_date DATE)
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
        SELECT s.id, s.cycle_id, s.score_state, s.sleep_performance_percentage,
               s.total_sleep_time_milli
        FROM public.whoop_sleep s
        WHERE s.user_id = p_user_id AND s.local_date = p_date AND s.nap IS NOT TRUE
        ORDER BY coalesce(CASE WHEN s.score_state = 'SCORED' THEN s.total_sleep_time_milli END,
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
        SELECT c.day_strain, c.calories_burned,
               c.score_state = 'SCORED' OR (c.score_state = 'PENDING_SCORE' AND c.end_time IS NULL
                                            AND c.kilojoule > 0) AS is_shown
        FROM public.whoop_cycle c LEFT JOIN night ON TRUE
        WHERE c.user_id = p_user_id AND c.local_date = p_date
          AND (night.id IS NULL OR c.id = night.cycle_id)
        ORDER BY c.start_time DESC, c.id::NUMERIC DESC
        LIMIT 1
    )
    SELECT own_recovery.recovery_score, own_recovery.hrv_rmssd_milli, own_recovery.resting_heart_rate,
           CASE WHEN night.score_state = 'SCORED' THEN night.sleep_performance_percentage END,
           CASE WHEN night.score_state = 'SCORED'
                THEN night.total_sleep_time_milli / 3600000.0::DOUBLE PRECISION END,
           CASE WHEN own_cycle.is_shown THEN own_cycle.day_strain END,
           CASE WHEN own_cycle.is_shown THEN own_cycle.calories_burned END,
           (SELECT count(*) FROM public.whoop_workout w
            WHERE w.user_id = p_user_id AND w.local_date = p_date)
    FROM (VALUES (1)) AS one_row (n)
    LEFT JOIN night ON TRUE
    LEFT JOIN own_recovery ON own_recovery.score_state = 'SCORED'
    LEFT JOIN own_cycle ON TRUE
$$;

CREATE OR REPLACE FUNCTION whoop_let_serve(role_name TEXT) RETURNS VOID
LANGUAGE plpgsql SECURITY INVOKER
AS $$
DECLARE
    table_name TEXT;
    needed REGPROCEDURE;
BEGIN
    IF NOT has_schema_privilege(role_name, 'public', 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role_name);
    END IF;
    FOR table_name IN SELECT whoop_serving_tables() LOOP
        PERFORM whoop_let_serve_table(role_name, table_name);
    END LOOP;
    -- Default privileges of the schema may have granted more. The owner and a superuser keep theirs.
    FOR table_name IN
        SELECT c.relname FROM pg_class c
        WHERE c.oid IN ('public.whoop_audit'::regclass, 'public.whoop_service_key'::regclass)
          AND pg_has_role(c.relowner, 'USAGE') AND NOT pg_has_role(role_name, c.relowner, 'MEMBER')
    LOOP
        IF table_name = 'whoop_audit' AND has_table_privilege(role_name, 'public.whoop_audit', 'UPDATE') THEN
            EXECUTE format('REVOKE UPDATE ON TABLE public.whoop_audit FROM %I', role_name);
        END IF;
        IF has_table_privilege(role_name, format('public.%I', table_name), 'DELETE, TRUNCATE') THEN
            EXECUTE format('REVOKE DELETE, TRUNCATE ON TABLE public.%I FROM %I', table_name, role_name);
        END IF;
    END LOOP;
    FOREACH needed IN ARRAY ARRAY[
        'public.get_daily_summary(TEXT, DATE)'::REGPROCEDURE,
        'public.whoop_audit_purge(TIMESTAMPTZ)'::REGPROCEDURE,
        'public.whoop_audit_pseudonymise(TEXT, TEXT)'::REGPROCEDURE
    ] LOOP
        IF NOT has_function_privilege(role_name, needed, 'EXECUTE') THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', needed, role_name);
        END IF;
    END LOOP;
END
$$;

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

DROP FUNCTION whoop_days(TEXT, DATE, DATE);
DROP INDEX whoop_sleep_night_date_idx;
ALTER TABLE whoop_users DROP COLUMN settled_seq;
ALTER TABLE whoop_sleep DROP COLUMN night_date, DROP COLUMN in_others;
ALTER TABLE whoop_recovery DROP COLUMN in_others;
ALTER TABLE whoop_cycle DROP COLUMN in_others;

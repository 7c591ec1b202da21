-- A date shows one cycle, with its recovery and all its main sleeps as one night. The cycle is chosen
-- when records are stored. These columns store the choice, so that every reader shows the same cycle.

ALTER TABLE whoop_cycle ADD COLUMN in_others BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE whoop_recovery ADD COLUMN in_others BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE whoop_sleep
    ADD COLUMN in_others BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN night_date DATE;

CREATE INDEX whoop_sleep_night_date_idx ON whoop_sleep (user_id, night_date) WHERE night_date IS NOT NULL;

COMMENT ON COLUMN whoop_cycle.in_others IS 'Whether its date shows another cycle.';
COMMENT ON COLUMN whoop_recovery.in_others IS 'Whether its date shows another cycle.';
COMMENT ON COLUMN whoop_sleep.in_others IS 'Whether its date shows another cycle; false for naps.';
COMMENT ON COLUMN whoop_sleep.night_date IS 'The date of whose night this main sleep is a part, where that is not local_date.';

-- A process of an older version advances change_seq but not settled_seq. If the two differ, `migrate`
-- and the night run assign the local dates of the member again. A migration that changes the rules
-- for local dates sets settled_seq to -1.
ALTER TABLE whoop_users ADD COLUMN settled_seq BIGINT NOT NULL DEFAULT 0;

COMMENT ON COLUMN whoop_users.settled_seq IS 'The change up to which the days of this member are settled; if it is not change_seq, they are settled again.';

-- Returns one row of values for each date of a span, for charts and for get_daily_summary.
-- SECURITY INVOKER: row-level security limits the rows to those that the caller may read.
CREATE FUNCTION whoop_days(p_user_id TEXT, p_from DATE, p_to DATE)
RETURNS TABLE (
    local_date DATE,
    recovery_score DOUBLE PRECISION,
    hrv_rmssd_milli DOUBLE PRECISION,
    resting_heart_rate DOUBLE PRECISION,
    sleep_performance DOUBLE PRECISION,
    sleep_duration_milli BIGINT,
    day_strain DOUBLE PRECISION,
    kilojoule DOUBLE PRECISION,
    workouts BIGINT
)
LANGUAGE sql STABLE SECURITY INVOKER
AS $$
    WITH recoveries AS (
        SELECT DISTINCT ON (r.local_date) r.local_date, r.sleep_id, r.score_state = 'SCORED' AS is_scored,
               r.recovery_score, r.hrv_rmssd_milli, r.resting_heart_rate
        FROM public.whoop_recovery r
        WHERE r.user_id = p_user_id AND r.local_date BETWEEN p_from AND p_to AND NOT r.in_others
        ORDER BY r.local_date, length(r.cycle_id) DESC, r.cycle_id COLLATE "C" DESC
    ), cycles AS (
        SELECT DISTINCT ON (c.local_date) c.local_date, c.day_strain, c.kilojoule,
               c.score_state = 'SCORED' OR (c.score_state = 'PENDING_SCORE' AND c.end_time IS NULL
                                            AND c.kilojoule > 0) AS is_shown
        FROM public.whoop_cycle c
        WHERE c.user_id = p_user_id AND c.local_date BETWEEN p_from AND p_to AND NOT c.in_others
        ORDER BY c.local_date, c.start_time DESC, length(c.id) DESC, c.id COLLATE "C" DESC
    ), sleeps AS (
        SELECT coalesce(s.night_date, s.local_date) AS local_date, s.id, s.start_time,
               CASE WHEN s.score_state = 'SCORED' THEN s.sleep_performance_percentage END AS performance,
               CASE WHEN s.score_state = 'SCORED' THEN s.total_sleep_time_milli END AS asleep,
               extract(epoch FROM s.end_time - s.start_time) * 1000 AS lasted
        FROM public.whoop_sleep s
        WHERE s.user_id = p_user_id AND s.nap IS NOT TRUE AND NOT s.in_others
          AND (s.local_date BETWEEN p_from AND p_to AND s.night_date IS NULL
               OR s.night_date BETWEEN p_from AND p_to)
    ), nights AS (
        SELECT s.local_date,
               CASE WHEN sum(s.asleep) > 9223372036854775807 THEN 9223372036854775807
                    ELSE sum(s.asleep) END::BIGINT AS asleep,
               (array_agg(s.performance ORDER BY (s.id = r.sleep_id) DESC NULLS LAST,
                          coalesce(s.asleep, s.lasted, 0) DESC, s.start_time DESC, s.id COLLATE "C" DESC))[1]
                   AS performance
        FROM sleeps s LEFT JOIN recoveries r ON r.local_date = s.local_date
        GROUP BY s.local_date
    ), workouts AS (
        SELECT w.local_date, count(*) AS workouts
        FROM public.whoop_workout w
        WHERE w.user_id = p_user_id AND w.local_date BETWEEN p_from AND p_to
        GROUP BY w.local_date
    )
    SELECT date.local_date, r.recovery_score, r.hrv_rmssd_milli, r.resting_heart_rate,
           n.performance, n.asleep,
           CASE WHEN c.is_shown THEN c.day_strain END, CASE WHEN c.is_shown THEN c.kilojoule END,
           w.workouts
    FROM (SELECT p_from + number AS local_date FROM generate_series(0, p_to - p_from) AS number) AS date
    LEFT JOIN recoveries r ON r.local_date = date.local_date AND r.is_scored
    LEFT JOIN nights n ON n.local_date = date.local_date
    LEFT JOIN cycles c ON c.local_date = date.local_date
    LEFT JOIN workouts w ON w.local_date = date.local_date
$$;

COMMENT ON FUNCTION whoop_days(TEXT, DATE, DATE) IS 'One row a date, both ends included; absent values are null.';

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
    SELECT d.recovery_score, d.hrv_rmssd_milli, d.resting_heart_rate, d.sleep_performance,
           d.sleep_duration_milli / 3600000.0::DOUBLE PRECISION,
           d.day_strain, d.kilojoule / 4.184::DOUBLE PRECISION, coalesce(d.workouts, 0)
    FROM public.whoop_days(p_user_id, p_date, p_date) AS d
$$;

DO $$
DECLARE
    reader TEXT;
BEGIN
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION whoop_days(TEXT, DATE, DATE) FROM %I', reader);
        IF reader = 'authenticated' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION whoop_days(TEXT, DATE, DATE) TO %I', reader);
        END IF;
    END LOOP;
    REVOKE ALL ON FUNCTION whoop_days(TEXT, DATE, DATE) FROM PUBLIC;
END
$$;

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
        'public.whoop_days(TEXT, DATE, DATE)'::REGPROCEDURE,
        'public.whoop_audit_purge(TIMESTAMPTZ)'::REGPROCEDURE,
        'public.whoop_audit_pseudonymise(TEXT, TEXT)'::REGPROCEDURE
    ] LOOP
        IF NOT has_function_privilege(role_name, needed, 'EXECUTE') THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', needed, role_name);
        END IF;
    END LOOP;
END
$$;

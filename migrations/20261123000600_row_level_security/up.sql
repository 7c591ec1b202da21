-- A signed-in member who connects to the database directly (Supabase) can read their own rows and
-- write none; an anonymous user can read nothing. Row-level security does not apply to the role that
-- owns the tables. On plain PostgreSQL, which has no such roles, the same policies use the setting
-- `whoop.user_id`.

CREATE FUNCTION whoop_current_member() RETURNS TEXT
LANGUAGE sql STABLE SECURITY INVOKER
AS $$
    -- A JWT that the gateway verified comes first: where there is one, a setting
    -- that anybody may change has no say, also where the JWT names no member.
    SELECT CASE
        WHEN nullif(current_setting('request.jwt.claims', TRUE), '') IS NOT NULL
            THEN current_setting('request.jwt.claims', TRUE)::JSONB ->> 'sub'
        ELSE coalesce(nullif(current_setting('request.jwt.claim.sub', TRUE), ''),
                      nullif(current_setting('whoop.user_id', TRUE), ''))
    END
$$;

COMMENT ON FUNCTION whoop_current_member() IS 'The member on whose behalf this connection reads, or null.';

DO $$
DECLARE
    name TEXT;
    reader TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['whoop_users', 'whoop_cycle', 'whoop_recovery', 'whoop_sleep',
                                'whoop_workout', 'whoop_sync_log'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY %I ON %I FOR SELECT USING (user_id = (SELECT whoop_current_member()))',
                       name || '_own_rows', name);
    END LOOP;
    -- Nobody but the owner: not even the member whose row it is.
    FOREACH name IN ARRAY ARRAY['whoop_tokens', 'whoop_oauth_states', 'whoop_sync_run',
                                'whoop_rejected_record', 'predecessor_set_aside'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    END LOOP;

    -- Supabase grants everything on a new table by default.
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        FOREACH name IN ARRAY ARRAY['whoop_users', 'whoop_cycle', 'whoop_recovery', 'whoop_sleep',
                                    'whoop_workout', 'whoop_sync_log', 'whoop_tokens',
                                    'whoop_oauth_states', 'whoop_sync_run',
                                    'whoop_rejected_record', 'predecessor_set_aside'] LOOP
            EXECUTE format('REVOKE ALL ON TABLE %I FROM %I', name, reader);
        END LOOP;
        -- Made by the migration runner, where it is Diesel's; it must not be writable either.
        IF to_regclass('__diesel_schema_migrations') IS NOT NULL THEN
            EXECUTE format('REVOKE ALL ON TABLE __diesel_schema_migrations FROM %I', reader);
        END IF;
        EXECUTE format('REVOKE ALL ON FUNCTION get_daily_summary(TEXT, DATE) FROM %I', reader);
        IF reader = 'authenticated' THEN
            EXECUTE format('GRANT SELECT ON TABLE whoop_users, whoop_cycle, whoop_recovery, whoop_sleep, '
                           'whoop_workout, whoop_sync_log TO %I', reader);
            EXECUTE format('GRANT EXECUTE ON FUNCTION get_daily_summary(TEXT, DATE), '
                           'whoop_current_member() TO %I', reader);
        END IF;
    END LOOP;
    REVOKE ALL ON FUNCTION get_daily_summary(TEXT, DATE) FROM PUBLIC;
END
$$;

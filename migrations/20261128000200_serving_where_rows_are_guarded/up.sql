-- Some databases enable row-level security on every new table, including the table of migrations. A
-- serving role without a policy may then read that table but sees no rows, and the API concludes that
-- no migration was applied.

CREATE OR REPLACE FUNCTION whoop_let_serve(role_name TEXT) RETURNS VOID
LANGUAGE plpgsql SECURITY INVOKER
AS $$
DECLARE
    name TEXT;
    policy TEXT := left('whoop_serves_' || role_name, 63);
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role_name);
    FOR name IN
        SELECT c.relname FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND c.relname LIKE 'whoop\_%' AND pg_has_role(c.relowner, 'USAGE')
        ORDER BY c.relname
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE public.%I TO %I', name, role_name);
        EXECUTE format('DROP POLICY IF EXISTS %I ON public.%I', policy, name);
        EXECUTE format('CREATE POLICY %I ON public.%I FOR ALL TO %I USING (TRUE) WITH CHECK (TRUE)',
                       policy, name, role_name);
    END LOOP;
    -- The API asks whether every migration is there.
    IF to_regclass('public.__diesel_schema_migrations') IS NOT NULL THEN
        EXECUTE format('GRANT SELECT ON TABLE public.__diesel_schema_migrations TO %I', role_name);
        EXECUTE format('DROP POLICY IF EXISTS %I ON public.__diesel_schema_migrations', policy);
        EXECUTE format('CREATE POLICY %I ON public.__diesel_schema_migrations FOR SELECT TO %I USING (TRUE)',
                       policy, role_name);
    END IF;
    EXECUTE format('GRANT EXECUTE ON FUNCTION public.get_daily_summary(TEXT, DATE) TO %I', role_name);
END
$$;

-- Sequences have privileges of their own. Some databases grant them to the roles for access over HTTP.
DO $$
DECLARE
    reader TEXT;
BEGIN
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON SEQUENCE whoop_webhook_event_id_seq, predecessor_set_aside_position_seq FROM %I', reader);
    END LOOP;
END
$$;

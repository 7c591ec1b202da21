-- One role owns the tables and runs the migrations; the API and the worker use another, the serving
-- role. An attacker who controls the API or the worker can therefore not change the schema or its
-- row-level security. This is a function, because the operator chooses the serving role. It can be
-- called repeatedly, and each call also covers the tables that later migrations have added.
CREATE FUNCTION whoop_let_serve(role_name TEXT) RETURNS VOID
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
    END IF;
    EXECUTE format('GRANT EXECUTE ON FUNCTION public.get_daily_summary(TEXT, DATE) TO %I', role_name);
END
$$;

COMMENT ON FUNCTION whoop_let_serve(TEXT) IS 'Lets a role serve: read and write every row, and change no table.';

REVOKE ALL ON FUNCTION whoop_let_serve(TEXT) FROM PUBLIC;

DO $$
DECLARE
    reader TEXT;
BEGIN
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION whoop_let_serve(TEXT) FROM %I', reader);
    END LOOP;
END
$$;

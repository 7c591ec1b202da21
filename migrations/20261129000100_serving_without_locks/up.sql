-- CREATE POLICY locks its table against every reader until the transaction ends. Until now each
-- rollout created all policies again. This caused deadlocks with a running API, and the API could not
-- answer for as long as a backup held locks on the tables. From this migration on, a policy or a
-- privilege is created only if it is missing, one table at a time. A rollout that changes nothing
-- takes none of these locks.

CREATE FUNCTION whoop_serving_privileges(table_name TEXT) RETURNS TEXT[]
LANGUAGE sql IMMUTABLE SECURITY INVOKER
AS $$
    SELECT CASE table_name
        -- The API checks whether every migration is applied.
        WHEN '__diesel_schema_migrations' THEN ARRAY['SELECT']
        ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']
    END
$$;

COMMENT ON FUNCTION whoop_serving_privileges(TEXT) IS 'The privileges of a serving role on a table.';

CREATE FUNCTION whoop_serving_tables() RETURNS SETOF TEXT
LANGUAGE sql STABLE SECURITY INVOKER
AS $$
    SELECT c.relname::TEXT FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND (c.relname LIKE 'whoop\_%' OR c.relname = '__diesel_schema_migrations')
      AND pg_has_role(c.relowner, 'USAGE')
    ORDER BY c.relname
$$;

COMMENT ON FUNCTION whoop_serving_tables() IS 'The tables that a serving role works with.';

CREATE FUNCTION whoop_let_serve_table(role_name TEXT, table_name TEXT) RETURNS VOID
LANGUAGE plpgsql SECURITY INVOKER
AS $$
DECLARE
    relation REGCLASS := format('public.%I', table_name)::REGCLASS;
    -- The cast cuts a long name at 63 bytes, as CREATE POLICY does.
    policy NAME := ('whoop_serves_' || role_name)::NAME;
    privilege TEXT;
BEGIN
    FOREACH privilege IN ARRAY whoop_serving_privileges(table_name) LOOP
        IF NOT has_table_privilege(role_name, relation, privilege) THEN
            EXECUTE format('GRANT %s ON TABLE %s TO %I', privilege, relation, role_name);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT 1 FROM pg_policy p
                   WHERE p.polrelid = relation AND p.polname = policy
                     AND (SELECT r.oid FROM pg_roles r WHERE r.rolname = role_name) = ANY (p.polroles)) THEN
        EXECUTE format('CREATE POLICY %I ON %s FOR ALL TO %I USING (TRUE) WITH CHECK (TRUE)',
                       policy, relation, role_name);
    END IF;
END
$$;

COMMENT ON FUNCTION whoop_let_serve_table(TEXT, TEXT) IS
    'Gives a role what it needs of one table to serve; locks the table only if its policy is missing.';

CREATE OR REPLACE FUNCTION whoop_let_serve(role_name TEXT) RETURNS VOID
LANGUAGE plpgsql SECURITY INVOKER
AS $$
DECLARE
    table_name TEXT;
BEGIN
    IF NOT has_schema_privilege(role_name, 'public', 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role_name);
    END IF;
    FOR table_name IN SELECT whoop_serving_tables() LOOP
        PERFORM whoop_let_serve_table(role_name, table_name);
    END LOOP;
    IF NOT has_function_privilege(role_name, 'public.get_daily_summary(TEXT, DATE)', 'EXECUTE') THEN
        EXECUTE format('GRANT EXECUTE ON FUNCTION public.get_daily_summary(TEXT, DATE) TO %I', role_name);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION whoop_serving_privileges(TEXT), whoop_serving_tables(),
                       whoop_let_serve_table(TEXT, TEXT) FROM PUBLIC;

DO $$
DECLARE
    reader TEXT;
BEGIN
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION whoop_serving_privileges(TEXT), whoop_serving_tables(), '
                       'whoop_let_serve_table(TEXT, TEXT) FROM %I', reader);
    END LOOP;
END
$$;

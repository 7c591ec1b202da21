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

CREATE OR REPLACE FUNCTION whoop_serving_privileges(table_name TEXT) RETURNS TEXT[]
LANGUAGE sql IMMUTABLE SECURITY INVOKER
AS $$
    SELECT CASE table_name
        -- The API checks whether every migration is applied.
        WHEN '__diesel_schema_migrations' THEN ARRAY['SELECT']
        ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']
    END
$$;

COMMENT ON COLUMN whoop_adopted.member_digest IS 'SHA-256 of the app''s id of the member, in hex: it says of nobody who they were.';

DROP FUNCTION whoop_audit_pseudonymise(TEXT, TEXT);
DROP FUNCTION whoop_audit_purge(TIMESTAMPTZ);
DROP TABLE whoop_audit;

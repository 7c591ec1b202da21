-- Sets all privileges of Supabase's Data API (PostgREST, GraphQL) on this service's tables and
-- functions; earlier privileges are revoked. Run it as `postgres` after every
-- `sync-worker migrate`:
--
--   psql "$DIRECT_URL" -f deploy/supabase/data-api.sql
--
--   anon           no access
--   authenticated  reads the member's own rows of the members' tables, and their own day by RPC
--   service_role   reads all rows of the same tables, and every day; writes nothing
--
-- The members' tables are those with a policy `…_own_rows`. All other tables are internal:
-- sealed tokens, unfinished connects, the quota, webhooks, runs, receipts. In this schema
-- every table whose name begins with `whoop_` belongs to the service.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;

DO $$
DECLARE
    api_role TEXT;
    own RECORD;
BEGIN
    IF to_regclass('public.whoop_users') IS NULL THEN
        RAISE EXCEPTION 'the tables of this service do not exist yet' USING HINT = 'Run sync-worker migrate first.';
    ELSIF NOT (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'public.whoop_users'::regclass) THEN
        RAISE EXCEPTION '% does not own the tables', current_user USING HINT = 'Connect as the role that migrates them.';
    END IF;

    -- Revoke everything first. The migrations revoke only the privileges of `anon` and
    -- `authenticated`, and only if these roles exist; they do not change sequences.
    FOR own IN
        SELECT c.oid::regclass AS name, c.relkind, c.relrowsecurity
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace
          AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
          AND (c.relname LIKE 'whoop\_%' OR c.relname LIKE 'predecessor\_set\_aside%'
               OR c.relname = '__diesel_schema_migrations')
          AND pg_has_role(c.relowner, 'USAGE')
    LOOP
        FOR api_role IN
            SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated', 'service_role')
        LOOP
            EXECUTE format('REVOKE ALL ON %s %s FROM PUBLIC, %I',
                           CASE own.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                           own.name, api_role);
        END LOOP;
        IF own.relkind IN ('r', 'p') AND NOT own.relrowsecurity THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', own.name);
        END IF;
    END LOOP;

    FOR api_role IN
        SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated', 'service_role')
    LOOP
        -- The audit functions run with the owner's privileges, so the Data API must not offer them.
        EXECUTE format('REVOKE ALL ON FUNCTION get_daily_summary(TEXT, DATE), '
                       'whoop_days(TEXT, DATE, DATE), whoop_let_serve(TEXT), '
                       'whoop_let_serve_table(TEXT, TEXT), whoop_serving_tables(), '
                       'whoop_serving_privileges(TEXT), whoop_audit_purge(TIMESTAMPTZ), '
                       'whoop_audit_pseudonymise(TEXT, TEXT) FROM PUBLIC, %I', api_role);
        CONTINUE WHEN api_role = 'anon';
        EXECUTE format('GRANT EXECUTE ON FUNCTION get_daily_summary(TEXT, DATE), '
                       'whoop_days(TEXT, DATE, DATE), '
                       'whoop_current_member(), whoop_accepted_client_ids() TO %I', api_role);
        FOR own IN
            SELECT p.polrelid::regclass AS name
            FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
            WHERE c.relnamespace = 'public'::regnamespace AND p.polname = c.relname || '_own_rows'
        LOOP
            EXECUTE format('GRANT SELECT ON TABLE %s TO %I', own.name, api_role);
        END LOOP;
    END LOOP;
END
$$;

-- Projects that enable row-level security on every new table do this on the table of migrations
-- too. Without this policy the serving role would see no migration, and the API would report that
-- it is not ready. Only the owner and the serving role have the privilege SELECT on the table.
DROP POLICY IF EXISTS whoop_migrations_are_no_secret ON __diesel_schema_migrations;
CREATE POLICY whoop_migrations_are_no_secret ON __diesel_schema_migrations FOR SELECT USING (TRUE);

COMMIT;

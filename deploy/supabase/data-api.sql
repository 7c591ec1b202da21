-- What Supabase's Data API (PostgREST, GraphQL) may do with this service's tables, said
-- as a whole: it does not matter what was granted before. As `postgres`, after every
-- `sync-worker migrate`:
--
--   psql "$DIRECT_URL" -f deploy/supabase/data-api.sql
--
--   anon           nothing
--   authenticated  reads its own rows of the members' tables, and its own day by RPC
--   service_role   reads everybody's rows of the same tables, and any day; writes nothing
--
-- The members' tables are those with a policy `…_own_rows`. Every other table is the
-- service's own: sealed tokens, connects under way, the quota, webhooks, runs, receipts.
-- In this schema all names that begin with `whoop_` are the service's.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;

DO $$
DECLARE
    api_role TEXT;
    ours RECORD;
BEGIN
    IF to_regclass('public.whoop_users') IS NULL THEN
        RAISE EXCEPTION 'there are no tables yet' USING HINT = 'Run sync-worker migrate first.';
    ELSIF NOT (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'public.whoop_users'::regclass) THEN
        RAISE EXCEPTION '% does not own the tables', current_user USING HINT = 'Connect as the role that migrates them.';
    END IF;

    -- Nothing first. The migrations did so for `anon` and `authenticated` where these
    -- roles were there already, never for `service_role`, and not for sequences.
    FOR ours IN
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
                           CASE ours.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                           ours.name, api_role);
        END LOOP;
        IF ours.relkind IN ('r', 'p') AND NOT ours.relrowsecurity THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', ours.name);
        END IF;
    END LOOP;

    FOR api_role IN
        SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated', 'service_role')
    LOOP
        -- The audit functions run with the owner's rights: the Data API must not offer them.
        EXECUTE format('REVOKE ALL ON FUNCTION get_daily_summary(TEXT, DATE), '
                       'whoop_days(TEXT, DATE, DATE), whoop_let_serve(TEXT), '
                       'whoop_let_serve_table(TEXT, TEXT), whoop_serving_tables(), '
                       'whoop_serving_privileges(TEXT), whoop_audit_purge(TIMESTAMPTZ), '
                       'whoop_audit_pseudonymise(TEXT, TEXT) FROM PUBLIC, %I', api_role);
        CONTINUE WHEN api_role = 'anon';
        EXECUTE format('GRANT EXECUTE ON FUNCTION get_daily_summary(TEXT, DATE), '
                       'whoop_days(TEXT, DATE, DATE), '
                       'whoop_current_member(), whoop_accepted_client_ids() TO %I', api_role);
        FOR ours IN
            SELECT p.polrelid::regclass AS name
            FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
            WHERE c.relnamespace = 'public'::regnamespace AND p.polname = c.relname || '_own_rows'
        LOOP
            EXECUTE format('GRANT SELECT ON TABLE %s TO %I', ours.name, api_role);
        END LOOP;
    END LOOP;
END
$$;

-- A project that secures every new table by itself secured this one too, and then the
-- serving role sees no migration in it and the API says it is not ready. Whoever may
-- SELECT it sees all of it; that is the owner and whoever serves.
DROP POLICY IF EXISTS whoop_migrations_are_no_secret ON __diesel_schema_migrations;
CREATE POLICY whoop_migrations_are_no_secret ON __diesel_schema_migrations FOR SELECT USING (TRUE);

COMMIT;

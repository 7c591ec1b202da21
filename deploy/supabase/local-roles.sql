-- FOR A LOCAL TRIAL ONLY. A stand-in for what every Supabase project already has: its
-- roles, who is a member of whom, an `auth` schema with uid(), jwt() and role(), the
-- privileges that new tables get by default. Never run it in a project.
--
--   psql -U supabase_admin -v project=older -v password=… -d DATABASE -f deploy/supabase/local-roles.sql
--
-- As a superuser, in a database of its own. `project` is
--   older  made before 30 May 2026: whatever is new in `public` belongs to the API's roles
--   newer  nothing does; every new table gets row-level security by an event trigger
--
-- What is real here are names, attributes and memberships. What is not: Supabase's
-- extensions, its reserved roles, its services.

\set ON_ERROR_STOP on
SELECT :'project' = 'older' AS is_older \gset

-- Roles are the cluster's, so the second database finds them.
SELECT format('CREATE ROLE %s', wanted) FROM (VALUES
    -- No superuser. It passes row-level security all the same.
    ('postgres', 'postgres LOGIN NOSUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS'),
    ('anon', 'anon NOLOGIN'),
    ('authenticated', 'authenticated NOLOGIN'),
    ('service_role', 'service_role NOLOGIN BYPASSRLS'),
    ('authenticator', 'authenticator LOGIN NOINHERIT')
) AS roles (name, wanted)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE postgres PASSWORD :'password';
ALTER ROLE authenticator PASSWORD :'password';
ALTER ROLE postgres SET search_path = "$user", public, extensions;
ALTER ROLE anon SET statement_timeout = '3s';
ALTER ROLE authenticated SET statement_timeout = '8s';
SET client_min_messages = warning;
GRANT anon, authenticated, service_role TO authenticator;
GRANT anon, authenticated, service_role TO postgres WITH ADMIN OPTION;

-- Whoever owns the database owns `public`: its schema belongs to pg_database_owner.
SELECT format('ALTER DATABASE %I OWNER TO postgres', current_database()) \gexec
CREATE SCHEMA extensions;
GRANT USAGE ON SCHEMA public, extensions TO postgres, anon, authenticated, service_role;

\if :is_older
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
    GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
    GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public
    GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
\else
CREATE FUNCTION extensions.secure_new_tables() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
AS $$
DECLARE
    made RECORD;
BEGIN
    FOR made IN
        SELECT object_identity FROM pg_event_trigger_ddl_commands()
        WHERE command_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')
          AND object_type IN ('table', 'partitioned table') AND schema_name = 'public'
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', made.object_identity);
    END LOOP;
END
$$;
CREATE EVENT TRIGGER secure_new_tables ON ddl_command_end EXECUTE FUNCTION extensions.secure_new_tables();
\endif

CREATE SCHEMA auth;
GRANT USAGE ON SCHEMA auth TO postgres, anon, authenticated, service_role;
CREATE TABLE auth.users (id UUID PRIMARY KEY, email TEXT);
GRANT ALL ON auth.users TO postgres;

CREATE FUNCTION auth.jwt() RETURNS JSONB LANGUAGE sql STABLE
AS $$ SELECT nullif(current_setting('request.jwt.claims', TRUE), '')::JSONB $$;
CREATE FUNCTION auth.uid() RETURNS UUID LANGUAGE sql STABLE
AS $$ SELECT (auth.jwt() ->> 'sub')::UUID $$;
CREATE FUNCTION auth.role() RETURNS TEXT LANGUAGE sql STABLE
AS $$ SELECT auth.jwt() ->> 'role' $$;

-- What Realtime reads. Empty, as in a new project.
CREATE PUBLICATION supabase_realtime;
ALTER PUBLICATION supabase_realtime OWNER TO postgres;

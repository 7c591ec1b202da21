-- FOR LOCAL TESTS ONLY. Never run this in a Supabase project. It creates a stand-in for what
-- every project already has: the roles and their memberships, a schema `auth` with uid(), jwt()
-- and role(), and the default privileges of new tables.
--
--   psql -U supabase_admin -v project=older -v password=… -d DATABASE -f deploy/supabase/local-roles.sql
--
-- Run it as a superuser, in a new database. `project` is
--   older  created before 30 May 2026: new objects in `public` are granted to the API's roles
--   newer  no default privileges; an event trigger enables row-level security on every new table
--
-- Names, attributes and memberships are those of Supabase. Its extensions, its reserved roles
-- and its services are missing.

\set ON_ERROR_STOP on
SELECT :'project' = 'older' AS is_older \gset

-- Roles belong to the cluster, so they already exist for the second database.
SELECT format('CREATE ROLE %s', definition) FROM (VALUES
    -- Not a superuser, but exempt from row-level security.
    ('postgres', 'postgres LOGIN NOSUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS'),
    ('anon', 'anon NOLOGIN'),
    ('authenticated', 'authenticated NOLOGIN'),
    ('service_role', 'service_role NOLOGIN BYPASSRLS'),
    ('authenticator', 'authenticator LOGIN NOINHERIT')
) AS roles (name, definition)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE postgres PASSWORD :'password';
ALTER ROLE authenticator PASSWORD :'password';
ALTER ROLE postgres SET search_path = "$user", public, extensions;
ALTER ROLE anon SET statement_timeout = '3s';
ALTER ROLE authenticated SET statement_timeout = '8s';
SET client_min_messages = warning;
GRANT anon, authenticated, service_role TO authenticator;
GRANT anon, authenticated, service_role TO postgres WITH ADMIN OPTION;

-- The owner of the database also owns the schema `public`, which belongs to pg_database_owner.
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
    new_table RECORD;
BEGIN
    FOR new_table IN
        SELECT object_identity FROM pg_event_trigger_ddl_commands()
        WHERE command_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')
          AND object_type IN ('table', 'partitioned table') AND schema_name = 'public'
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', new_table.object_identity);
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

-- The publication of Realtime, without tables, as in a new project.
CREATE PUBLICATION supabase_realtime;
ALTER PUBLICATION supabase_realtime OWNER TO postgres;

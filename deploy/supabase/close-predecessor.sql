-- Optional: removes all privileges of Supabase's Data API on the tables of the legacy service,
-- which `sync-worker migrate` has renamed to `predecessor_…`. Without this script they keep their
-- privileges and policies, and some contain WHOOP's tokens in plain text. Run it as `postgres`
-- when the legacy service is stopped:
--
--   psql "$DIRECT_URL" -f deploy/supabase/close-predecessor.sql
--
-- The owner of the tables can still read them. No later step grants these privileges again.

\set ON_ERROR_STOP on

DO $$
DECLARE
    api_role TEXT;
    legacy_table RECORD;
BEGIN
    FOR legacy_table IN
        SELECT format('%I', renamed) AS name FROM predecessor_set_aside
        WHERE kind IN ('table', 'view', 'materialized view', 'foreign table')
          AND to_regclass(format('public.%I', renamed)) IS NOT NULL
    LOOP
        FOR api_role IN
            SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated', 'service_role')
        LOOP
            EXECUTE format('REVOKE ALL ON TABLE public.%s FROM PUBLIC, %I', legacy_table.name, api_role);
        END LOOP;
    END LOOP;
END
$$;

-- Optional: ends what Supabase's Data API may do with the tables that an older service
-- left and `sync-worker migrate` set aside (`predecessor_…`). They keep their rules
-- otherwise, and some hold WHOOP's tokens in plain text. As `postgres`, once the older
-- service is off:
--
--   psql "$DIRECT_URL" -f deploy/supabase/close-predecessor.sql
--
-- Their owner goes on reading them. Nothing brings these privileges back by itself.

\set ON_ERROR_STOP on

DO $$
DECLARE
    api_role TEXT;
    theirs RECORD;
BEGIN
    FOR theirs IN
        SELECT format('%I', renamed) AS name FROM predecessor_set_aside
        WHERE kind IN ('table', 'view', 'materialized view', 'foreign table')
          AND to_regclass(format('public.%I', renamed)) IS NOT NULL
    LOOP
        FOR api_role IN
            SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated', 'service_role')
        LOOP
            EXECUTE format('REVOKE ALL ON TABLE public.%s FROM PUBLIC, %I', theirs.name, api_role);
        END LOOP;
    END LOOP;
END
$$;

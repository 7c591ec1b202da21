-- Optional: adds `whoop_change` to Supabase Realtime, so that a signed-in member receives their
-- own changes. Run it once, as `postgres`:
--
--   psql "$DIRECT_URL" -f deploy/supabase/realtime.sql
--
-- Realtime applies row-level security to new rows, but not to deleted ones: it sends a deletion
-- to every listener, with the primary key, which contains the member's id. This service deletes
-- changes after 30 days and when a member is erased. Therefore this script refuses while the
-- publication publishes deletions.

\set ON_ERROR_STOP on

DO $$
DECLARE
    publication RECORD;
BEGIN
    SELECT pubdelete, pubtruncate INTO publication
    FROM pg_publication WHERE pubname = 'supabase_realtime';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the publication supabase_realtime does not exist'
            USING HINT = 'Run this script only in a Supabase project.';
    END IF;
    IF publication.pubdelete OR publication.pubtruncate THEN
        RAISE EXCEPTION 'supabase_realtime publishes deletions, and Realtime sends these to every listener'
            USING HINT = 'If no table of your project needs deletions: ALTER PUBLICATION supabase_realtime '
                         'SET (publish = ''insert, update''). Otherwise use the API''s /events, which does not need Realtime.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_publication_tables
                   WHERE pubname = 'supabase_realtime' AND schemaname = 'public'
                     AND tablename = 'whoop_change') THEN
        ALTER PUBLICATION supabase_realtime ADD TABLE public.whoop_change;
    END IF;
END
$$;

-- Optional: lets Supabase Realtime tell a signed-in member of their own changes, by
-- the rows of `whoop_change`. Once, as `postgres`:
--
--   psql "$DIRECT_URL" -f deploy/supabase/realtime.sql
--
-- Realtime asks row-level security who may hear of a new row, but of no deleted one: a
-- deletion goes to whoever listens, with the primary key, and that names the member.
-- This service deletes changes after 30 days and whenever a member is erased. So this
-- refuses as long as the publication carries deletions.

\set ON_ERROR_STOP on

DO $$
DECLARE
    publishes RECORD;
BEGIN
    SELECT pubdelete, pubtruncate INTO publishes
    FROM pg_publication WHERE pubname = 'supabase_realtime';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no publication supabase_realtime: is this a Supabase project?';
    END IF;
    IF publishes.pubdelete OR publishes.pubtruncate THEN
        RAISE EXCEPTION 'supabase_realtime publishes deletions, and those are told to everybody'
            USING HINT = 'If no table of your project needs them: ALTER PUBLICATION supabase_realtime '
                         'SET (publish = ''insert, update''). Else follow the API''s /events, which needs none of this.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_publication_tables
                   WHERE pubname = 'supabase_realtime' AND schemaname = 'public'
                     AND tablename = 'whoop_change') THEN
        ALTER PUBLICATION supabase_realtime ADD TABLE public.whoop_change;
    END IF;
END
$$;

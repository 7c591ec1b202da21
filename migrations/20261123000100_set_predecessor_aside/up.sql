-- The legacy service may have left tables in this database, some with the names of this service's
-- tables and other columns. This migration renames them to `predecessor_…`, with their indexes,
-- constraints and functions, so that all names are free. It drops no table and writes no row of them.
-- Policies and triggers stay with their tables. The table `predecessor_set_aside` lists the renamed
-- objects; the down migration restores their names from it.
--
-- This is the first migration, so no existing object with one of these names belongs to this service.

CREATE TABLE predecessor_set_aside (
    position INTEGER GENERATED ALWAYS AS IDENTITY,
    kind TEXT NOT NULL,
    -- Table of a constraint; argument types of a function; otherwise null.
    owner TEXT,
    original TEXT NOT NULL,
    renamed TEXT NOT NULL,
    -- Privileges of a function before the migration revoked EXECUTE; null for the default privileges.
    privileges TEXT,
    CONSTRAINT predecessor_set_aside_pkey PRIMARY KEY (position)
);

COMMENT ON TABLE predecessor_set_aside IS 'What was renamed to make room when these tables were first migrated.';

DO $$
DECLARE
    found RECORD;
    inner_name RECORD;
    fresh TEXT;
    counter INTEGER := 0;
BEGIN
    -- A member who may use their function to read anybody must not go on doing so.
    FOR found IN
        SELECT p.proname AS name, pg_get_function_identity_arguments(p.oid) AS args, p.oid,
               array_to_string(p.proacl, ',') AS acl
        FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace
          AND p.prokind = 'f'
          AND p.proname IN ('get_daily_summary', 'get_latest_recovery', 'get_latest_sleep',
                            'is_whoop_connected', 'get_whoop_connection_info',
                            'update_sync_log', 'cleanup_expired_oauth_states')
          AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        ORDER BY p.proname, 2
    LOOP
        fresh := left('predecessor_' || found.name, 63);
        EXECUTE format('ALTER FUNCTION public.%I(%s) RENAME TO %I', found.name, found.args, fresh);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION public.%I(%s) FROM PUBLIC', fresh, found.args);
        FOR inner_name IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated')
        LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION public.%I(%s) FROM %I', fresh, found.args, inner_name.rolname);
        END LOOP;
        INSERT INTO predecessor_set_aside (kind, owner, original, renamed, privileges)
        VALUES ('function', found.args, found.name, fresh, found.acl);
    END LOOP;

    FOR found IN
        SELECT c.relname AS name, c.oid, c.relkind
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace
          AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND (c.relname IN ('whoop_users', 'whoop_oauth_tokens', 'whoop_oauth_states',
                             'whoop_tokens', 'whoop_recovery', 'whoop_sleep', 'whoop_workout',
                             'whoop_cycle', 'whoop_sync_log', 'whoop_sync_run', 'whoop_data',
                             'whoop_raw_data', 'whoop_sync_jobs', 'whoop_webhook_event',
                             'whoop_call_budget', 'whoop_rejected_record', 'whoop_change'))
        ORDER BY c.relname
    LOOP
        fresh := left('predecessor_' || found.name, 63);
        EXECUTE format('ALTER %s public.%I RENAME TO %I',
                       CASE found.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                                          WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
                       found.name, fresh);
        INSERT INTO predecessor_set_aside (kind, original, renamed)
        VALUES (CASE found.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                                   WHEN 'f' THEN 'foreign table' ELSE 'table' END,
                found.name, fresh);

        -- Renaming a constraint renames its index too, so constraints go first.
        FOR inner_name IN
            SELECT conname AS name FROM pg_constraint
            WHERE conrelid = found.oid AND contype IN ('p', 'u', 'x', 'f', 'c') AND conislocal
            ORDER BY conname
        LOOP
            counter := counter + 1;
            fresh := 'predecessor_' || counter || '_' || left(inner_name.name, 40);
            EXECUTE format('ALTER TABLE public.%I RENAME CONSTRAINT %I TO %I',
                           left('predecessor_' || found.name, 63), inner_name.name, fresh);
            INSERT INTO predecessor_set_aside (kind, owner, original, renamed)
            VALUES ('constraint', left('predecessor_' || found.name, 63), inner_name.name, fresh);
        END LOOP;

        FOR inner_name IN
            SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = found.oid AND c.relname NOT LIKE 'predecessor\_%'
            ORDER BY c.relname
        LOOP
            counter := counter + 1;
            fresh := 'predecessor_' || counter || '_' || left(inner_name.name, 40);
            EXECUTE format('ALTER INDEX public.%I RENAME TO %I', inner_name.name, fresh);
            INSERT INTO predecessor_set_aside (kind, original, renamed)
            VALUES ('index', inner_name.name, fresh);
        END LOOP;
    END LOOP;
END
$$;

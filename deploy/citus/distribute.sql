-- Spreads the members over the nodes of a Citus cluster: all rows of one member on one
-- node, so that a day, a span, a sync and an erasure stay on that node. When this is worth
-- it, what it costs and what has not been tried: docs/growing.md. On a Citus 12 or newer,
-- on the coordinator, as the role that owns the tables, with no API and no worker running:
--
--   CREATE EXTENSION citus;                     -- before, and the nodes added
--   DATABASE_URL=… sync-worker migrate --serving-role whoop_serve
--   psql "$DATABASE_URL" -f deploy/citus/distribute.sql
--
-- May be run again, as after a migration that adds a table. Each table is a transaction of
-- its own: one that fails leaves those before it distributed, and the next run goes on.
--
-- Local to the coordinator, as no statement joins them with a member's rows:
--
--   whoop_call_budget   local: one row, replaced many times a minute. On every node it
--                       would be written to all of them at once.
--   whoop_sync_run      local: a run is of all members.
--   whoop_oauth_states  local: found by the hash of the state before anybody knows whose
--                       it is; minutes old.
--   whoop_unconfirmed_connect  local: found by the hash of a word; minutes old.
--   whoop_revocation    local: says not whose.
--   whoop_erasure       local: receipts that name nobody.
--   whoop_service_key   local: keys are of backends, not of members.
--   whoop_audit         local: a row may concern no member, and the trail is read as a whole.
--   whoop_adopted       local: digests that outlive their members.
--   predecessor_…, __diesel_schema_migrations: the schema's own.

\set ON_ERROR_STOP on

-- Citus takes no subquery in a policy. The subquery is there to have the function called
-- once a statement; without it the comparison goes into the index all the same.
DO $$
DECLARE
    one RECORD;
BEGIN
    FOR one IN
        SELECT p.polname AS policy, c.oid::regclass AS name
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
        WHERE c.relnamespace = 'public'::regnamespace AND p.polname = c.relname || '_own_rows'
          AND p.polqual::TEXT LIKE '%{SUBLINK%'
    LOOP
        EXECUTE format('ALTER POLICY %I ON %s USING (user_id = whoop_current_member())', one.policy, one.name);
    END LOOP;
END
$$;
SELECT create_distributed_function('whoop_accepted_client_ids()');
SELECT create_distributed_function('whoop_current_member()');

-- The member first: everything else has a foreign key to it, which holds only where both
-- rows lie on the same node.
SELECT create_distributed_table('whoop_users', 'user_id', colocate_with => 'none')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'whoop_users'::regclass);

SELECT format('SELECT create_distributed_table(%L, ''user_id'', colocate_with => ''whoop_users'')', name)
FROM unnest(ARRAY['whoop_tokens', 'whoop_refresh', 'whoop_cycle', 'whoop_recovery', 'whoop_sleep',
                  'whoop_workout', 'whoop_sync_log', 'whoop_rejected_record', 'whoop_record_denial',
                  'whoop_change']) AS name
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = name::regclass) \gexec

-- On every node: draining the inbox joins members with the events of their WHOOP account, which
-- may be that of two members on two nodes.
SELECT create_reference_table('whoop_webhook_event')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'whoop_webhook_event'::regclass);

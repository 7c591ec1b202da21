-- Distributes the members over the nodes of a Citus cluster. All rows of one member are on one
-- node, so that a day, a range, a sync and an erasure use only that node. docs/growing.md
-- describes when this pays off, its costs, and what has not been tested. Run it with Citus 12 or
-- newer, on the coordinator, as the role that owns the tables, while no API and no worker runs:
--
--   CREATE EXTENSION citus;                     -- first; then add the nodes
--   DATABASE_URL=… sync-worker migrate --serving-role whoop_serve
--   psql "$DATABASE_URL" -f deploy/citus/distribute.sql
--
-- It can be run again, for example after a migration that adds a table. Each table is distributed
-- in a transaction of its own. If one fails, the tables before it remain distributed, and the next
-- run continues with the others.
--
-- These tables stay local to the coordinator, because no statement joins them with a member's rows:
--
--   whoop_call_budget   local: one row, replaced many times a minute. As a reference table every
--                       change would be written to all nodes.
--   whoop_sync_run      local: a run concerns all members.
--   whoop_oauth_states  local: found by the hash of the state, before the member is known;
--                       deleted after minutes.
--   whoop_unconfirmed_connect  local: found by the hash of the confirmation word; deleted after
--                       minutes.
--   whoop_revocation    local: does not name the member.
--   whoop_erasure       local: receipts do not name the member.
--   whoop_service_key   local: keys belong to backends, not to members.
--   whoop_audit         local: a row may concern no member, and the trail is read as a whole.
--   whoop_adopted       local: digests that outlive their members.
--   predecessor_…, __diesel_schema_migrations: not members' data of this service.

\set ON_ERROR_STOP on

-- Citus allows no subquery in a policy. The subquery makes PostgreSQL call the function only once
-- per statement; without it the comparison still uses the index.
DO $$
DECLARE
    own_rows RECORD;
BEGIN
    FOR own_rows IN
        SELECT p.polname AS policy, c.oid::regclass AS name
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
        WHERE c.relnamespace = 'public'::regnamespace AND p.polname = c.relname || '_own_rows'
          AND p.polqual::TEXT LIKE '%{SUBLINK%'
    LOOP
        EXECUTE format('ALTER POLICY %I ON %s USING (user_id = whoop_current_member())', own_rows.policy, own_rows.name);
    END LOOP;
END
$$;
SELECT create_distributed_function('whoop_accepted_client_ids()');
SELECT create_distributed_function('whoop_current_member()');

-- whoop_users first: the other tables have a foreign key to it, and Citus supports foreign keys
-- only between rows on the same node.
SELECT create_distributed_table('whoop_users', 'user_id', colocate_with => 'none')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'whoop_users'::regclass);

SELECT format('SELECT create_distributed_table(%L, ''user_id'', colocate_with => ''whoop_users'')', name)
FROM unnest(ARRAY['whoop_tokens', 'whoop_refresh', 'whoop_cycle', 'whoop_recovery', 'whoop_sleep',
                  'whoop_workout', 'whoop_sync_log', 'whoop_rejected_record', 'whoop_record_denial',
                  'whoop_change']) AS name
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = name::regclass) \gexec

-- A reference table, which is on every node: the processing of the webhook inbox joins members with
-- the events of their WHOOP account, and two members on different nodes may share an account.
SELECT create_reference_table('whoop_webhook_event')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'whoop_webhook_event'::regclass);

-- Creates the role that the API and the worker use. Run it once, as `postgres`:
--
--   psql "$DIRECT_URL" -f deploy/supabase/serving-role.sql
--   psql "$DIRECT_URL" -c '\password whoop_serve'
--   DATABASE_URL=$DIRECT_URL sync-worker migrate --serving-role whoop_serve
--
-- Without a password the role cannot log in. `\password` sends only the hash, so that no
-- statement log contains the password.

SELECT 'CREATE ROLE whoop_serve LOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'whoop_serve') \gexec

-- The role gets no BYPASSRLS, no CREATEROLE and no membership in another role. The function
-- `whoop_let_serve` grants its privileges and creates its policies.

-- Behind a pooler in transaction mode the settings of a session do not last, so the timeouts are
-- set here. The API's own timeout is 30 seconds; the clean-up of the night run may need more.
ALTER ROLE whoop_serve SET statement_timeout = '60s';
ALTER ROLE whoop_serve SET idle_in_transaction_session_timeout = '60s';

-- In projects that started with PostgreSQL 14 every role may create tables in `public`.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

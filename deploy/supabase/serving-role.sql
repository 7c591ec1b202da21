-- The role that the API and the worker connect as. Once, as `postgres`:
--
--   psql "$DIRECT_URL" -f deploy/supabase/serving-role.sql
--   psql "$DIRECT_URL" -c '\password whoop_serve'
--   DATABASE_URL=$DIRECT_URL sync-worker migrate --serving-role whoop_serve
--
-- Without a password it can log in nowhere. `\password` sends only what PostgreSQL
-- stores of one, so that no statement log holds it.

SELECT 'CREATE ROLE whoop_serve LOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'whoop_serve') \gexec

-- No word of BYPASSRLS, CREATEROLE or any other role: what it may do is what
-- `whoop_let_serve` grants it, and the policies that the same function makes.

-- Behind the transaction pooler a process can set nothing for itself that lasts. The
-- API's own limit is 30 seconds; the night's clean-up may need longer.
ALTER ROLE whoop_serve SET statement_timeout = '60s';
ALTER ROLE whoop_serve SET idle_in_transaction_session_timeout = '60s';

-- Projects that began with PostgreSQL 14 let everybody create tables in `public`.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

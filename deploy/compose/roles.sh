#!/usr/bin/env bash
# Once, while the database is set up: the role that owns the tables and the one that
# serves (docs/postgresql-roles.md). PostgreSQL's own image runs what it finds in
# /docker-entrypoint-initdb.d.
set -euo pipefail

# Read from the environment, as a command line is seen by everybody on the machine.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv serving_password SERVING_PASSWORD
CREATE ROLE whoop_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE whoop_serve LOGIN PASSWORD :'serving_password';
GRANT CREATE, USAGE ON SCHEMA public TO whoop_owner;
SQL

#!/usr/bin/env bash
# Creates the role that owns the tables and the role that the API and the worker use
# (docs/postgresql-roles.md). The image of PostgreSQL runs the scripts in
# /docker-entrypoint-initdb.d once, when it creates the database.
set -euo pipefail

# psql reads the passwords from the environment, because every process can read a command line.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv serving_password SERVING_PASSWORD
CREATE ROLE whoop_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE whoop_serve LOGIN PASSWORD :'serving_password';
GRANT CREATE, USAGE ON SCHEMA public TO whoop_owner;
SQL

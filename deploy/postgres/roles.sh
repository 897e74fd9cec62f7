#!/bin/bash
# Runs once, when the data directory is new: an owner for our tables, a role for each of our processes, one for Temporal.
# What each role may is granted by the migrations, which the owner runs.
set -euo pipefail

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  --set quartermaster="$QUARTERMASTER_DB_PASSWORD" --set temporal="$TEMPORAL_DB_PASSWORD" \
  --set intake="$INTAKE_DB_PASSWORD" --set worker="$WORKER_DB_PASSWORD" --set console="$CONSOLE_DB_PASSWORD" \
  --set operator="$OPERATOR_DB_PASSWORD" --set notary="$NOTARY_DB_PASSWORD" <<'SQL'
CREATE ROLE quartermaster LOGIN CREATEROLE PASSWORD :'quartermaster';
CREATE DATABASE quartermaster OWNER quartermaster;
REVOKE ALL ON DATABASE quartermaster FROM PUBLIC;
CREATE ROLE qm_intake LOGIN PASSWORD :'intake';
CREATE ROLE qm_worker LOGIN PASSWORD :'worker';
CREATE ROLE qm_console LOGIN PASSWORD :'console';
CREATE ROLE qm_operator LOGIN PASSWORD :'operator';
CREATE ROLE qm_notary LOGIN PASSWORD :'notary';
-- An auditor is given a password when one comes: ALTER ROLE qm_auditor LOGIN PASSWORD '...'.
CREATE ROLE qm_auditor NOLOGIN;
CREATE ROLE qm_retention NOLOGIN;
GRANT qm_intake, qm_worker, qm_console TO qm_operator;
GRANT pg_read_all_stats TO qm_console;
GRANT CONNECT ON DATABASE quartermaster TO qm_intake, qm_worker, qm_console, qm_operator, qm_notary, qm_auditor, qm_retention;
-- Files that are loaded pass through a temporary table.
GRANT TEMPORARY ON DATABASE quartermaster TO qm_operator;
CREATE ROLE temporal LOGIN PASSWORD :'temporal';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
SQL

#!/bin/bash
# Runs once, when the data directory is new: one role and one database for us, one role for the notary alone, one for
# Temporal.
set -euo pipefail

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  --set quartermaster="$QUARTERMASTER_DB_PASSWORD" --set temporal="$TEMPORAL_DB_PASSWORD" \
  --set notary="$NOTARY_DB_PASSWORD" <<'SQL'
CREATE ROLE quartermaster LOGIN CREATEROLE PASSWORD :'quartermaster';
CREATE DATABASE quartermaster OWNER quartermaster;
REVOKE ALL ON DATABASE quartermaster FROM PUBLIC;
CREATE ROLE qm_notary LOGIN PASSWORD :'notary';
GRANT CONNECT ON DATABASE quartermaster TO qm_notary;
CREATE ROLE temporal LOGIN PASSWORD :'temporal';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
SQL

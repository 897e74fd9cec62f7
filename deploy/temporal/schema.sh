#!/bin/sh
# Brings Temporal's two databases to the schema of this release; running it again changes nothing.
# The connection comes from the SQL_* variables.
set -eu

schema=/etc/temporal/schema/postgresql/v12
for database in temporal visibility; do
  case "$database" in
    temporal) name=temporal ;;
    visibility) name=temporal_visibility ;;
  esac
  # Makes the tables that note the version; a database that is further along stays where it is.
  temporal-sql-tool --db "$name" setup-schema --version 0.0
  temporal-sql-tool --db "$name" update-schema --schema-dir "$schema/$database/versioned"
done

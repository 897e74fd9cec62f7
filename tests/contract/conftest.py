"""A real PostgreSQL for the real side of a contract."""

from tests.databases import database, dsn, key_file, server, storeroom

__all__ = ["database", "dsn", "key_file", "server", "storeroom"]

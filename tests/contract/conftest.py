"""A real PostgreSQL for the real side of a contract."""

from tests.databases import database, dsn, server, storeroom

__all__ = ["database", "dsn", "server", "storeroom"]

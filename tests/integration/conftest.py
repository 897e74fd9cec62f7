"""One PostgreSQL for the session; every test gets a database of its own."""

from tests.databases import database, dsn, server, storeroom

__all__ = ["database", "dsn", "server", "storeroom"]

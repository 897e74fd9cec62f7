"""One PostgreSQL for the session, of which every test gets a database of its own; and one demo, killed and resumed."""

from tests.databases import database, dsn, key_file, server, storeroom
from tests.demos import killed_demo

__all__ = ["database", "dsn", "key_file", "killed_demo", "server", "storeroom"]

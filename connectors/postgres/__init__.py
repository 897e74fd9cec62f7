"""PostgreSQL: everything the engine remembers, one file per noun."""

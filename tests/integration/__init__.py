"""Real PostgreSQL, broker and Temporal from the embedded packages."""

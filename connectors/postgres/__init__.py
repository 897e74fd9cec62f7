"""Talks to PostgreSQL: the only package that knows psycopg. Each public method is one transaction."""

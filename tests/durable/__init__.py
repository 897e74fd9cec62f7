"""Workflows on the time-skipping server."""

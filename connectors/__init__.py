"""Connectors talk. One outside system each, one driver each."""

"""Decisions that earlier releases made, as they recorded them, and how they were taken from those releases."""

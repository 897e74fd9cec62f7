"""Recorded histories that must still replay."""

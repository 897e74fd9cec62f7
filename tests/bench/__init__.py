"""Benchmarks: measured, printed, never part of the test run."""

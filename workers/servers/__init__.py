"""Servers of the embedded stack: each is a child process that we start, probe, stop and reap ourselves."""

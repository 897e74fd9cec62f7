"""Feeds are worlds the engine can be fed from: one that we generate, and two public files with their dirt."""

"""The command line's verbs: each parses, calls one thing, and prints."""

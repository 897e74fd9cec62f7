"""Workflows decide. Nothing here reads a clock, opens a socket or rolls a die."""

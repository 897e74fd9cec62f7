"""Fakes keep the promises of the real adapters, in memory; the contract tests hold them to it."""

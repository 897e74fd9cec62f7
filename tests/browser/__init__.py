"""Proofs at a real browser: Chromium drives the console over fakes, and nothing leaves for another origin."""

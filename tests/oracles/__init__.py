"""Oracles: small worlds whose best orders and true costs are computed exactly, to judge the engine by."""

"""The console shows. Web pages and REST API for planners, auditors and operators."""

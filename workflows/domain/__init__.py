"""The domain means. Pure types and policy mathematics: standard library, pydantic and canonical JSON only."""

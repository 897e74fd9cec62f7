"""Faults: the real system as processes behind proxies, broken on purpose, then judged by a checker of its own."""

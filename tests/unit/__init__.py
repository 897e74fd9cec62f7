"""Pure code, proven without any server."""

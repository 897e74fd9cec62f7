"""Activities do. One effect each, safe to repeat."""

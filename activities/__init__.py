"""Activities do. One effect each, safe to repeat; what they need arrives through the constructor."""

"""Who may import whom, and the rules of the house."""

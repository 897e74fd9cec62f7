"""Tests prove. The folder is the kind of proof, the file is the noun."""

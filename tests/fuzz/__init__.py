"""Bad input by the ten thousand: a clear error, nothing lost, no crash. That of files is in unit/test_tables."""

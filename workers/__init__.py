"""Workers run. The processes and the command line; the only place where parts meet configuration."""

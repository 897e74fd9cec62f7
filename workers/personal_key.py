"""Says where the key of personal data lies, and opens databases with it: every process must mean the same file."""

from pathlib import Path

from connectors.postgres.pool import Database
from workers.settings import Settings


def personal_key_file(settings: Settings) -> Path:
    """The file with the key that personal data are sealed with; never in the database or its backups."""
    if settings.personal_key_file is not None:
        return settings.personal_key_file
    return (settings.console_key_file or settings.home / "console.key").with_name("personal.key")


def database_of(settings: Settings, dsn: str, *, name: str, size: int = 8) -> Database:
    """The installation's database, with the key of its personal data."""
    return Database(dsn, name=name, size=size, personal=personal_key_file(settings))

"""What the three embedded servers have in common."""

import os
from collections.abc import Callable
from typing import Protocol

from workers.servers.process import ProcessSpec

FOREIGN = ("QM_", "PG", "TEMPORAL_", "OTEL_", "KAFKA_", "CALF_")
"""Variables of the user's that would change how an embedded server or its client behaves."""

Progress = Callable[[str], None]


class ServerUnusable(RuntimeError):
    """An embedded server cannot run here; the message says why and what to do."""


class Server(Protocol):
    """An embedded server: prepared once, run as one child process, ready when it answers its own protocol."""

    title: str
    survives_restart: bool
    """Whether it comes back with its memory; the one that does not must not be restarted behind its users' back."""

    def prepare(self, on_progress: Progress) -> None:
        """Make what must exist before the first start. Raises ServerUnusable."""

    def spec(self) -> ProcessSpec:
        """How to run it."""

    def ready(self) -> bool:
        """Whether it answers a real request."""


def clean_environment() -> dict[str, str]:
    """Our environment without what would bend an embedded server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def missing(package: str, variable: str) -> ServerUnusable:
    """The error for an embedded server whose package is not installed."""
    return ServerUnusable(
        f"{package} is not installed: install quartermaster[embedded], or name a server of your own with {variable}."
    )

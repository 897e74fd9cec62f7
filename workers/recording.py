"""What decides how a process behaves is on the record: each process says so at its start, and only a change is news."""

from importlib.metadata import PackageNotFoundError, version
from typing import Literal
from urllib.parse import urlsplit

from connectors.postgres.pool import connect
from connectors.postgres.settings_kept import note_settings
from workers.connector import manifest_of
from workers.settings import Settings
from workers.wiring import required

Process = Literal["intake", "worker", "console", "notary"]
_ALL = ("mode", "clock", "currency", "allowed_lateness_minutes", "temporal_namespace")
RECORDED: dict[Process, tuple[str, ...]] = {
    "intake": (*_ALL, "notice_period_minutes", "webhook_allow_private", "kafka_group_protocol"),
    "worker": (*_ALL, "training_threads", "outcome_interval_s", "order_cycle", "worker_build", "worker_versioning"),
    "console": (
        *_ALL, "session_idle_minutes", "session_hours", "oidc_client_id", "oidc_scope", "oidc_roles_claim",
        "oidc_roles", "oidc_locations_claim", "oidc_limit_claim",
    ),
    "notary": ("checkpoint_seconds",),
}  # fmt: skip
"""Settings by their values."""
HOSTS: dict[Process, tuple[str, ...]] = {
    "intake": ("webhook_url",),
    "worker": ("supplier_url",),
    "console": ("oidc_issuer", "console_url"),
    "notary": ("anchor_url",),
}
"""Addresses by scheme, host and port: a path or a user may hold a secret."""


def deciding(process: Process, settings: Settings, undo_seconds: int | None = None) -> dict[str, str]:
    """What decides about this process, by name: the settings as they count, and the release."""
    told = {name: _said(getattr(settings, name)) for name in RECORDED[process]}
    told |= {name: origin(getattr(settings, name)) for name in HOSTS[process]}
    if undo_seconds is not None:
        told["undo_seconds"] = str(undo_seconds)
    if process == "worker":
        told["connector"] = manifest_of(settings).in_words
    if settings.failpoints is not None:
        told["failpoints"] = "on"  # what a test's crashes led to should never look like the work of a shop
    return {**told, "release": release()}


def record_settings(process: Process, settings: Settings, undo_seconds: int | None = None) -> bool:
    """Put what decides about this process on the record if it is not what it was at its last start; whether it was.

    Raises:
        Unavailable: the database does not answer.
    """
    with connect(required(settings, "postgres_dsn"), name=f"quartermaster-{process}") as connection:
        return note_settings(connection, process, deciding(process, settings, undo_seconds))


def release() -> str:
    """The version of this project."""
    try:
        return version("quartermaster")
    except PackageNotFoundError:
        return "unknown"


def origin(url: str | None) -> str:
    """Scheme, host and port of an address, and nothing else of it."""
    if url is None:
        return ""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "")


def _said(value: object) -> str:
    return "" if value is None else str(value)

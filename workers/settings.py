"""Settings are read once, at the edge, into one frozen model; a mistake is named, never guessed around."""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AnyHttpUrl, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

PREFIX = "QM_"

_HTTP_URL = TypeAdapter(AnyHttpUrl)


def _absolute(path: Path) -> Path:
    """Child processes may run elsewhere, so a path is pinned down where it was read."""
    return Path(os.path.abspath(path.expanduser()))


def _http_url(text: str) -> str:
    """Checked as a URL, kept as it was written: pydantic would add a slash."""
    _HTTP_URL.validate_python(text)
    return text.rstrip("/")


def _spelled(pattern: str, accepted: str) -> AfterValidator:
    """Like pydantic's `pattern`, but the error says what is accepted instead of showing an expression."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(accepted)
        return text

    return AfterValidator(check)


Port = Annotated[int, Field(ge=0, le=65535)]
"""A TCP port to serve on; 0 means any free one."""
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
HostPort = Annotated[str, _spelled(r"[^\s:,/]+:\d{1,5}", "host:port")]
MailServer = Annotated[
    str, _spelled(r"smtps?://([^\s/@]+@)?[^\s/:@]+(:\d{1,5})?/?", "smtp://[user:password@]host[:port], or smtps://")
]
Brokers = Annotated[str, _spelled(r"[^\s:,/]+:\d{1,5}(,[^\s:,/]+:\d{1,5})*", "host:port[,host:port...]")]
ShortName = Annotated[str, _spelled(r"[A-Za-z0-9._-]{1,64}", "up to 64 letters, digits, dots, dashes and underscores")]
Currency = Annotated[str, _spelled(r"[A-Z]{3}", "three capital letters (ISO 4217)")]


class SettingsError(ValueError):
    """A setting that cannot be used. The message names the variable, its value and what is accepted."""


class Settings(BaseModel):
    """Everything a process of ours can be told. Field `x` is read from the variable `QM_X`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: AbsolutePath
    """Where state lives (`up/`, `demo/`). Unset: $XDG_DATA_HOME/quartermaster or ~/.local/share/quartermaster."""
    mode: Literal["active", "passive"] = "active"
    """`passive` records proposals and sends nothing."""
    clock: Literal["live", "replayed"] = "live"
    """What moves an idle location's business clock: the wall clock (`live`), or events alone (`replayed`)."""

    postgres_dsn: str | None = None
    """Unset: the embedded PostgreSQL."""
    temporal_address: HostPort | None = None
    """Unset: the embedded Temporal."""
    temporal_namespace: ShortName = "default"
    temporal_ui_address: HttpUrl | None = None
    """Where people see workflows; only printed and linked to."""
    kafka_bootstrap: Brokers | None = None
    """Unset: the embedded broker."""
    kafka_log_id: ShortName = "main"
    """Names the broker's log: offsets count within it. Give a broker that lost its log a new id."""
    kafka_group_protocol: Literal["classic", "consumer"] = "classic"
    """How processes that take events in share the partitions; `consumer` (KIP-848) needs Apache Kafka 4."""

    intake_processes: int = Field(default=1, ge=1, le=16)
    """How many processes of `up` take events in; each reads a share of the partitions."""

    console_host: str = Field(default="127.0.0.1", min_length=1)
    console_port: Port = 8642
    console_key_file: AbsolutePath | None = None
    """Signs the console's sessions. Unset: a key kept with the state."""
    personal_key_file: AbsolutePath | None = None
    """Seals names, addresses and comments. Unset: `personal.key`, made beside the console's key."""
    supplier_url: HttpUrl | None = None
    """Unset: the simulated supplier."""
    connector_file: AbsolutePath | None = None
    """A JSON object: what is known of the supplier's system, over what the connector declares. Unset: nothing else."""
    supplier_port: Port = 8643
    temporal_port: Port = 8644
    temporal_ui_port: Port = 8645
    kafka_port: Port = 8646

    console_url: HttpUrl | None = None
    """Where people reach the console; links in notices begin with it. Unset: its host and port."""
    session_idle_minutes: int | None = Field(default=None, ge=1, le=24 * 60)
    """A session ends after so long without a request. Unset: 15, and 480 with sign-in links."""
    session_hours: int | None = Field(default=None, ge=1, le=7 * 24)
    """A session ends after so long in any case. Unset: 8, and 12 with sign-in links."""
    oidc_issuer: HttpUrl | None = None
    """Where people sign in. Unset: by links, which only a stack of its own servers gives."""
    oidc_client_id: str | None = None
    oidc_client_secret_file: AbsolutePath | None = None
    """Unset: a public client, which PKCE alone protects."""
    oidc_scope: str = "openid profile email"
    oidc_roles_claim: str = "groups"
    """The claim that gives roles, by `oidc_roles`."""
    oidc_roles: str | None = None
    """`planner=QM-Planners,approver=QM-Heads`. Unset: roles are kept here, and an admin gives them."""
    oidc_locations_claim: str | None = None
    """The claim with the codes of locations where the person works. Unset: kept here."""
    oidc_limit_claim: str | None = None
    """The claim with the amount that the person approves alone. Unset: kept here."""
    smtp_url: MailServer | None = None
    """Sends notices by mail. Unset: no mail."""
    mail_from: Annotated[str, _spelled(r"[^@\s<>]+@[^@\s<>]+", "name@host")] = "quartermaster@localhost"
    webhook_url: HttpUrl | None = None
    """Gets every notice, signed. Unset: none does."""
    webhook_secret_file: AbsolutePath | None = None
    """One secret a line (`whsec_...`); two while one replaces the other."""
    webhook_allow_private: bool = False
    """Whether the webhook may be on an address that is not public."""
    notice_period_minutes: int = Field(default=60, ge=1, le=7 * 24 * 60)
    """At most one digest a person in this time."""

    model_store: AbsolutePath | None = None
    """The directory of model bytes. Unset: a folder of the state directory."""
    currency: Currency = "EUR"
    allowed_lateness_minutes: int = Field(default=60, ge=0, le=7 * 24 * 60)
    """How far the business clock stays behind the newest event, in minutes."""
    undo_seconds: int | None = Field(default=None, ge=0, le=600)
    """How long an answer may be taken back before anything comes of it. Unset: 10, and 0 with a replayed clock."""
    order_cycle: Literal["daily", "at_once"] = "daily"
    """Whether released lines wait for the day's cutoff, or go as soon as they can, each order with what is there."""
    worker_build: ShortName | None = None
    """Names the worker's build to Temporal (Worker Versioning). Unset: it is not versioned, and every change of a
    workflow is patched."""
    worker_versioning: Literal["auto_upgrade", "pinned"] = "auto_upgrade"
    """Of a named build: whether running workflows go on with a newer one, or stay with the one that began them."""
    training_threads: int = Field(default=1, ge=1, le=256)
    outcome_interval_s: int | None = Field(default=None, ge=1)
    """Seconds between two closings of due decisions. Unset: the schedule's own interval."""

    notary_key_file: AbsolutePath | None = None
    """The notary's key; what it remembers lies beside it. Unset: kept with the state, for the notary alone."""
    anchor_directory: AbsolutePath | None = None
    """Where the notary keeps copies of what it signed: another disk or host. Unset: a folder of the state directory."""
    anchor_url: HttpUrl | None = None
    """Gets each newest signed checkpoint, by POST. Unset: none does."""
    checkpoint_seconds: int = Field(default=60, ge=1, le=3600)
    """From one signed checkpoint to the next, also when nothing happens."""

    telemetry_directory: AbsolutePath | None = None
    """Where traces and metrics stay readable without a collector. Unset: they exist only in memory."""
    otlp_endpoint: HttpUrl | None = None
    """Where traces and metrics go. Unset: they stay readable locally."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["auto", "json", "text"] = "auto"
    """`auto` is text on a terminal and JSON lines elsewhere."""
    failpoints: AbsolutePath | None = None
    """For tests alone: a folder in which they ask processes to crash. Unset: nothing can."""

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Self:
        """The settings that this environment asks for; an empty variable counts as unset.

        Raises:
            SettingsError: for an unknown `QM_` variable or a value that cannot be used.
        """
        given = {name: value for name, value in env.items() if name.startswith(PREFIX) and value != ""}
        for name in given:
            if name.removeprefix(PREFIX).lower() not in cls.model_fields or name != name.upper():
                raise SettingsError(_unknown(name, cls))
        values: dict[str, Any] = {name.removeprefix(PREFIX).lower(): value for name, value in given.items()}
        values.setdefault("home", _default_home(env))
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError("\n".join(_explained(problem) for problem in error.errors())) from None

    def environment(self) -> dict[str, str]:
        """The variables that give a child process these same settings."""
        return {
            PREFIX + name.upper(): str(value)
            for name, value in self.model_dump(mode="json").items()
            if value is not None
        }


def _default_home(env: Mapping[str, str]) -> Path:
    if base := env.get("XDG_DATA_HOME"):
        return Path(base) / "quartermaster"
    return Path(env.get("HOME") or Path.home()) / ".local" / "share" / "quartermaster"


def _unknown(name: str, model: type[Settings]) -> str:
    known = [PREFIX + field.upper() for field in model.model_fields]
    near = difflib.get_close_matches(name.upper(), known, n=1)
    return f"{name} is not a setting of Quartermaster." + (f" Did you mean {near[0]}?" if near else "")


def _explained(problem: Mapping[str, Any]) -> str:
    name = PREFIX + str(problem["loc"][0]).upper()
    # These carry a password, as any address with a user may, and an error message travels into logs.
    secret = name in {"QM_POSTGRES_DSN", "QM_SMTP_URL", "QM_WEBHOOK_URL"} or "@" in str(problem["input"])
    value = "(hidden)" if secret and name != "QM_MAIL_FROM" else repr(problem["input"])
    accepted = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{name}={value} cannot be used; accepted: {accepted}."

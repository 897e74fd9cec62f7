"""The doctor says what is configured, what answers, and what is unsafe; it changes nothing."""

import asyncio
import os
import re
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, ConfigDict
from rich.table import Table

from workers.servers.runfile import Addresses
from workers.settings import Settings

Part = Literal["home", "postgres", "temporal", "kafka", "supplier", "console", "telemetry"]
Probe = Callable[[], Awaitable[str]]
"""Speaks to one part for real and returns what it found, a version say; any exception means that it does not answer."""

PROBE_WITHIN_S = 5.0
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
POSTGRES_PORT = 5432
_PASSWORD = re.compile(r"(://[^:@/?]*:(?=[^@]*@)|password\s*=\s*)('(?:[^'\\]|\\.)*'|[^@&\s]+)")


class Finding(BaseModel):
    """What is known about one part."""

    model_config = ConfigDict(frozen=True)

    part: Part
    configured: str
    """Where it is, without secrets."""
    reachable: bool | None = None
    """None: there is nothing to reach, or it does not run now."""
    found: str | None = None
    """What the probe learned, or why it failed."""
    unsafe: str | None = None
    advice: str | None = None


async def examine(
    settings: Settings,
    probes: Mapping[Part, Probe] | None = None,
    running: Addresses | None = None,
    dangers: Mapping[Part, Probe] | None = None,
) -> list[Finding]:
    """Examine every part side by side, each for at most five seconds.

    `probes` speak to a part for real; a part without one is only tried for an open port. `running` are the addresses
    of a stack that runs now: embedded servers have an address only then. `dangers` ask a part that answers what is
    unsafe in it, and return nothing when nothing is.
    """
    given = probes or {}
    postgres = settings.postgres_dsn or (running.postgres_dsn if running else None)
    temporal = settings.temporal_address or (running.temporal_address if running else None)
    kafka = settings.kafka_bootstrap or (running.kafka_bootstrap if running else None)
    supplier = _host_port(settings.supplier_url)
    otlp = _host_port(settings.otlp_endpoint)
    plain = [
        _home(settings),
        _server("postgres", settings.postgres_dsn, _masked(settings.postgres_dsn), _postgres_unsafe(settings)),
        _server("temporal", settings.temporal_address, settings.temporal_address, _remote("Temporal", temporal)),
        _server("kafka", settings.kafka_bootstrap, settings.kafka_bootstrap, _remote("Kafka", kafka)),
        _supplier(settings),
        _console(settings),
        Finding(part="telemetry", configured=settings.otlp_endpoint or "kept locally"),
    ]
    doors: dict[Part, Probe | None] = {
        "postgres": _postgres_door(postgres),
        "temporal": _door(temporal),
        "kafka": _door(kafka.split(",")[0] if kafka else None),
        "supplier": _door(supplier),
        "telemetry": _door(otlp),
    }
    found = await asyncio.gather(*(_tried(f, given.get(f.part) or doors.get(f.part)) for f in plain))
    return list(await asyncio.gather(*(_asked(f, (dangers or {}).get(f.part)) for f in found)))


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether everything that should answer does. What is unsafe is said, not forbidden."""
    return all(finding.reachable is not False for finding in findings)


def as_json(findings: Sequence[Finding]) -> dict[str, object]:
    """One object for `--json`."""
    return {"healthy": healthy(findings), "parts": [finding.model_dump(mode="json") for finding in findings]}


def as_table(findings: Sequence[Finding]) -> Table:
    """The same for people; never by colour alone."""
    table = Table(title="Quartermaster", title_justify="left")
    for heading in ("Part", "Configured", "Answers", "Unsafe", "Advice"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        answers = {True: "yes", False: "no", None: "-"}[finding.reachable]
        table.add_row(
            finding.part,
            finding.configured,
            f"{answers}: {finding.found}" if finding.found else answers,
            finding.unsafe or "",
            finding.advice or "",
        )
    return table


async def _tried(finding: Finding, probe: Probe | None) -> Finding:
    if probe is None:
        return finding
    try:
        async with asyncio.timeout(PROBE_WITHIN_S):
            found = await probe()
    except Exception as error:  # whatever a driver raises, the answer is: it does not answer, and this is what it said
        said = (str(error) or type(error).__name__).splitlines()[0][:200]
        advice = finding.advice or f"Start it, or correct the settings of {finding.part}."
        return finding.model_copy(update={"reachable": False, "found": said, "advice": advice})
    return finding.model_copy(update={"reachable": True, "found": found})


async def _asked(finding: Finding, danger: Probe | None) -> Finding:
    """What is unsafe in a part that answers, beside what its settings say."""
    if danger is None or finding.reachable is not True:
        return finding
    try:
        async with asyncio.timeout(PROBE_WITHIN_S):
            said = await danger()
    except Exception as error:  # it listens and does not let itself be asked: that is what there is to say
        words = (str(error) or type(error).__name__).splitlines()[0][:200]
        advice = "Correct the address, the role or its password; or bring the schema up to date: quartermaster migrate."
        return finding.model_copy(update={"reachable": False, "found": words, "advice": advice})
    unsafe = "; ".join(one for one in (finding.unsafe, said) if one)
    return finding.model_copy(update={"unsafe": unsafe or None})


def _door(address: str | None) -> Probe | None:
    """Whether something listens there."""
    if address is None:
        return None
    host, _, port = address.rpartition(":")

    async def knock() -> str:
        _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.close()
        return "the port is open"

    return knock


def _postgres_door(dsn: str | None) -> Probe | None:
    """The port or the Unix socket that a DSN names; key=value DSNs need a real probe."""
    if dsn is None or "://" not in dsn:
        return None
    parts = urlsplit(dsn)
    host = parts.hostname or unquote(parse_qs(parts.query).get("host", [""])[0])
    if not host:
        return None
    if not host.startswith("/"):
        return _door(f"{host}:{parts.port or POSTGRES_PORT}")

    async def knock() -> str:
        _, writer = await asyncio.open_unix_connection(Path(host) / f".s.PGSQL.{parts.port or POSTGRES_PORT}")
        writer.close()
        return "the socket is open"

    return knock


def _server(part: Part, named: str | None, shown: str | None, unsafe: str | None) -> Finding:
    if named is None:
        return Finding(part=part, configured="embedded", advice="Meant for one machine: name a server to share it.")
    return Finding(part=part, configured=shown or named, unsafe=unsafe)


def _home(settings: Settings) -> Finding:
    """The state must be writable, and by nobody else."""
    home = settings.home
    if not home.exists():
        return Finding(part="home", configured=str(home), advice="It is made by the first `quartermaster up`.")
    open_to_others = bool(home.stat().st_mode & stat.S_IWOTH)
    return Finding(
        part="home",
        configured=str(home),
        reachable=os.access(home, os.W_OK),
        unsafe="everybody may change the state" if open_to_others else None,
        advice=f"chmod o-w '{home}'" if open_to_others else None,
    )


def _postgres_unsafe(settings: Settings) -> str | None:
    dsn = settings.postgres_dsn
    if dsn is None or "://" not in dsn:
        return None
    parts = urlsplit(dsn)
    if parts.username == "postgres":
        return "the engine connects as the superuser: the send gate and the ledger rely on separate roles"
    mode = parse_qs(parts.query).get("sslmode", ["prefer"])[0]
    if parts.hostname and parts.hostname not in LOOPBACK_HOSTS and mode not in {"require", "verify-ca", "verify-full"}:
        return "the connection leaves this machine and may be unencrypted (sslmode=require or better)"
    return None


def _remote(title: str, address: str | None) -> str | None:
    hosts = [one.rpartition(":")[0] for one in (address or "").split(",") if one]
    if all(host.strip("[]") in LOOPBACK_HOSTS for host in hosts):
        return None
    return f"the connection to {title} leaves this machine unencrypted; keep it inside a private network"


def _supplier(settings: Settings) -> Finding:
    url = settings.supplier_url
    if settings.mode == "passive":
        return Finding(part="supplier", configured=f"{url or 'simulated'}; passive: nothing is sent")
    if url is None:
        return Finding(part="supplier", configured="simulated", advice="Orders go to the simulated supplier only.")
    parts = urlsplit(url)
    plain = parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS
    return Finding(
        part="supplier", configured=url, unsafe="orders leave this machine over plain HTTP" if plain else None
    )


def _console(settings: Settings) -> Finding:
    where = f"http://{settings.console_host}:{settings.console_port}"
    unsafe, advice = None, None
    if settings.console_host not in LOOPBACK_HOSTS:
        unsafe = "the console is open to the network over plain HTTP"
        advice = "Put a TLS proxy before it, or serve on 127.0.0.1."
    elif (key := settings.console_key_file) and key.exists() and key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        unsafe, advice = "others may read the key that signs sessions", f"chmod 600 '{key}'"
    return Finding(part="console", configured=where, unsafe=unsafe, advice=advice)


def _masked(dsn: str | None) -> str | None:
    """A DSN without its password, whether it stands before the host, in the query or as a key=value pair."""
    if dsn is None:
        return None
    return _PASSWORD.sub(r"\1***", dsn)


def _host_port(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"

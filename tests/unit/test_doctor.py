"""The doctor: what is configured, what answers, what is unsafe."""

import asyncio
import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from workers.doctor import Finding, as_json, as_table, examine, healthy
from workers.servers.runfile import Addresses
from workers.settings import Settings


@pytest.fixture
def open_port() -> Iterator[int]:
    """A port on which something listens."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        yield door.getsockname()[1]


def by_part(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.part: finding for finding in findings}


async def test_an_embedded_stack_that_does_not_run_is_neither_reachable_nor_ill(tmp_path: Path) -> None:
    findings = await examine(Settings(home=tmp_path))

    assert by_part(findings)["postgres"].configured == "embedded"
    assert by_part(findings)["postgres"].reachable is None
    assert healthy(findings)


async def test_the_addresses_of_a_running_stack_are_tried(tmp_path: Path, open_port: int) -> None:
    running = Addresses(
        postgres_dsn=f"postgresql://postgres@/q?host={tmp_path}",
        temporal_address=f"127.0.0.1:{open_port}",
        kafka_bootstrap=f"127.0.0.1:{open_port}",
        kafka_log_id="a",
    )

    found = by_part(await examine(Settings(home=tmp_path), running=running))

    assert found["temporal"].reachable is True
    assert found["kafka"].found == "the port is open"
    assert found["postgres"].reachable is False, "its socket does not exist"


async def test_a_given_probe_speaks_for_its_part(tmp_path: Path) -> None:
    async def version() -> str:
        return "PostgreSQL 18.4"

    async def refused() -> str:
        raise ConnectionRefusedError("no broker there\nand more")

    found = by_part(await examine(Settings(home=tmp_path), {"postgres": version, "kafka": refused}))

    assert (found["postgres"].reachable, found["postgres"].found) == (True, "PostgreSQL 18.4")
    assert (found["kafka"].reachable, found["kafka"].found) == (False, "no broker there")
    assert not healthy(list(found.values()))


async def test_a_part_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.doctor.PROBE_WITHIN_S", 0.05)

    async def hangs() -> str:
        await asyncio.Event().wait()
        return "never"

    found = by_part(await examine(Settings(home=tmp_path), {"temporal": hangs}))

    assert (found["temporal"].reachable, found["temporal"].found) == (False, "TimeoutError")


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://worker:s3cret@db.example/q",
        "postgresql://worker@db.example/q?password=s3cret&sslmode=require",
        "host=db.example password=s3cret user=worker",
        "host=db.example password = 'a s3cret' user=worker",
    ],
)
async def test_no_password_is_ever_shown(tmp_path: Path, dsn: str) -> None:
    async def fine() -> str:
        return "fine"

    settings = Settings(home=tmp_path, postgres_dsn=dsn)
    findings = await examine(settings, {"postgres": fine})

    out = io.StringIO()
    Console(file=out, width=200).print(as_table(findings))
    assert "s3cret" not in out.getvalue() + str(as_json(findings))
    assert "***" in out.getvalue()


@pytest.mark.parametrize(
    ("changes", "part", "said"),
    [
        ({"postgres_dsn": "postgresql://postgres@localhost/q"}, "postgres", "superuser"),
        ({"postgres_dsn": "postgresql://worker@db.example/q"}, "postgres", "unencrypted"),
        ({"temporal_address": "temporal.example:7233"}, "temporal", "unencrypted"),
        ({"kafka_bootstrap": "localhost:9092,k.example:9092"}, "kafka", "unencrypted"),
        ({"supplier_url": "http://erp.example"}, "supplier", "plain HTTP"),
        ({"console_host": "0.0.0.0"}, "console", "open to the network"),  # noqa: S104 - that is the point
    ],
)
async def test_what_is_unsafe_is_said(tmp_path: Path, changes: dict[str, str], part: str, said: str) -> None:
    async def fine() -> str:
        return "fine"

    settings = Settings(home=tmp_path).model_copy(update=changes)
    probes = {"postgres": fine, "temporal": fine, "kafka": fine, "supplier": fine}
    found = by_part(await examine(settings, probes))  # type: ignore[arg-type]

    assert said in (found[part].unsafe or "")


async def test_a_world_writable_home_and_a_readable_key_are_unsafe(tmp_path: Path) -> None:
    home, key = tmp_path / "home", tmp_path / "key"
    home.mkdir()
    home.chmod(0o777)
    key.write_text("k")
    key.chmod(0o644)

    found = by_part(await examine(Settings(home=home, console_key_file=key)))

    assert found["home"].unsafe == "everybody may change the state"
    assert found["console"].advice == f"chmod 600 '{key}'"


async def test_a_part_that_answers_is_asked_what_is_unsafe_in_it(tmp_path: Path) -> None:
    async def answers() -> str:
        return "PostgreSQL 18.4"

    async def gone() -> str:
        raise ConnectionRefusedError("no")

    async def unsafe() -> str:
        return "synchronous_commit=off for qm_worker"

    async def safe() -> str:
        return ""

    async def shut() -> str:
        raise PermissionError("password authentication failed")

    settings = Settings(home=tmp_path, postgres_dsn="postgresql://postgres@/q?host=/tmp")
    said = by_part(await examine(settings, {"postgres": answers}, dangers={"postgres": unsafe}))["postgres"].unsafe
    assert said is not None
    assert said.endswith("separate roles; synchronous_commit=off for qm_worker"), "what the settings say stays"
    quiet = by_part(await examine(Settings(home=tmp_path), {"postgres": answers}, dangers={"postgres": safe}))
    assert quiet["postgres"].unsafe is None
    silent = by_part(await examine(Settings(home=tmp_path), {"postgres": gone}, dangers={"postgres": unsafe}))
    assert silent["postgres"].unsafe is None
    refused = await examine(Settings(home=tmp_path), {"postgres": answers}, dangers={"postgres": shut})
    assert by_part(refused)["postgres"].found == "password authentication failed"
    assert not healthy(refused)

"""Sign-in links exist only where our own supervisor runs the database and the console is this machine's alone."""

import os
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from workers.servers.runfile import Addresses, Child, RunRecord
from workers.settings import Settings
from workers.wiring_sign_in import is_loopback, on_embedded_stack, provider_of
from workflows.domain.errors import InvalidInput


def embedded(home: Path, **changes: object) -> Settings:
    """What a console of an embedded stack on this home is given, with the record of the run beside it."""
    sockets = home / "up" / "sockets"
    sockets.mkdir(parents=True, exist_ok=True)
    sockets.chmod(0o700)
    dsn = f"postgresql://postgres@/quartermaster?host={quote(str(sockets), safe='')}"
    me = psutil.Process(os.getpid())
    record = RunRecord(
        pid=me.pid, created=me.create_time(),
        children={"postgres": Child(pid=me.pid, created=me.create_time(), stop_signal=2, patience_s=1)},
        addresses=Addresses(
            postgres_dsn=dsn, temporal_address="127.0.0.1:9", kafka_bootstrap="127.0.0.1:9", kafka_log_id="main"
        ),
    )  # fmt: skip
    (home / "up" / "run.json").write_text(record.model_dump_json())
    return Settings(home=home, postgres_dsn=dsn).model_copy(update=changes)


def test_a_console_beside_our_own_database_on_loopback_gives_links(tmp_path: Path) -> None:
    assert on_embedded_stack(embedded(tmp_path))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "console.example"])  # noqa: S104 - must be refused
def test_a_console_that_others_can_reach_does_not(tmp_path: Path, host: str) -> None:
    assert not on_embedded_stack(embedded(tmp_path, console_host=host))


@pytest.mark.parametrize("url", ["https://stock.example", "http://10.1.2.3:8642", "https://127.0.0.1.nip.io"])
def test_a_console_that_a_proxy_shows_to_others_does_not(tmp_path: Path, url: str) -> None:
    assert not on_embedded_stack(embedded(tmp_path, console_url=url))
    assert on_embedded_stack(embedded(tmp_path, console_url="http://localhost:9000"))


@pytest.mark.parametrize(
    "dsn",
    ["postgresql://postgres@db.example/quartermaster", "postgresql://postgres@localhost/quartermaster",
     "host=127.0.0.1 dbname=quartermaster", "postgresql://postgres@/quartermaster?host=%2Fvar%2Frun%2Fpostgresql"],
)  # fmt: skip
def test_a_database_of_somebody_elses_does_not(tmp_path: Path, dsn: str) -> None:
    assert not on_embedded_stack(embedded(tmp_path, postgres_dsn=dsn))


def test_a_record_of_a_run_that_is_over_or_that_started_no_database_does_not(tmp_path: Path) -> None:
    settings, file = embedded(tmp_path), tmp_path / "up" / "run.json"
    record = RunRecord.model_validate_json(file.read_text())
    for wrong in (record.model_copy(update={"created": 1.0}), record.model_copy(update={"children": {}})):
        file.write_text(wrong.model_dump_json())
        assert not on_embedded_stack(settings)
    file.unlink()
    assert not on_embedded_stack(settings)


def test_a_socket_that_others_can_reach_does_not(tmp_path: Path) -> None:
    settings = embedded(tmp_path)
    (tmp_path / "up" / "sockets").chmod(0o755)
    assert not on_embedded_stack(settings)


def test_what_is_loopback() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "", "localhost.evil.example", "1.2.3.4"))  # noqa: S104


def test_a_provider_needs_all_that_it_needs_and_encryption(tmp_path: Path) -> None:
    base = Settings(home=tmp_path, oidc_issuer="https://idp.example", oidc_roles="planner=P")
    with pytest.raises(InvalidInput, match="QM_OIDC_CLIENT_ID"):
        provider_of(base, b"k" * 32)
    with pytest.raises(InvalidInput, match="QM_CONSOLE_URL"):
        provider_of(base.model_copy(update={"oidc_client_id": "qm"}), b"k" * 32)
    whole = base.model_copy(update={"oidc_client_id": "qm", "console_url": "https://orders.example"})
    assert provider_of(whole, b"k" * 32) is not None
    for name in ("console_url", "oidc_issuer"):
        with pytest.raises(InvalidInput, match="https"):
            provider_of(whole.model_copy(update={name: "http://orders.example"}), b"k" * 32)
    with pytest.raises(InvalidInput, match="QM_OIDC_CLIENT_SECRET_FILE"):
        provider_of(whole.model_copy(update={"oidc_client_secret_file": tmp_path / "none"}), b"k" * 32)
    assert provider_of(Settings(home=tmp_path), b"k" * 32) is None

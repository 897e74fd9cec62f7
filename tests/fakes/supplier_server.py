"""Starts the simulated suppliers as they run for real: a process of their own, with a journal on disk."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from workflows.domain.feeds import SupplierBehaviour


class SupplierServer:
    """The server process; `kill` is kill -9, `start` afterwards goes on from the journal."""

    def __init__(
        self,
        folder: Path,
        behaviours: Sequence[SupplierBehaviour],
        *,
        kafka: str | None = None,
        allow_faults: bool = True,
        system: Sequence[str] = (),
    ) -> None:
        """`system`: what kind of system it is, as arguments (`--level`, `--drafts`, `--memory-seconds`)."""
        self.journal = folder / "journal.jsonl"
        known = folder / "behaviours.json"
        known.write_text(json.dumps([behaviour.model_dump(mode="json") for behaviour in behaviours]))
        self._argv = [sys.executable, "-m", "connectors.erp.simulated", "--port", "0", "--journal", str(self.journal)]
        self._argv += ["--behaviours", str(known)]
        self._argv += ["--kafka", kafka] if kafka else []
        self._argv += ["--allow-faults"] if allow_faults else []
        self._argv += system
        self._child: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Start it and wait until it serves."""
        self._child = subprocess.Popen(self._argv, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout is not None
        said = self._child.stdout.readline()
        assert said.startswith("listening on "), f"the supplier did not start: {said!r}"
        self.url = said.removeprefix("listening on ").strip()

    def kill(self) -> None:
        """End it without warning."""
        self._end("kill")

    def stop(self) -> int:
        """End it in order; its exit code."""
        return self._end("terminate")

    def get(self, path: str) -> dict[str, Any]:
        """The JSON answer, which must be a success."""
        return self._json(httpx.get(self.url + path, trust_env=False))

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """The JSON answer, which must be a success."""
        return self._json(httpx.post(self.url + path, json=body, trust_env=False, timeout=20))

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        assert response.is_success, response.text
        document: dict[str, Any] = response.json()
        return document

    def _end(self, how: str) -> int:
        if self._child is None:
            return 0
        getattr(self._child, how)()
        code = self._child.wait(10)
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._child = None
        return code

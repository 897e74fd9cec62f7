"""What auditors find out about a world: by the product's own verifier, and by the one that works without it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.waiting import until
from tests.faults.world import World

COMMAND_WITHIN_S = 300.0


@dataclass(frozen=True)
class Found:
    """Exit code and report of a verifier."""

    code: int
    report: dict[str, Any]

    def of(self, code: str) -> list[dict[str, Any]]:
        """The offline verifier's findings of one kind."""
        return [one for one in self.report["findings"] if one["code"] == code]

    @property
    def codes(self) -> list[str]:
        """What kinds of finding there are."""
        return sorted({one["code"] for one in self.report["findings"]})


def verified(world: World) -> Found:
    """`quartermaster audit verify`."""
    done = _command(world, "audit", "verify", "--json")
    return Found(done.returncode, json.loads(done.stdout))


def verified_offline(world: World) -> Found:
    """`deploy/verify.py` on an evidence pack of everything, with the anchors."""
    pack, report = world.state / "pack.zip", world.state / "report.json"
    for file in (pack, report):
        file.unlink(missing_ok=True)
    made = _command(world, "audit", "pack", "--output", str(pack), "--json")
    assert made.returncode == 0, f"no pack: {made.stdout[-500:]} {made.stderr[-500:]}"
    program = world.code / "deploy" / "verify.py"
    anchors = str(world.settings.anchor_directory)
    done = _run([sys.executable, str(program), str(pack), "--anchor", anchors, "--json", str(report)], world.code)
    assert report.exists(), f"the verifier made no report: {done.stdout[-500:]} {done.stderr[-1500:]}"
    return Found(done.returncode, json.loads(report.read_text()))


def clean(world: World) -> str:
    """That neither verifier finds anything; in words."""
    own, offline = verified(world), verified_offline(world)
    assert (own.code, own.report["breaks"]) == (0, []), f"audit verify: {own}"
    assert (offline.code, offline.report["findings"]) == (0, []), f"verify.py: {offline.report['findings']}"
    return f"{own.report['entries']} entries and {own.report['checkpoints']} checkpoints are as they were written"


def certified(world: World, within_s: float) -> int:
    """Wait until a checkpoint covers every entry that there is now; its size."""
    entries = "SELECT count(*) AS n FROM ledger_entry"
    needed = world.rows(entries)[0]["n"]
    query = "SELECT size FROM ledger_checkpoint WHERE size >= %s LIMIT 1"
    return int(until(lambda: world.rows(query, needed), within_s, f"a checkpoint over {needed} entries")[0]["size"])


def _command(world: World, *arguments: str) -> "subprocess.CompletedProcess[str]":
    told = world.process("auditor", [sys.executable, "-m", "workers.cli", *arguments])
    return _run(list(told.argv), told.folder, dict(told.env))


def _run(argv: list[str], folder: Path | None, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        argv, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=COMMAND_WITHIN_S
    )

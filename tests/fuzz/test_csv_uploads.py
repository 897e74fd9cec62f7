"""Bent CSV files through the console's own form: a page each time that says what is wrong, and nothing half done."""

import random
import re
from collections import Counter

import pytest
from starlette.testclient import TestClient

from console.auth import sign_in_token
from tests.contract.api_consoles import ALL_ROLES, TASK, whole
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.files import MemoryFiles
from tests.fuzz.bent_tables import bent_file
from tests.fuzz.csv_kinds import HASH, KINDS, TASKS, Kind

EACH = 60
SEED = 20260306


def state_of(console: ConsoleOverFakes, files: MemoryFiles) -> str:
    """Whatever a file could change, in one text."""
    changes = console.policies._changes
    return repr((files.rows, files.recorded, changes, {name: vars(case) for name, case in console.shop.cases.items()}))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.desk], ids=lambda kind: kind.name)
def test_an_uploaded_file_is_taken_or_told_on_a_page(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    files = MemoryFiles()
    monkeypatch.setattr("tests.contract.api_consoles.MemoryFiles", lambda: files)
    console, chance, answered = whole(), random.Random(f"{SEED} {kind.name}"), Counter[int]()  # noqa: S311
    waiting = str(console.shop.cases[TASK].decided.decision.proposal_hash)
    rows = [[cell.replace(TASKS[0], TASK).replace(HASH, waiting) for cell in row] for row in kind.rows]
    if kind.name == "verdicts":
        rows = rows[:1]
    if kind.name == "sourcing":
        rows = [["OAT-1L", *row[1:2], "northern-foods", *row[3:]] for row in rows[:1]]
    with TestClient(console.app, raise_server_exceptions=False, follow_redirects=False) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, ALL_ROLES.name)})
        page = client.get("/files").text
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        assert token
        for _ in range(EACH):
            raw, before = bent_file(chance, kind.columns, rows, zipped=False), state_of(console, files)
            step = chance.choice(("take", "take", "check"))
            answer = client.post(
                f"/files/{kind.name}", data={"csrf": token[1], "step": step, "reason": "fuzzed"},
                files={"file": ("given.csv", raw, "text/csv")},
            )  # fmt: skip
            what = f"{raw[:400]!r}: {answer.status_code}"
            assert answer.status_code in (200, 409, 422), what
            assert "<h1" in answer.text, what
            if answer.status_code != 200 or step == "check":
                assert state_of(console, files) == before, what
            if answer.status_code == 422:
                assert re.search(r"line \d+|the file|problem", answer.text), what
            answered[answer.status_code] += 1
    assert answered.total() == EACH
    assert answered[200] > 3, answered
    assert answered[422] > 3, answered

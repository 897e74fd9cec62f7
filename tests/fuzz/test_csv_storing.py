"""Bent CSV files on their whole way into PostgreSQL: what is refused changes nothing at all, what is taken is there."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from connectors.postgres.catalog import load_history
from connectors.postgres.drivers import load_drivers
from connectors.postgres.files import PostgresFiles
from connectors.postgres.inbox_desk import PostgresInbox
from connectors.postgres.policy_changes import PostgresPolicies
from console.desk import AnswerDesk
from console.files import FileDesk
from console.policy_desk import PolicyDesk
from tests.databases import database, dsn, key_file, server, storeroom
from tests.fakes.desk import MemoryVerdictChannel
from tests.fuzz.bent_tables import bent_file
from tests.fuzz.csv_kinds import HASH, KINDS_BY_NAME, TASKS, Kind, seen
from tests.storeroom import PLANNER, Storeroom, catalog, clock, counted
from workers.commands.demand import read_drivers
from workers.commands.feeds import read_history
from workflows.domain.errors import InvalidInput
from workflows.domain.files import FileKind, FileTaken
from workflows.domain.people import Person, Role
from workflows.domain.policies import Policy

__all__ = ["database", "dsn", "key_file", "server", "storeroom"]

EACH = 70
SEED = 20260305
TABLES = (
    "item", "location", "supplier", "sourcing", "recorded_demand", "external_driver", "policy_change", "policy_version",
    "approval", "replenishment", "ledger_entry", "evidence", "release", "live_event",
)  # fmt: skip
"""Whatever a file could reach."""
ALL = Person(name=PLANNER.name, roles=frozenset(Role))


class Importing:
    """A stocked shop with tasks that wait, and the way in for each kind of file."""

    def __init__(self, storeroom: Storeroom, folder: Path) -> None:
        self.storeroom, self.path = storeroom, folder / "given.csv"
        there = {row["name"] for row in storeroom.rows("SELECT tablename AS name FROM pg_tables")}
        self.tables = [name for name in TABLES if name in there]
        self.desk = FileDesk(
            PostgresFiles(storeroom.database), PostgresInbox(storeroom.database),
            PolicyDesk(PostgresPolicies(storeroom.database)),
            AnswerDesk(storeroom.approvals, MemoryVerdictChannel()), "EUR",
        )  # fmt: skip

    def everything(self) -> dict[str, tuple[int, str]]:
        """How much there is in each table, and a digest of it."""
        digest = "count(*) AS n, coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') AS digest"
        return {
            name: (row["n"], row["digest"])
            for name in self.tables
            for row in self.storeroom.rows(f"SELECT {digest} FROM {name} t")  # noqa: S608
        }

    async def bring(self, kind: Kind, raw: bytes) -> FileTaken | None:
        """Take the file as the product does."""
        if kind.desk:
            return await self.desk.take(FileKind(kind.name), raw, ALL, PLANNER, check=False)
        self.path.write_bytes(raw)
        if kind.name == "history":
            load_history(self.storeroom.connection, read_history(self.path), (), actor="test")
        else:
            load_drivers(self.storeroom.connection, read_drivers(self.path), actor="test")
        return None


@pytest.fixture
async def importing(storeroom: Storeroom, tmp_path: Path) -> Importing:
    """Three tasks wait for a person."""
    await storeroom.stock(catalog(3), Policy(new_supplier_asks=False))
    storeroom.take(*[counted(3, item=f"ITEM-{n:03}") for n in range(1, 4)], clock())
    await storeroom.assess()
    return Importing(storeroom, tmp_path)


def as_it_waits(kind: Kind, storeroom: Storeroom) -> Kind:
    """The kind's good file, with the tasks and proposals that really wait."""
    if kind.name != "verdicts":
        return kind
    waiting = storeroom.rows("SELECT decision_id, proposal_hash FROM replenishment ORDER BY decision_id")
    real = dict(zip(TASKS, waiting, strict=True))
    rows = tuple(
        (real[row[0]]["decision_id"], row[1].replace(HASH, real[row[0]]["proposal_hash"]), *row[2:])
        for row in kind.rows
    )
    return kind._replace(rows=rows)


@pytest.mark.parametrize("name", ["items", "suppliers", "sourcing", "limits", "verdicts", "history", "drivers"])
async def test_a_refused_file_changes_nothing_and_a_taken_one_is_there(importing: Importing, name: str) -> None:
    chance = random.Random(f"{SEED} {name}")  # noqa: S311 - rubbish, the same each time
    kind, ended = as_it_waits(KINDS_BY_NAME[name], importing.storeroom), Counter[str]()
    for _ in range(EACH):
        raw = bent_file(chance, kind.columns, kind.rows, zipped=False)
        before = importing.everything()
        try:
            taken = await importing.bring(kind, raw)
        except InvalidInput:
            assert importing.everything() == before, raw
            ended["refused"] += 1
        else:
            _expect_there(importing, kind, raw, taken)
            ended["taken"] += 1
    assert ended.total() == EACH
    assert min(ended["refused"], ended["taken"]) >= 3, ended
    assert importing.storeroom.verified().ok


def _expect_there(importing: Importing, kind: Kind, raw: bytes, taken: FileTaken | None) -> None:
    """Each row of the file is stored, as the reader read it."""
    told = kind.read(importing.path, raw)
    rows = seen(kind, raw)
    assert rows is not None
    if kind.name in ("items", "suppliers", "sourcing"):
        assert taken is not None
        assert taken.rows == len(rows) == taken.new + taken.changed + taken.same
    keys = {
        "items": ("item",), "suppliers": ("supplier",), "sourcing": ("location", "item", "supplier"),
        "history": ("location", "item", "day"), "drivers": ("location", "name", "day", "known_at"),
    }.get(kind.name)  # fmt: skip
    if kind.name == "verdicts":
        assert taken is not None
        assert len(taken.answers) == len(told)
        for one in taken.answers:
            given = importing.storeroom.rows("SELECT 1 FROM approval WHERE decision_id = %s", one.decision_id)
            assert len(given) == 1, one
    if keys is None:
        return
    table = {"history": "recorded_demand", "drivers": "external_driver"}.get(kind.name, kind.name.rstrip("s"))
    assert len({tuple(row[key] for key in keys) for row in told}) == len(told) == len(rows)
    for row in told:
        stored: Any = importing.storeroom.one(
            f"SELECT * FROM {table} WHERE " + " AND ".join(f"{key} = %s" for key in keys),  # noqa: S608
            *[row[key] for key in keys],
        )
        if kind.desk:
            assert {name: stored[name] for name in row if name in stored} == row

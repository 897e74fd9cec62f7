"""A ledger with a whole flow in it, certified by a real notary and anchored: what tampering is tried on."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from connectors.anchors import FileAnchor
from connectors.notary_folder import NotaryFolder
from connectors.postgres.notary import PostgresNotary
from connectors.postgres.packs import reading
from connectors.postgres.pool import Database, connect
from connectors.postgres.stops import PostgresStops
from tests.databases import DatabaseServer
from tests.storeroom import LOCATION, MODEL, MORNING, SUPPLIER, Storeroom, catalog, clock, counted, received, sold
from workers.certifying import Notary
from workers.packing import write_pack
from workflows.domain.approvals import Actor, Meaning, UndoCommand
from workflows.domain.identity import order_id
from workflows.domain.packs import PackMade, PackRequest
from workflows.domain.policies import Policy
from workflows.domain.stops import StopCommand, StopScope

VERIFY = Path(__file__).parents[1] / "deploy" / "verify.py"
ALONE = """
import runpy, sys
sys.path.append(sys.argv.pop(1))
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ITEMS = 5
PAT, DANA = Actor(name="pat"), Actor(name="dana")
POLICY = Policy(
    four_eyes_above=Decimal(100), auto_value_limit=Decimal(10), new_item_asks=False, new_supplier_asks=False
)
ORDER = order_id(SUPPLIER, LOCATION, "2025-03-03", 1)
NEXT_ORDER = order_id(SUPPLIER, LOCATION, "2025-03-04", 1)


def need(number: int, times: int = 1) -> str:
    """The decision about one item."""
    return f"{LOCATION}:ITEM-{number:03}:{times}"


@dataclass
class Verified:
    """What the verifier said."""

    code: int
    report: dict[str, Any]
    said: str

    @property
    def codes(self) -> set[str]:
        """Of all findings."""
        return set(self.report.get("counts", {}))

    def of(self, code: str) -> list[dict[str, Any]]:
        """The findings of one code."""
        return [one for one in self.report["findings"] if one["code"] == code]


@dataclass
class World:
    """A database, a notary, its anchor, and what the supplier has."""

    dsn: str
    at: Path
    keys: Path
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    made: int = 0
    yesterday: str = ""
    """A copy of the database as it was after the first day."""
    libraries: Path = field(init=False)

    def __post_init__(self) -> None:
        self.libraries = only_cryptography(self.at)

    @property
    def anchors(self) -> Path:
        """Kept elsewhere: nobody who has the database gets at it."""
        return self.at / "anchors"

    @property
    def key_file(self) -> Path:
        """The notary's."""
        return self.at / "notary" / "notary.key"

    def notary_key(self) -> str:
        """The verifier key in use, as an auditor wrote it down."""
        signer = NotaryFolder(self.key_file).key()
        assert signer is not None
        return signer.key.text

    def notary(self) -> Notary:
        """The notary, on this world's database."""
        folder, anchor = NotaryFolder(self.key_file), FileAnchor(self.anchors)
        return Notary(lambda: PostgresNotary(self.dsn), folder, anchor, None)

    def certify(self, rounds: int = 1) -> None:
        """So many checkpoints; the last ones say that nothing happened."""
        notary = self.notary()
        for _ in range(rounds):
            notary.round()
        notary.close()

    def pack(self, dsn: str | None = None, request: PackRequest | None = None, settle_s: float = 0) -> PackMade:
        """An evidence pack of this database."""
        self.made += 1
        with reading(dsn or self.dsn, settle_s) as record:
            output = self.at / f"pack-{self.made}.zip"
            return write_pack(
                record, request or PackRequest(), output, made_by="auditor", release="test", announce=lambda _: None
            )  # fmt: skip

    def verify(self, pack: Path | str, *arguments: object, anchored: bool = True) -> Verified:
        """Run the verifier as an auditor would: alone, with `cryptography` and nothing else to import."""
        report = self.at / "report.json"
        report.unlink(missing_ok=True)
        anchor = ["--anchor", str(self.anchors)] if anchored else []
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", ALONE, self.libraries, VERIFY, pack, "--json", report, *anchor,
             *map(str, arguments)],
            capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, cwd=self.at, timeout=300,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        told = json.loads(report.read_text()) if report.exists() else {}
        return Verified(done.returncode, told, done.stdout + done.stderr)

    def erp(self) -> Path:
        """What the supplier's system exports."""
        path = self.at / "erp.jsonl"
        with connect(self.dsn, name="erp") as connection, path.open("w") as file:
            for row in connection.execute(
                """SELECT key, supplier_number, payload FROM purchase_order
                   WHERE supplier_number IS NOT NULL ORDER BY key"""
            ):
                lines = json.loads(bytes(row["payload"]))["lines"]
                told = [{"need": one["need_id"], "item": one["item"], "units": one["units"]} for one in lines]
                file.write(json.dumps({"key": row["key"], "number": row["supplier_number"], "lines": told}) + "\n")
        return path

    async def first_day(self) -> None:
        """Events, proposals, two signatures, answers taken back and refused, an order; then the next morning."""
        async with Database(self.dsn, name="world", personal=self.keys) as database:
            with connect(self.dsn, name="world-intake") as connection:
                storeroom = Storeroom(connection, database)
                await self._first_day(storeroom, database)
                self.offsets = dict(storeroom._offsets)

    async def _first_day(self, storeroom: Storeroom, database: Database) -> None:
        await storeroom.stock(catalog(ITEMS), POLICY)
        storeroom.take(
            *[counted(9, item=f"ITEM-{n:03}") for n in range(1, ITEMS)], counted(500, item=f"ITEM-{ITEMS:03}")
        )
        storeroom.take(clock())
        await storeroom.assess()
        for number in (1, 2, 3):
            await storeroom.answer(need(number), actor=PAT)
            await storeroom.answer(need(number), actor=DANA)
        await storeroom.approvals.withdraw(UndoCommand(command_id="command-undo-1", decision_id=need(3)), DANA)
        await storeroom.answer(need(4), Meaning.REJECT, actor=PAT)
        assert await storeroom.orders.close_rejected(need(4))
        for number in (1, 2):
            assert (await storeroom.orders.release(need(number), storeroom.hash_of(need(number)))).released
        self.certify()
        stops = PostgresStops(database)
        stop = await stops.stop(StopCommand(scope=StopScope.EVERYTHING, subject="", reason="an audit"), PAT)
        assert await storeroom.orders.prepare(ORDER, passive=False) is None
        await stops.lift(stop.stop_id, "it is over", PAT)
        assert await storeroom.place(ORDER) is not None
        self.certify(2)

    async def second_day(self) -> None:
        """Goods come in, stock moves under a waiting task, the proposal is another, and a second order leaves."""
        async with Database(self.dsn, name="world", personal=self.keys) as database:
            with connect(self.dsn, name="world-intake") as connection:
                storeroom = Storeroom(connection, database)
                storeroom.store.put(MODEL)
                storeroom._offsets.update(self.offsets)
                await self._second_day(storeroom)
                self.offsets = dict(storeroom._offsets)

    async def _second_day(self, storeroom: Storeroom) -> None:
        later = MORNING + timedelta(hours=3)
        storeroom.take(received(12, ORDER, at=later), sold(8, item="ITEM-003", at=later))
        storeroom.take(clock(later))
        await storeroom.rescore(need(3))
        await storeroom.answer(need(3), actor=PAT)
        await storeroom.answer(need(3), actor=DANA)
        assert (await storeroom.orders.release(need(3), storeroom.hash_of(need(3)))).released
        self.certify()
        assert await storeroom.place(NEXT_ORDER, "A-2") is not None
        self.certify(2)


@contextmanager
def two_days(server: DatabaseServer, at: Path) -> Iterator[World]:
    """A world after its second day; the database and the notary's folder of the evening before are kept beside it."""
    with server.migrated() as dsn:
        made = World(dsn, at, at / "personal.key")
        asyncio.run(made.first_day())
        with server.copied(dsn) as yesterday:
            made.yesterday = yesterday
            shutil.copytree(at / "notary", at / "notary-yesterday")
            asyncio.run(made.second_day())
            yield made


def only_cryptography(at: Path) -> Path:
    """A folder from which nothing but `cryptography` can be imported."""
    folder = at / "libraries"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("cryptography", "_cffi_backend"):
        found = find_spec(name)
        assert found is not None
        assert found.origin is not None
        source = Path(found.origin)
        source = source.parent if source.name == "__init__.py" else source
        if not (folder / source.name).exists():
            (folder / source.name).symlink_to(source)
    return folder

"""`orders reconcile`, `differences` and `explain` against a supplier's running system: found, told, explained once."""

import json
import pwd
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from connectors.postgres.people import PostgresPeople
from connectors.postgres.pool import Database
from tests.command_line import Said
from tests.fakes.supplier_server import SupplierServer
from tests.integration.test_reconciliation import placed
from tests.storeroom import SUPPLIER, Storeroom
from workers import cli
from workers.commands import connection
from workers.enrolling import INSTALLATION
from workers.settings import Settings
from workflows.domain.feeds import SupplierBehaviour
from workflows.domain.identity import order_id, order_key
from workflows.domain.orders import PurchaseOrder
from workflows.domain.people import Person, Role

Quartermaster = Callable[..., Said]
PEOPLE = (Person(name="oskar", roles=frozenset({Role.OPERATOR})), Person(name="viv", roles=frozenset({Role.VIEWER})))


@pytest.fixture
def supplier(tmp_path: Path) -> Iterator[SupplierServer]:
    server = SupplierServer(tmp_path, [SupplierBehaviour(supplier=SUPPLIER, lead_days=(3,))])
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def order(storeroom: Storeroom, database: Database) -> PurchaseOrder:
    """One order that we hold as placed; the supplier's system was never told of it."""
    for one in PEOPLE:
        await PostgresPeople(database).register(one, INSTALLATION)
    return await placed(storeroom)


@pytest.fixture
def quartermaster(
    dsn: str, order: PurchaseOrder, supplier: SupplierServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Quartermaster:
    """The command line on this database and this supplier, by the operator unless told otherwise."""
    settings = Settings(home=tmp_path, postgres_dsn=dsn, supplier_url=supplier.url)

    @asynccontextmanager
    async def opened(*_: object, **__: object) -> AsyncIterator[Settings]:
        yield settings

    @asynccontextmanager
    async def engine(*_: object, **__: object) -> AsyncIterator[SimpleNamespace]:
        async with Database(dsn, name="test-cli", size=2) as database:
            yield SimpleNamespace(database=database, settings=settings)

    monkeypatch.setattr(connection, "opened", opened)
    monkeypatch.setattr(connection, "engine", engine)

    def called(*arguments: str, by: str = "oskar") -> Said:
        monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name=by))
        done = CliRunner().invoke(cli.app, ["orders", *arguments], env={"COLUMNS": "200"})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Said(done.exit_code, done.stdout, done.stderr)

    return called


def stranger(order: PurchaseOrder) -> dict[str, Any]:
    """An order that somebody placed past us."""
    later = order.ordered_at + timedelta(days=1)
    cycle = later.date().isoformat()
    return order.model_copy(update={
        "order_id": order_id(SUPPLIER, order.location, cycle, 1), "cycle": cycle, "ordered_at": later,
        "key": order_key(SUPPLIER, order.location, cycle, 1),
    }).model_dump(mode="json")  # fmt: skip


def test_differences_are_found_told_explained_and_then_the_report_is_clean(
    quartermaster: Quartermaster, supplier: SupplierServer, order: PurchaseOrder
) -> None:
    assert quartermaster("differences", "--json").json == {"open": 0, "reports": []}, "nobody compared yet"
    past_us = stranger(order)
    headers = {"Idempotency-Key": past_us["key"]}
    booked = httpx.post(f"{supplier.url}/orders", json=past_us, headers=headers, trust_env=False, timeout=20)
    assert booked.is_success, booked.text

    said = quartermaster("reconcile", "--json")

    assert said.code == 1, "differences that nobody explained"
    assert f"Comparing with the list of {SUPPLIER}" in said.err
    (report,) = said.json["reports"]
    assert (report["ours"], report["theirs"], said.json["open"]) == (1, 1, 2)
    found = {one["kind"]: one["difference_id"] for one in report["differences"]}
    assert set(found) == {"missing", "unknown_origin"}

    assert f"{order.total:.2f} EUR" in quartermaster("list").out, "an order in words, with its value"
    told = quartermaster("differences")
    assert told.code == 0
    assert f"{SUPPLIER} missing {order.order_id}: we hold it as placed, and there it is not" in told.out
    assert found["missing"] in told.out

    for kind, why in (("missing", "their books begin later"), ("unknown_origin", "ordered by phone")):
        done = quartermaster("explain", found[kind], "--reason", why)
        assert (done.code, "on the record" in done.err + done.out) == (0, True)
    again = quartermaster("reconcile")
    assert again.code == 0, again.out
    assert "explained by oskar: ordered by phone" in again.out.replace("\n", " ")
    assert quartermaster("differences", "--supplier", SUPPLIER, "--json").json["open"] == 0


def test_an_explanation_counts_once_and_says_something(quartermaster: Quartermaster) -> None:
    listed = quartermaster("reconcile", "--supplier", SUPPLIER, "--json").json["reports"][0]["differences"]
    (missing,) = [one["difference_id"] for one in listed]
    said = json.loads(quartermaster("explain", missing, "--reason", "their books begin later", "--json").out)
    assert said == {"difference_id": missing, "explained": "their books begin later"}
    assert quartermaster("explain", missing, "--reason", "their books begin later").code == 0, "the same word again"

    other = quartermaster("explain", missing, "--reason", "no idea")
    assert (other.code, "oskar explained it already: their books begin later" in other.err) == (1, True)
    assert "3 to 500 characters" in quartermaster("explain", missing, "--reason", "x").err
    assert "no report has a difference" in quartermaster("explain", "0" * 64, "--reason", "why not").err


def test_a_supplier_that_nothing_was_ordered_from_is_named(quartermaster: Quartermaster) -> None:
    said = quartermaster("reconcile", "--supplier", "nobody")
    assert said.code == 1
    assert f"nothing was ordered from nobody lately: {SUPPLIER}" in said.err


def test_a_supplier_that_is_away_is_told_and_the_report_goes_on_later(
    quartermaster: Quartermaster, supplier: SupplierServer
) -> None:
    supplier.kill()
    away = quartermaster("reconcile", "--supplier", SUPPLIER)
    assert away.code == 1
    assert away.err.strip().count("\n") <= 2, "one clear sentence, no trace"
    assert quartermaster("differences", "--json").json["reports"] == []


def test_who_may_only_look_compares_and_explains_nothing(quartermaster: Quartermaster) -> None:
    for command in (("reconcile",), ("explain", "0" * 64, "--reason", "why not")):
        assert "This needs the role" in quartermaster(*command, by="viv").err
    assert quartermaster("differences", "--json", by="viv").code == 0

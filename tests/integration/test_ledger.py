"""The ledger only grows, Postgres and Python compute the same hashes, and whatever is altered is named."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from weakref import WeakSet

import psycopg
import pytest

from connectors.postgres import ledger
from connectors.postgres.pool import Database
from tests.storeroom import Storeroom
from workflows.domain.ledger import Entry, EntryType, NewEntry, Verification, chain_hash


def entry(stream: str = "LEEDS:ITEM:1", note: str = "a", **more: Any) -> NewEntry:
    """An entry with this note."""
    at = datetime(2025, 3, 3, 5, 0, 0, 123_456, tzinfo=UTC)
    fields: dict[str, Any] = {"type": EntryType.DECISION_PROPOSED, "actor": "engine", "occurred_at": at} | more
    return NewEntry(stream=stream, body={"note": note}, **fields)


async def append(database: Database, *entries: NewEntry) -> None:
    """In one transaction."""
    async with database.transaction() as cursor:
        await ledger.append(cursor, entries)


async def test_postgres_and_the_domain_compute_the_same_hash(storeroom: Storeroom) -> None:
    await append(storeroom.database, entry(note="é 🚚 \u2028 "), entry(actor="Zoë Ångström"), entry("other:ü"))
    entries = list(ledger.read_entries(storeroom.connection))
    assert [chain_hash(one) for one in entries] == [one.hash for one in entries]
    assert storeroom.verified() == Verification(entries=3, streams=2, breaks=())


async def test_entries_of_one_call_keep_their_order_per_stream(storeroom: Storeroom) -> None:
    await append(storeroom.database, entry("b", "1"), entry("a", "1"), entry("b", "2"), entry("a", "2"))
    found = [(one.stream, one.seq, one.body) for one in ledger.read_entries(storeroom.connection)]
    assert found == [
        ("a", 1, b'{"note":"1"}'), ("a", 2, b'{"note":"2"}'), ("b", 1, b'{"note":"1"}'), ("b", 2, b'{"note":"2"}'),
    ]  # fmt: skip
    assert [one.seq for one in await ledger.timeline(storeroom.database, "b")] == [1, 2]
    assert [one.stream for one in ledger.read_entries(storeroom.connection, "a")] == ["a", "a"]


async def test_no_chain_is_held_as_a_whole_while_it_is_verified(storeroom: Storeroom) -> None:
    await append(storeroom.database, *[entry(note=str(n)) for n in range(50)], entry("other"))
    alive: WeakSet[Entry] = WeakSet()

    def watched() -> Iterator[Entry]:
        for one in ledger.read_entries(storeroom.connection):
            alive.add(one)
            assert len(alive) < 5
            yield one

    assert ledger.verify(watched()) == Verification(entries=51, streams=2, breaks=())


@pytest.mark.parametrize(
    "statement", ["UPDATE ledger_entry SET actor = 'me'", "DELETE FROM ledger_entry", "TRUNCATE ledger_entry"]
)
async def test_nothing_is_changed_or_removed(storeroom: Storeroom, statement: str) -> None:
    await append(storeroom.database, entry())
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        storeroom.connection.execute(statement.encode())
    assert storeroom.verified().entries == 1


@pytest.mark.parametrize(
    ("damage", "seq", "problem"),
    [
        ("UPDATE ledger_entry SET body = 'x' WHERE seq = 2", 2, "the body was changed"),
        ("DELETE FROM ledger_entry WHERE seq = 2", 3, "entry 2 is missing"),
        ("DELETE FROM ledger_entry WHERE seq IN (2, 3)", 4, "entries 2 to 3 are missing"),
        ("DELETE FROM ledger_entry WHERE seq = 1", 2, "entry 1 is missing"),
        ("UPDATE ledger_entry SET prev_hash = repeat('0', 64) WHERE seq = 3", 3, "it does not follow"),
        ("UPDATE ledger_entry SET actor = 'mallory' WHERE seq = 4", 4, "its hash is not that of its content"),
        ("UPDATE ledger_entry SET recorded_at = '' WHERE seq = 1 AND actor = 'engine'", 1, "its hash is not"),
        ("UPDATE ledger_entry SET hash = 'no digest' WHERE seq = 3", 3, "its hash is not that of its content"),
        ("UPDATE ledger_entry SET type = 'x' WHERE seq = 5", 5, "its hash is not that of its content"),
    ],
)
async def test_whatever_a_superuser_altered_is_named(storeroom: Storeroom, damage: str, seq: int, problem: str) -> None:
    await append(storeroom.database, *[entry(note=str(n)) for n in range(5)], entry("untouched", actor="x"))
    storeroom.connection.execute("ALTER TABLE ledger_entry DISABLE TRIGGER ALL")
    storeroom.connection.execute(damage.encode())
    breaks = storeroom.verified().breaks
    assert any(found.seq == seq and found.problem.startswith(problem) for found in breaks), breaks
    assert {found.stream for found in breaks} == {"LEEDS:ITEM:1"}


async def test_two_entries_that_changed_places_are_named(storeroom: Storeroom) -> None:
    await append(storeroom.database, *[entry(note=str(n)) for n in range(4)])
    storeroom.connection.execute("ALTER TABLE ledger_entry DISABLE TRIGGER ALL")
    storeroom.connection.execute(
        "UPDATE ledger_entry SET seq = CASE seq WHEN 2 THEN -3 ELSE -2 END WHERE seq IN (2, 3)"
    )
    storeroom.connection.execute("UPDATE ledger_entry SET seq = -seq WHERE seq < 0")
    assert {found.seq for found in storeroom.verified().breaks} >= {2, 3}


async def test_concurrent_appends_to_one_stream_keep_the_chain(storeroom: Storeroom) -> None:
    async def one(number: int) -> None:
        streams = ("shared", f"own-{number % 3}") if number % 2 else (f"own-{number % 3}", "shared")
        await append(storeroom.database, *[entry(stream, str(number)) for stream in streams])

    await asyncio.gather(*[one(number) for number in range(40)])
    verified = storeroom.verified()
    assert verified.ok
    assert (verified.entries, verified.streams) == (80, 4)


async def test_a_rolled_back_transaction_leaves_no_gap(storeroom: Storeroom) -> None:
    await append(storeroom.database, entry())

    async def lost() -> None:
        async with storeroom.database.transaction() as cursor:
            await ledger.append(cursor, [entry(note="lost")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await lost()
    await append(storeroom.database, entry(note="kept"))
    assert storeroom.verified() == Verification(entries=2, streams=1, breaks=())


async def test_all_entries_of_a_call_carry_its_transaction_and_its_instant(storeroom: Storeroom) -> None:
    await append(storeroom.database, entry("a"), entry("b"), entry("a"))
    await append(storeroom.database, entry("a"))
    rows = storeroom.connection.execute(
        "SELECT recorded_at, written_by, xmin::text::bigint AS xmin FROM ledger_entry ORDER BY written_by, stream, seq"
    ).fetchall()
    assert len({(row["recorded_at"], row["written_by"]) for row in rows[:3]}) == 1
    assert rows[2]["written_by"] < rows[3]["written_by"]
    assert rows[2]["recorded_at"] < rows[3]["recorded_at"]
    assert [row["written_by"] for row in rows] == [row["xmin"] for row in rows]


async def test_the_database_refuses_a_body_that_is_too_long_and_names_the_entry(storeroom: Storeroom) -> None:
    bodies = [b"{}", b'"' + b"x" * 65_535 + b'"']
    given = [["a", "b"], ["task.opened", "task.closed"], ["x", "x"], ["", ""], bodies]
    with pytest.raises(psycopg.errors.ProgramLimitExceeded, match=r"task.closed of b has 65537 bytes"):
        storeroom.connection.execute(ledger.APPEND_MANY, given)
    bodies[1] = bodies[1][1:]
    storeroom.connection.execute(ledger.APPEND_MANY, given)
    assert storeroom.verified().entries == 2


async def test_a_chain_is_the_same_however_many_entries_come_at_once(storeroom: Storeroom) -> None:
    numbers = iter(range(100))
    for many in (1, 8, 9, 2, 30):
        await append(storeroom.database, *[entry("ü", note=f"é {next(numbers)}", actor="Zoë") for _ in range(many)])
    assert storeroom.verified() == Verification(entries=50, streams=1, breaks=())
    found = list(ledger.read_entries(storeroom.connection, "ü"))
    assert [one.body for one in found] == [f'{{"note":"é {number}"}}'.encode() for number in range(50)]
    assert [one.recorded_at for one in found] == sorted(one.recorded_at for one in found)


async def test_calls_that_wait_for_each_other_at_one_chain_go_on_from_each_other(storeroom: Storeroom) -> None:
    await asyncio.gather(*[append(storeroom.database, entry(note=f"{n}"), entry(note="b")) for n in range(40)])
    assert storeroom.verified() == Verification(entries=80, streams=1, breaks=())


async def test_of_one_chain_too_a_body_that_is_too_long_is_named(storeroom: Storeroom) -> None:
    given = [["a", "a"], ["task.opened", "task.closed"], ["x", "x"], ["", ""], [b"{}", b"x" * 65_537]]
    with pytest.raises(psycopg.errors.ProgramLimitExceeded, match=r"task.closed of a has 65537 bytes"):
        storeroom.connection.execute(ledger.APPEND_MANY, given)
    assert storeroom.verified().entries == 0


async def test_arrays_of_different_lengths_are_refused(storeroom: Storeroom) -> None:
    with pytest.raises(psycopg.Error, match="five arrays of one length"):
        storeroom.connection.execute(ledger.APPEND_MANY, [["a", "b"], ["t", "t"], ["x"], ["", ""], [b"", b""]])
    storeroom.connection.execute(ledger.APPEND_MANY, [[], [], [], [], []])
    assert storeroom.verified().entries == 0


async def test_chains_grow_by_what_came_before_in_the_same_transaction(storeroom: Storeroom) -> None:
    async with storeroom.database.transaction() as cursor:
        await ledger.append(cursor, [entry("a", "1"), entry("b", "1")])
        await ledger.append(cursor, [entry("a", "2"), entry("c", "1"), entry("a", "3")])
    assert storeroom.verified() == Verification(entries=5, streams=3, breaks=())

"""Rights hold for whoever runs a command: what changes something, or reads the ledger, asks who they are first."""

import json
import pwd
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from connectors.postgres.people import PostgresPeople
from connectors.postgres.pool import Database, connect
from connectors.postgres.redrives import Confirmed
from tests.command_line import Said
from tests.storeroom import Storeroom
from workers import cli
from workers.commands import connection
from workers.enrolling import INSTALLATION
from workers.settings import Settings
from workflows.domain.errors import Unavailable
from workflows.domain.people import Person, Role

Quartermaster = Callable[..., Said]
PEOPLE = (
    Person(name="vera", roles=frozenset({Role.VIEWER})),
    Person(name="pia", roles=frozenset({Role.PLANNER}), locations=frozenset({"LEEDS"})),
    Person(name="otto", roles=frozenset({Role.OPERATOR})),
    Person(name="olga", roles=frozenset({Role.OPERATOR})),
    Person(name="audrey", roles=frozenset({Role.AUDITOR})),
)


@pytest.fixture
async def known(dsn: str) -> str:
    async with Database(dsn, name="test-cli", size=1) as database:
        for one in PEOPLE:
            await PostgresPeople(database).register(one, INSTALLATION)
    return dsn


@pytest.fixture
def quartermaster(known: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Quartermaster:
    """The command line on an installation with servers of its own; `by` is the system user that runs it."""
    settings = Settings(home=tmp_path, postgres_dsn=known, clock="replayed", kafka_bootstrap="127.0.0.1:9")

    @asynccontextmanager
    async def opened(*_: object, **__: object) -> AsyncIterator[Settings]:
        yield settings

    @asynccontextmanager
    async def engine(*_: object, **__: object) -> AsyncIterator[SimpleNamespace]:
        async with Database(known, name="test-cli", size=2) as database:
            yield SimpleNamespace(database=database, settings=settings)

    monkeypatch.setattr(connection, "opened", opened)
    monkeypatch.setattr(connection, "engine", engine)

    def called(*arguments: str, by: str) -> Said:
        monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name=by))
        done = CliRunner().invoke(cli.app, [*arguments], env={"COLUMNS": "160"})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Said(done.exit_code, done.stdout, done.stderr)

    return called


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    written = {
        "history": "location,item,day,units\nLEEDS,MILK,2025-03-03,4\n",
        "drivers": "location,name,day,value,known_at\n*,rain,2025-03-03,4,2025-03-01T00:00:00Z\n",
        "definition": "{}",
    }
    for name, text in written.items():
        (tmp_path / name).write_text(text)
    return {name: str(tmp_path / name) for name in written}


COMMANDS = (
    ("dead-letters", "redrive", "1", "--reason", "because"),
    ("dead-letters", "confirm", "1", "--sha256", "0" * 64),
    ("dead-letters", "decline", "1", "--reason", "because"),
    ("dead-letters", "withdraw", "1"),
    ("dead-letters", "redrive-all", "not_json", "--reason", "because"),
    ("dead-letters", "confirm-all", "not_json", "--expect", "1"),
    ("import", "--history", "{history}"),
    ("demand", "drivers", "import", "{drivers}"),
    ("demand", "definition", "--adopt", "{definition}"),
    ("demand", "adjust", "MILK", "LEEDS", "--from", "2025-03-03", "--units", "4", "--reason", "count"),
    ("audit", "verify"),
    ("stop", "--reason", "because"),
    ("policy", "suggest", "--propose"),
    ("feed", "demo"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_who_may_only_look_is_refused_and_that_is_on_record(
    quartermaster: Quartermaster, files: dict[str, str], known: str, command: tuple[str, ...]
) -> None:
    said = quartermaster(*(part.format(**files) for part in command), by="vera")
    assert said.code == 1
    assert "This needs the role" in said.err
    stranger = quartermaster(*(part.format(**files) for part in command), by="mallory")
    assert "Nobody is known here as mallory" in stranger.err
    with connect(known, name="test-cli") as connection:
        rows = connection.execute("SELECT type, actor FROM ledger_entry WHERE actor = 'vera'").fetchall()
    assert [(row["type"], row["actor"]) for row in rows] == [("access.refused", "vera")]


def test_the_demand_of_another_location_is_not_theirs_to_adjust(quartermaster: Quartermaster) -> None:
    said = quartermaster(
        "demand", "adjust", "MILK", "YORK", "--from", "2025-03-03", "--units", "4", "--reason", "count", by="pia"
    )
    assert said.code == 1
    assert "works on tasks of LEEDS, not of YORK" in said.err


def test_who_may_is_let_in_and_reading_the_ledger_is_recorded(quartermaster: Quartermaster, known: str) -> None:
    let_in = quartermaster("dead-letters", "redrive", "1", "--reason", "because", by="otto")
    assert "there is no dead letter 1" in let_in.err, "further than rights go"
    verified = quartermaster("audit", "verify", "--json", by="audrey")
    assert json.loads(verified.out)["ok"]
    with connect(known, name="test-cli") as connection:
        [row] = connection.execute("SELECT type, stream FROM ledger_entry WHERE actor = 'audrey'").fetchall()
    assert (row["type"], row["stream"]) == ("audit.read", "audit:audrey")


def test_many_dead_letters_are_sent_again_by_two_people_and_an_outage_loses_none(
    quartermaster: Quartermaster, storeroom: Storeroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    storeroom.own()
    storeroom.inbox.accept([storeroom.message(body) for body in (b"one", b"two", b"three", b"[]", b"four")])
    everything = ("dead-letters", "confirm-all", "not_json", "--json", "--expect")
    sent: list[bytes] = []
    broker_takes = 2

    def send(_: str, confirmed: Confirmed) -> None:
        if len(sent) >= broker_takes:
            raise Unavailable("the broker did not answer")
        sent.append(confirmed.payload)

    monkeypatch.setattr("workers.operations.send_again", send)
    quartermaster("dead-letters", "redrive", "5", "--reason", "by itself", by="otto")
    asked = quartermaster("dead-letters", "redrive-all", "not_json", "--reason", "ours was wrong", "--json", by="otto")
    again = quartermaster("dead-letters", "redrive-all", "not_json", "--reason", "ours was wrong", "--json", by="olga")
    assert (asked.json["asked"], again.json["asked"]) == (3, 0), "each is asked for once, whoever asks"
    for expected, by, words in (("4", "otto", "0 dead letters"), ("3", "olga", "4 dead letters")):
        refused = quartermaster(*everything, expected, by=by)
        assert (refused.code, refused.out, sent) == (1, "", [])
        assert f"{words} with not_json wait for your word, not {expected}" in refused.err

    interrupted = quartermaster(*everything, "4", by="olga")
    assert (interrupted.code, sent) == (1, [b"one", b"two"])
    assert "2 of 4 were sent" in interrupted.err
    broker_takes = 9
    assert quartermaster(*everything, "2", by="olga").json == {"code": "not_json", "sent": 2}
    assert sent == [b"one", b"two", b"three", b"four"]
    assert "0 dead letters" in quartermaster(*everything, "1", by="olga").err

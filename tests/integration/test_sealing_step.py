"""What earlier releases kept in clear is sealed by migrating: batch by batch, once, and also after being cut off."""

from pathlib import Path
from typing import Any

import pytest

from connectors.postgres.erasing import PostgresErasing
from connectors.postgres.people import PostgresPeople
from connectors.postgres.personal import Words
from connectors.postgres.pool import Database, connect
from connectors.postgres.sealing_step import count_clear, seal_what_is_clear
from connectors.postgres.task_work import PostgresTaskWork
from tests.fakes.people import ADA
from tests.integration.test_erasure import ADAM, DECISION, EMAIL, SUBJECT, WORDS, seen
from tests.storeroom import Storeroom, catalog, clock, counted
from workers.personal_key import personal_key_file
from workers.preparing import prepare_schema
from workers.session import Silence
from workers.settings import Settings
from workflows.domain.approvals import Actor, Meaning
from workflows.domain.erasure import ErasureReason
from workflows.domain.errors import Unavailable
from workflows.domain.people import Identity, Role, newcomer


async def test_what_earlier_releases_kept_in_clear_is_sealed_once(
    storeroom: Storeroom, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9, item="ITEM-001"), clock())
    await storeroom.assess()
    approval = await storeroom.answer(DECISION, Meaning.APPROVE)
    run = storeroom.connection.execute
    run("UPDATE person SET email = %s, subject = %s WHERE name = 'pat'", [EMAIL, SUBJECT])
    run("UPDATE approval SET comment = %s, command_digest = 'of the comment too'", [WORDS])
    for n in range(5):
        run(
            """INSERT INTO task_comment (comment_id, decision_id, author, text, kind)
               VALUES (%s, %s, 'pat', %s, 'comment')""",
            [f"old-{n}", DECISION, f"{WORDS} {n}"],
        )
    people = PostgresPeople(database)
    assert (await people.find("pat") or ADA).email == EMAIL, "before the step, too"
    assert count_clear(storeroom.connection) == 7
    words, calls = database.vault.words, iter(range(9))

    async def cut_off(*said: Any) -> Words:
        if next(calls) == 4:
            raise Unavailable("killed")
        return await words(*said)

    monkeypatch.setattr(database.vault, "words", cut_off)
    with pytest.raises(Unavailable):
        await seal_what_is_clear(database, batch=2)
    assert count_clear(storeroom.connection) == 3, "what was done is done: a person, an answer, a batch of two"
    monkeypatch.setattr(database.vault, "words", words)
    assert [await seal_what_is_clear(database, batch=2) for _ in range(2)] == [3, 0]
    assert (count_clear(storeroom.connection), seen(storeroom.connection)) == (0, [])
    pat = await people.find("pat")
    assert pat is not None
    assert (pat.called, pat.email, pat.subject) == ("pat", EMAIL, SUBJECT)
    assert (await people.arrived(Identity(subject=SUBJECT, name="other"))).name == "pat"
    view = await storeroom.desk.decision(DECISION)
    assert [(one["approval_id"], one["comment"]) for one in view.approvals] == [(approval.approval_id, WORDS)]
    assert [one.text for one in await PostgresTaskWork(database).comments(DECISION)] == [
        f"{WORDS} {n}" for n in range(5)
    ]

    admin = Actor(name=(await people.save(newcomer("Adam Smith", frozenset({Role.ADMIN})), ADAM)).name)
    erased = await PostgresErasing(database).erase("pat", ErasureReason.NOT_NEEDED, admin)
    assert (erased.name_stays, erased.removed.words) == (True, 6)
    assert "keep that name" in erased.words
    assert seen(storeroom.connection) == []
    assert storeroom.verified().ok


def test_migrating_seals_with_the_key_beside_the_console_s(dsn: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, postgres_dsn=dsn)
    with connect(dsn, name="test") as connection:
        connection.execute("INSERT INTO person (name, email, roles) VALUES ('Ada', %s, '{planner}')", [EMAIL])
        for _ in range(2):
            prepare_schema(settings, Silence())
            assert (count_clear(connection), seen(connection)) == (0, [])
    assert personal_key_file(settings) == tmp_path / "personal.key"
    assert (tmp_path / "personal.key").stat().st_mode & 0o777 == 0o600
    elsewhere = Settings(home=tmp_path, console_key_file=tmp_path / "keys" / "console.key")
    assert personal_key_file(elsewhere) == tmp_path / "keys" / "personal.key"

"""A dead letter is sent again by two people: Postgres holds to it, whatever a program believes."""

import asyncio
import json
from hashlib import sha256

import psycopg
import pytest

from connectors.postgres.ledger import read_entries
from connectors.postgres.redrives import PostgresRedrives
from connectors.postgres.roles import DatabaseRole, as_role, let_in
from tests.storeroom import Storeroom
from workers.operations import LiveOperations
from workers.settings import Settings
from workflows.domain.approvals import Actor
from workflows.domain.errors import AlreadyAnswered, Conflict, InvalidInput, NotAllowed, NotFound, Unavailable
from workflows.domain.redrives import RedriveState

PAT, PAT_ELSEWHERE = Actor(name="Pat Smith"), Actor(name=" \uff30\uff21\uff34  smith\u200b")
DANA, ROBIN = Actor(name="dana"), Actor(name="robin")
RAW = b"not json"
OURS = sha256(RAW).hexdigest()


@pytest.fixture
def redrives(storeroom: Storeroom) -> PostgresRedrives:
    storeroom.own()
    storeroom.inbox.accept([storeroom.message(RAW)])
    return PostgresRedrives(storeroom.database)


def told(storeroom: Storeroom) -> list[tuple[str, str]]:
    return [
        (entry.type.removeprefix("dead_letter."), entry.actor)
        for entry in read_entries(storeroom.connection, "dead-letters")
    ]


async def test_one_asks_another_confirms_exactly_that_and_each_word_is_one(
    storeroom: Storeroom, redrives: PostgresRedrives
) -> None:
    mended = b'{"mended": true}'
    asked = await redrives.ask_redrive(1, "mended it", PAT, mended=mended, command_id="asking-1")
    assert await redrives.ask_redrive(1, "mended it", PAT, mended=mended, command_id="asking-1") == asked
    assert await redrives.ask_redrive(1, "mended it", PAT_ELSEWHERE, mended=mended) == asked
    with pytest.raises(InvalidInput, match="another command"):
        await redrives.ask_redrive(1, "mended it", PAT, command_id="asking-1")
    for other in (redrives.ask_redrive(1, "other", PAT), redrives.ask_redrive(1, "mended it", DANA, mended=mended)):
        with pytest.raises(Conflict):
            await other
    for same in (PAT, PAT_ELSEWHERE):
        with pytest.raises(NotAllowed, match="another person must"):
            await redrives.confirm(asked.redrive_id, asked.payload_sha256, same)
    with pytest.raises(Conflict, match="not those"):
        await redrives.confirm(asked.redrive_id, OURS, DANA)

    results = await asyncio.gather(
        *(redrives.confirm(asked.redrive_id, asked.payload_sha256, one) for one in (DANA, ROBIN, DANA)),
        return_exceptions=True,
    )
    won = [one for one in results if not isinstance(one, BaseException)]
    assert {type(one) for one in results if isinstance(one, BaseException)} <= {AlreadyAnswered}
    assert len({one.redrive.decided_by for one in won}) == 1, "one of them wins"
    assert {one.payload for one in won} == {mended}
    winner = Actor(name=won[0].redrive.decided_by or "")
    for _ in range(2):
        await redrives.sent(won[0].redrive, won[0].topic, winner, command_id="confirming-1")

    assert told(storeroom) == [
        ("redrive_asked", PAT.name), ("redrive_confirmed", winner.name), ("redriven", winner.name),
    ]  # fmt: skip
    bodies = [json.loads(entry.body) for entry in read_entries(storeroom.connection, "dead-letters")]
    assert {body["payload_sha256"] for body in bodies} == {asked.payload_sha256}
    row = storeroom.one("SELECT d.redriven_at, r.sent_at FROM dead_letter d JOIN redrive r USING (dead_letter_id)")
    assert row["redriven_at"] == row["sent_at"] is not None


async def test_it_is_declined_by_another_and_taken_back_by_whoever_asked(
    storeroom: Storeroom, redrives: PostgresRedrives
) -> None:
    first = (await redrives.ask_redrive(1, "again", PAT)).redrive_id
    with pytest.raises(NotAllowed):
        await redrives.decline_redrive(first, "no", PAT_ELSEWHERE)
    with pytest.raises(NotAllowed, match="only whoever asked"):
        await redrives.withdraw_redrive(first, DANA)
    declined = [await redrives.decline_redrive(first, "not mended", DANA) for _ in range(2)]
    assert (declined[0], declined[0].state, declined[0].decided_reason) == (
        declined[1], RedriveState.DECLINED, "not mended",
    )  # fmt: skip
    with pytest.raises(AlreadyAnswered, match="declined already, by dana"):
        await redrives.confirm(first, OURS, ROBIN)
    second = (await redrives.ask_redrive(1, "again", PAT)).redrive_id
    for _ in range(2):
        assert (await redrives.withdraw_redrive(second, PAT_ELSEWHERE)).state is RedriveState.WITHDRAWN
    assert [name for name, _ in told(storeroom)] == [
        "redrive_asked", "redrive_declined", "redrive_asked", "redrive_withdrawn",
    ]  # fmt: skip
    assert (await redrives.newest_redrives([1]))[1].redrive_id == second
    for missing in (redrives.ask_redrive(9, "again", PAT), redrives.withdraw_redrive(9, PAT)):
        with pytest.raises(NotFound):
            await missing


async def test_what_was_sent_meanwhile_is_not_confirmed(storeroom: Storeroom, redrives: PostgresRedrives) -> None:
    first = await redrives.ask_redrive(1, "again", PAT)
    late = await redrives.confirm(first.redrive_id, OURS, DANA)
    second = await redrives.ask_redrive(1, "nothing came", PAT)
    assert (await redrives.confirm(first.redrive_id, OURS, DANA)).payload == RAW, "said once more, not on record twice"
    await redrives.sent(late.redrive, late.topic, DANA)
    with pytest.raises(Conflict, match="sent again since"):
        await redrives.confirm(second.redrive_id, OURS, DANA)
    with pytest.raises(psycopg.errors.CheckViolation, match="not what it was"):
        _confirm_by_hand(storeroom, second.redrive_id, "dana")


def _confirm_by_hand(storeroom: Storeroom, redrive_id: int, by: str) -> None:
    storeroom.connection.execute(
        """UPDATE redrive SET state = 'confirmed', decided_by = %s, decided_at = clock_timestamp()
           WHERE redrive_id = %s""",
        [by, redrive_id],
    )


async def test_the_database_lets_nobody_past_two_people(storeroom: Storeroom, redrives: PostgresRedrives) -> None:
    asked = (await redrives.ask_redrive(1, "again", PAT)).redrive_id
    run = storeroom.connection.execute
    for spelling in (PAT.name, "PAT SMITH ", PAT_ELSEWHERE.name):
        with pytest.raises(psycopg.errors.CheckViolation, match="redrive_four_eyes"):
            _confirm_by_hand(storeroom, asked, spelling)
    for forged in (
        "UPDATE dead_letter SET redriven_at = clock_timestamp()",
        "UPDATE dead_letter SET payload = 'other'",
        "UPDATE redrive SET payload = 'other', payload_sha256 = encode(sha256('other'), 'hex')",
        "UPDATE redrive SET asked_by = 'dana'",
        "DELETE FROM redrive", "TRUNCATE redrive",
        "UPDATE redrive SET state = 'withdrawn', decided_by = 'dana', decided_at = clock_timestamp()",
        "UPDATE redrive SET sent_at = clock_timestamp()",
        """INSERT INTO redrive (dead_letter_id, asked_by, reason, payload_sha256, state, decided_by, decided_at)
           VALUES (1, 'a', 'why', repeat('0', 64), 'confirmed', 'b', clock_timestamp())""",
        "INSERT INTO redrive (dead_letter_id, asked_by, reason, payload_sha256) VALUES (1, 'a', 'why', 'other')",
        """INSERT INTO redrive (dead_letter_id, asked_by, reason, payload, payload_sha256)
           VALUES (1, 'a', 'why', 'c', 'other')""",
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.CheckViolation):
            run(forged.encode())
    _confirm_by_hand(storeroom, asked, "dana")
    with pytest.raises(psycopg.errors.CheckViolation, match="decided once"):
        run("UPDATE redrive SET state = 'asked', decided_by = NULL, decided_at = NULL")
    with pytest.raises(psycopg.errors.CheckViolation, match="second person"):
        run("UPDATE dead_letter SET redriven_at = clock_timestamp()")


async def test_the_console_may_and_its_word_stands_when_the_broker_is_away(
    storeroom: Storeroom, redrives: PostgresRedrives, dsn: str, tmp_path: object
) -> None:
    asked = await redrives.ask_redrive(1, "again", PAT)
    settings = Settings.model_validate({"home": tmp_path})
    with pytest.raises(InvalidInput, match="QM_KAFKA_BOOTSTRAP"):
        await LiveOperations(storeroom.database, settings).confirm_redrive(asked.redrive_id, OURS, DANA)
    assert (await redrives.newest_redrives([1]))[1].state is RedriveState.ASKED, "no word without a broker to name"
    let_in(dsn)
    with psycopg.connect(as_role(dsn, DatabaseRole.CONSOLE), autocommit=True) as console:
        with pytest.raises(psycopg.errors.CheckViolation, match="redrive_four_eyes"):
            console.execute(
                "UPDATE redrive SET state = 'confirmed', decided_by = 'pat smith', decided_at = clock_timestamp()"
            )
        for statement in ("UPDATE redrive SET asked_by = 'x'", "DELETE FROM redrive"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                console.execute(statement)
    operations = LiveOperations(storeroom.database, settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:9"}))
    with pytest.raises(Unavailable):
        await operations.confirm_redrive(asked.redrive_id, OURS, DANA, command_id="confirming-1")
    page = await operations.dead_letters()
    (letter,) = page.dead_letters
    assert letter.redriven_at is None
    assert letter.redrive is not None
    assert (letter.redrive.state, letter.redrive.decided_by, letter.redrive.sent_at) == ("confirmed", "dana", None)
    assert [name for name, _ in told(storeroom)] == ["redrive_asked", "redrive_confirmed"]

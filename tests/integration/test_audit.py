"""What auditors ask of the ledger in Postgres: found once each, verified, and every reading recorded."""

import json

import psycopg
import pytest

from connectors.postgres import ledger
from connectors.postgres.audit import NOT_KEPT, PostgresAudit
from tests.storeroom import Storeroom, catalog, clock, counted
from workflows.domain.approvals import Actor, Meaning
from workflows.domain.audit import Question
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.ledger import EntryType

AUDREY = Actor(name="Audrey")


async def told(storeroom: Storeroom, dsn: str) -> PostgresAudit:
    """Three tasks: one approved, one rejected, one answered twice (the second attempt is refused)."""
    await storeroom.stock(catalog(3))
    storeroom.scoring.of_item = {f"ITEM-{n:03}": {"daily": 10 + n} for n in range(1, 4)}
    storeroom.take(*[counted(9, item=f"ITEM-{n:03}") for n in range(1, 4)], clock())
    await storeroom.assess()
    await storeroom.answer("LEEDS:ITEM-001:1")
    await storeroom.answer("LEEDS:ITEM-002:1", Meaning.REJECT)
    return PostgresAudit(storeroom.database, dsn)


async def every(audit: PostgresAudit, question: Question, limit: int) -> list[tuple[str, int]]:
    """All pages of an answer; entries that reading itself adds come first and are not on later pages."""
    seen, after = [], None
    while True:
        page = await audit.search(question, AUDREY, limit=limit, after=after)
        seen += [(line.stream, line.seq) for line in page.lines]
        after = page.after
        if after is None:
            return seen


async def test_pages_hold_every_entry_once_newest_first(storeroom: Storeroom, dsn: str) -> None:
    audit = await told(storeroom, dsn)
    stored = [(one.stream, one.seq) for one in ledger.read_entries(storeroom.connection)]

    shown = await every(audit, Question(), 2)

    assert len(shown) == len(set(shown))
    assert set(stored) == set(shown)


async def test_an_item_s_story_is_its_decision_and_its_order(storeroom: Storeroom, dsn: str) -> None:
    audit = await told(storeroom, dsn)

    found = await audit.search(Question(item="ITEM-001"), AUDREY)
    streams = {line.stream for line in found.lines}

    assert streams == {"LEEDS:ITEM-001:1"}
    assert EntryType.VERDICT_RECORDED in {line.type for line in found.lines}
    assert not (await audit.search(Question(item="ITEM-001", location="YORK"), AUDREY)).lines


async def test_people_kinds_models_and_days_narrow_the_answer(storeroom: Storeroom, dsn: str) -> None:
    audit = await told(storeroom, dsn)
    who = storeroom.connection.execute("SELECT actor FROM approval LIMIT 1").fetchone()
    model = storeroom.connection.execute("SELECT model_digest FROM decision LIMIT 1").fetchone()
    assert who is not None
    assert model is not None

    by_person = await audit.search(Question(person=who["actor"], types=(EntryType.VERDICT_RECORDED,)), AUDREY)
    by_model = await audit.search(Question(model=model["model_digest"][:12]), AUDREY)
    long_ago = await audit.search(Question.model_validate({"last_day": "2001-01-01"}), AUDREY)

    assert {line.stream for line in by_person.lines} == {"LEEDS:ITEM-001:1", "LEEDS:ITEM-002:1"}
    assert {"LEEDS:ITEM-001:1", "LEEDS:ITEM-002:1", "LEEDS:ITEM-003:1"} <= {line.stream for line in by_model.lines}
    assert not long_ago.lines


async def test_reading_and_exporting_are_recorded_with_what_was_asked(storeroom: Storeroom, dsn: str) -> None:
    audit = await told(storeroom, dsn)
    await audit.search(Question(item="ITEM-001"), AUDREY)
    lines, capped = await audit.export(Question(subject="LEEDS:ITEM-001:1"), AUDREY)
    await audit.chain("LEEDS:ITEM-001:1", AUDREY)
    found = await audit.verify(AUDREY)

    own = [one for one in ledger.read_entries(storeroom.connection, "audit:Audrey")]
    bodies = [json.loads(one.body) for one in own]
    assert found.ok
    assert [(line.stream, line.seq) for line in lines] == [("LEEDS:ITEM-001:1", n + 1) for n in range(len(lines))]
    assert not capped
    assert [one.type for one in own] == ["audit.read", "export.made", "audit.read", "audit.read"]
    assert [body["what"] for body in bodies] == ["search", "ledger", "chain", "verify"]
    assert bodies[0]["question"] == {"item": "ITEM-001"}
    assert storeroom.verified().ok


async def test_what_was_typed_and_found_nothing_is_not_kept_for_good(storeroom: Storeroom, dsn: str) -> None:
    audit = await told(storeroom, dsn)
    await audit.search(Question(subject="person:Nora Quist", item="Nora Quist"), AUDREY)
    await audit.export(Question(subject="Nora Quist"), AUDREY)

    own = [one.body for one in ledger.read_entries(storeroom.connection, "audit:Audrey")]
    assert len(own) == 2
    assert not any(b"Nora" in body for body in own)
    assert json.loads(own[0])["question"] == {"subject": NOT_KEPT, "item": NOT_KEPT}


async def test_a_changed_entry_is_named(storeroom: Storeroom, dsn: str) -> None:
    audit = await told(storeroom, dsn)
    with psycopg.connect(dsn, autocommit=True) as superuser:
        superuser.execute("ALTER TABLE ledger_entry DISABLE TRIGGER USER")
        superuser.execute("UPDATE ledger_entry SET actor = 'mallory' WHERE stream = 'LEEDS:ITEM-002:1' AND seq = 1")

    chain = await audit.chain("LEEDS:ITEM-002:1", AUDREY)

    assert [one.seq for one in chain.breaks] == [1]
    assert not (await audit.verify(AUDREY)).ok


async def test_what_cannot_be_asked_is_refused(storeroom: Storeroom, dsn: str) -> None:
    audit = PostgresAudit(storeroom.database, dsn)
    for after in ("nonsense", "2025|x|y", "a|1|", "2025|1|\x00"):
        with pytest.raises(InvalidInput):
            await audit.search(Question(), AUDREY, after=after)
    with pytest.raises(NotFound):
        await audit.chain("nothing", AUDREY)

"""Erasing somebody: nothing of theirs is anywhere in clear, then nothing decrypts, and the ledger always verifies."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors.postgres.audit import PostgresAudit
from connectors.postgres.erasing import PostgresErasing
from connectors.postgres.notices import PostgresNotices
from connectors.postgres.people import PostgresPeople
from connectors.postgres.personal import ERASED_WORDS, PersonalKeyLost
from connectors.postgres.pool import Connection, Database
from connectors.postgres.roles import DatabaseRole, as_role, let_in
from connectors.postgres.sessions import PostgresSessions
from connectors.postgres.task_work import PostgresTaskWork
from connectors.postgres.tokens import PostgresTokens
from connectors.sealing import make_key
from tests.storeroom import Storeroom, catalog, clock, counted
from workflows.domain.approvals import Actor, Approval, Meaning, VerdictCommand
from workflows.domain.audit import Question
from workflows.domain.erasure import Erased, ErasureReason
from workflows.domain.errors import InvalidInput, NotFound, Unavailable
from workflows.domain.identity import Payload
from workflows.domain.inbox import SavedView, View
from workflows.domain.names import is_reference
from workflows.domain.notices import Channel, Family, Notice
from workflows.domain.people import Identity, MayNot, Person, Role, newcomer
from workflows.domain.sessions import Lasts

DECISION = "LEEDS:ITEM-001:1"
HERE = Actor(name="uid 0", channel="cli")
SUBJECT = "https://login.example#zq-subject-qz"
NAME, EMAIL, WORDS = "Xanthippe Canary", "xanthippe@canary.example", "the canary knows Xanthippes sister"
CANARIES = ("anthippe", "canary", "zq-subject-qz")
"""What every table is searched for, in any case."""
LASTS = Lasts(idle=timedelta(hours=1), longest=timedelta(hours=8))
ADAM = Actor(name="Adam")
"""The admin among the made-up people."""
NOW = datetime(2025, 3, 3, 8, tzinfo=UTC)


class Flow(Payload):
    """What one person did, and who may erase them."""

    person: Person
    admin: Actor
    session: str
    token: str
    approval: Approval


def dump(connection: Connection) -> dict[str, str]:
    """Every table of the database as text, byte strings as the text in them where they are text."""
    names = connection.execute("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'").fetchall()
    found = {}
    for row in names:
        rows = connection.execute(psycopg.sql.SQL("SELECT * FROM {}").format(psycopg.sql.Identifier(row["name"])))
        found[row["name"]] = "\n".join(_text(value) for one in rows.fetchall() for value in one.values()).lower()
    return found


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def seen(connection: Connection) -> list[tuple[str, str]]:
    return [(table, one) for table, text in dump(connection).items() for one in CANARIES if one in text]


@pytest.fixture
async def flow(storeroom: Storeroom, database: Database) -> Flow:
    """Somebody signs in at the provider and does all that leaves words or an address."""
    people = PostgresPeople(database)
    admin = Actor(name=(await people.save(newcomer("Adam Smith", frozenset({Role.ADMIN})), HERE)).name)
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9, item="ITEM-001"), clock())
    await storeroom.assess()
    roles = frozenset({Role.PLANNER, Role.APPROVER})
    person = await people.arrived(Identity(subject=SUBJECT, name=NAME, email=EMAIL, roles=roles))
    me = Actor(name=person.name)
    session = await PostgresSessions(database).open(person.name, LASTS, me)
    _, token = await PostgresTokens(database).make(person.name, "canary laptop", 7, me)
    work = PostgresTaskWork(database)
    await work.comment(DECISION, WORDS, me, command_id="comment-1")
    await work.comment(DECISION, WORDS + "?", Actor(name="pat"), command_id="comment-2", to=NAME.upper())
    await work.forward(DECISION, "pat", WORDS, me, command_id="forward-1")
    await work.save_view(SavedView(view_id="v1", name="of Xanthippe", owner=person.name, view=View.TEAM), me)
    notices = PostgresNotices(database)
    told = Notice(family=Family.DIGEST, person=person.name, title="1 task waits", lines=(), url="https://x.example/")
    await notices.offer(told, ["a"], "k", {Channel.MAIL: EMAIL}, NOW)
    await people.refused(me, "POST /stops", f"This needs the role operator; {person.name} has none.")
    approval = await storeroom.answer(DECISION, Meaning.APPROVE, actor=me, comment=WORDS)
    return Flow(person=person, admin=admin, session=session, token=token, approval=approval)


async def test_a_name_an_address_and_words_are_nowhere_in_clear(
    flow: Flow, storeroom: Storeroom, database: Database, dsn: str
) -> None:
    clear = seen(storeroom.connection)
    assert {table for table, _ in clear} == {"saved_view", "api_token"}, "what one calls a view or a token"
    assert is_reference(flow.person.name)
    audit = PostgresAudit(database, dsn)
    asked = await audit.search(Question(person=NAME, subject=f"person:{NAME}"), flow.admin)
    assert {line.stream for line in asked.lines} == {f"person:{flow.person.name}"}
    assert {table for table, _ in seen(storeroom.connection)} == {"saved_view", "api_token"}, (
        "nor what was searched for"
    )
    people = PostgresPeople(database)
    found = await people.named("xanthippe  CANARY")
    assert found is not None
    assert (found.called, found.email, found.subject) == (NAME, EMAIL, SUBJECT)
    assert (await people.names())[flow.person.name] == NAME
    view = await storeroom.desk.decision(DECISION)
    assert view.approvals[-1]["comment"] == WORDS
    said = await PostgresTaskWork(database).comments(DECISION)
    assert [(one.author, one.text, one.to) for one in said] == [
        (flow.person.name, WORDS, None), ("pat", WORDS + "?", flow.person.name), (flow.person.name, WORDS, "pat"),
    ]  # fmt: skip
    [outgoing] = await PostgresNotices(database).take(NOW)
    assert outgoing.address == EMAIL, "looked up when it is sent"
    same = VerdictCommand(
        command_id=flow.approval.approval_id, decision_id=DECISION, meaning=Meaning.APPROVE,
        proposal_hash=storeroom.hash_of(DECISION), comment=WORDS,
    )  # fmt: skip
    me = Actor(name=flow.person.name)
    assert await storeroom.approvals.record(same, me) == flow.approval
    with pytest.raises(InvalidInput, match="another command"):
        await storeroom.approvals.record(same.model_copy(update={"comment": "other words"}), me)


async def erased_of(flow: Flow, database: Database, by: Actor | None = None) -> Erased:
    return await PostgresErasing(database).erase(NAME, ErasureReason.REQUEST, by or flow.admin)


async def test_after_erasure_nothing_is_left_and_the_chain_verifies(
    flow: Flow, storeroom: Storeroom, database: Database, dsn: str
) -> None:
    who = flow.person.name
    before = storeroom.verified()
    kept = storeroom.rows("SELECT stream, seq, hash FROM ledger_entry ORDER BY stream, seq")
    erased = await erased_of(flow, database)

    assert not erased.already
    assert erased.removed.model_dump() == {
        "names": 1, "words": 3, "sessions": 1, "tokens": 1, "views": 1, "notices": 1, "substitutes": 0,
    }  # fmt: skip
    assert not erased.name_stays
    assert seen(storeroom.connection) == [], "also what was in clear for them alone: a view, a token's label"
    after = storeroom.verified()
    assert (before.ok, after.ok, after.entries) == (True, True, before.entries + 1)
    now = storeroom.rows("SELECT stream, seq, hash FROM ledger_entry ORDER BY stream, seq")
    assert [one for one in now if one in kept] == kept, "no entry of before is another one"
    last = storeroom.one("SELECT * FROM ledger_entry WHERE type = 'person.erased'")
    body = json.loads(last["body"])
    assert (last["stream"], last["actor"], body["reason"]) == (f"person:{who}", flow.admin.name, "request")
    assert body["legal_basis"].startswith("GDPR Art. 17(1)(b)")
    assert body["removed"]["words"] == 3

    people = PostgresPeople(database)
    assert await people.named(NAME) is None
    assert (await people.names())[who] == f"erased person {who}"
    assert who not in [one.name for one in await people.everyone()]
    assert (await people.find(who) or flow.person).permissions == frozenset()
    assert await PostgresSessions(database).person(flow.session) is None
    assert await PostgresTokens(database).person(flow.token) is None
    view = await storeroom.desk.decision(DECISION)
    assert [(one["actor"], one["comment"]) for one in view.approvals] == [(who, ERASED_WORDS)]
    said = await PostgresTaskWork(database).comments(DECISION)
    assert [one.text for one in said] == [ERASED_WORDS, WORDS + "?", ERASED_WORDS], "somebody else's words are theirs"
    audit = PostgresAudit(database, dsn)
    found = await audit.search(Question(person=who), flow.admin)
    assert {line.actor for line in found.lines} == {who}, "the record is found by the reference"
    with pytest.raises(InvalidInput, match="Nobody of that name"):
        await audit.search(Question(person=NAME), flow.admin)

    again = await PostgresErasing(database).erase(who, ErasureReason.REQUEST, flow.admin)
    assert again.already
    assert storeroom.one("SELECT count(*) AS n FROM ledger_entry WHERE type = 'person.erased'") == {"n": 1}
    with pytest.raises(InvalidInput, match="erased"):
        await people.save(flow.person, flow.admin)
    with pytest.raises(InvalidInput, match="erased"):
        async with database.transaction() as cursor:
            await database.vault.words(cursor, who, "late", "words")
    back = await people.arrived(Identity(subject=SUBJECT, name=NAME, roles=frozenset({Role.VIEWER})))
    assert (back.called, back.name != who) == (NAME, True), "whoever comes back is somebody new"


async def test_only_an_admin_erases_and_nobody_themselves(flow: Flow, storeroom: Storeroom, database: Database) -> None:
    erasing, me = PostgresErasing(database), Actor(name=flow.person.name)
    for named, by, error, words in (
        (NAME, me, MayNot, "role admin"), ("Adam Smith", flow.admin, MayNot, "themselves"),
        ("nobody", flow.admin, NotFound, "nobody"), (NAME, HERE, MayNot, "quartermaster people add"),
    ):  # fmt: skip
        with pytest.raises(error, match=words):
            await erasing.erase(named, ErasureReason.NOT_NEEDED, by)
    for name in (flow.person.name, "pat"):  # whoever calls the function itself is asked too
        with pytest.raises(psycopg.errors.RaiseException, match="admin"):
            storeroom.connection.execute("SELECT erase_person(%s, %s, 'now', '{}')", [flow.person.name, name])
    assert (await PostgresPeople(database).named(NAME)) == flow.person
    assert storeroom.one("SELECT count(*) AS n FROM ledger_entry WHERE type = 'person.erased'") == {"n": 0}


async def test_the_console_s_role_shows_seals_and_erases(flow: Flow, dsn: str, key_file: Path) -> None:
    let_in(dsn)
    async with Database(as_role(dsn, "qm_console"), name="test", size=2, personal=key_file) as database:
        people = PostgresPeople(database)
        nora = await people.save(newcomer("Nora Quist", frozenset({Role.PLANNER})), flow.admin)
        assert (await people.named("nora quist")) == nora
        assert (await erased_of(flow, database)).removed.words == 3
        with pytest.raises(Unavailable, match="role of this process"):
            async with database.transaction() as cursor:
                await cursor.execute("DELETE FROM person_sealed")
    async with Database(as_role(dsn, "qm_intake"), name="test", size=1, personal=key_file) as database:
        assert "Nora Quist" in [one.called for one in await PostgresPeople(database).everyone()], "for notices"


async def test_an_erasure_that_is_cut_off_did_not_happen(flow: Flow, storeroom: Storeroom, database: Database) -> None:
    before = dump(storeroom.connection)
    # The ledger's entry is the last step: there the server is made to fail.
    storeroom.connection.execute(
        """CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"""
    )
    storeroom.connection.execute(
        """CREATE TRIGGER cut BEFORE INSERT ON ledger_entry FOR EACH ROW WHEN (NEW.type = 'person.erased')
           EXECUTE FUNCTION cut()"""
    )
    with pytest.raises(Unavailable):
        await erased_of(flow, database)
    assert dump(storeroom.connection) == before
    storeroom.connection.execute("DROP TRIGGER cut ON ledger_entry")
    assert not (await erased_of(flow, database)).already


async def test_words_that_come_with_an_erasure_are_before_it_or_refused(flow: Flow, database: Database) -> None:
    async def write(n: int) -> bool:
        try:
            async with database.transaction() as cursor:
                await database.vault.words(cursor, flow.person.name, f"late:{n}", WORDS)
        except InvalidInput:
            return False
        return True

    first = [asyncio.create_task(write(n)) for n in range(6)]
    erased = await erased_of(flow, database)
    later = await asyncio.gather(*first, *[write(n) for n in range(6, 9)])
    assert erased.removed.words == 3 + sum(later[:6])
    assert not any(later[6:])
    async with database.transaction() as cursor:
        assert await database.vault.read(cursor, [f"late:{n}" for n in range(9)]) == {}


@pytest.mark.parametrize("role", [role for role in DatabaseRole])
async def test_no_role_of_a_process_gives_everybodys_data_up(
    flow: Flow, dsn: str, tmp_path: Path, role: DatabaseRole
) -> None:
    let_in(dsn)
    async with Database(as_role(dsn, role), name="test", size=1, personal=tmp_path / "lost.key") as database:
        with pytest.raises(Unavailable, match="permission denied"):
            await PostgresErasing(database).give_up_key(HERE)


async def test_a_lost_key_is_told_of_and_given_up_only_when_it_is_gone(
    flow: Flow, storeroom: Storeroom, dsn: str, key_file: Path, tmp_path: Path
) -> None:
    async with Database(dsn, name="test", size=1, personal=key_file) as database:
        with pytest.raises(InvalidInput, match="the key is there"):
            await PostgresErasing(database).give_up_key(HERE)
    other = tmp_path / "other.key"
    make_key(other)
    nowhere = tmp_path / "lost.key"
    for path, words in ((nowhere, "is not there"), (other, "is another key")):
        async with Database(dsn, name="test", size=1, personal=path) as database:
            with pytest.raises(PersonalKeyLost, match=words) as told:
                await PostgresPeople(database).named(NAME)
            assert "backup" in str(told.value)
            assert "still verify" in str(told.value)
            assert "give-up-key" in str(told.value)
            assert not nowhere.exists(), "no new key is made over what another one sealed"
    async with Database(dsn, name="test", size=1, personal=nowhere) as database:
        assert await PostgresErasing(database).give_up_key(HERE) == 3, "two people, and pat's words"
        people = PostgresPeople(database)
        assert await people.named(NAME) is None
        assert (await people.find(flow.admin.name) or flow.person).disabled_at is not None
        admin = await people.save(newcomer("Eve Again", frozenset({Role.ADMIN})), ADAM)
        assert await people.named("eve again") == admin
    assert storeroom.verified().ok
    body = json.loads(storeroom.one("SELECT body FROM ledger_entry WHERE stream = 'people'")["body"])
    assert body["removed"] == {"people": 3, "names": 2, "words": 4}

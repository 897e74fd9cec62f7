"""Somebody is erased for good, and the offline verifier has nothing to say about it: not before, and not after."""

import zipfile
from datetime import date
from pathlib import Path

from connectors.postgres.erasing import PostgresErasing
from connectors.postgres.live_check import check
from connectors.postgres.people import PostgresPeople
from connectors.postgres.pool import Database
from connectors.postgres.task_work import PostgresTaskWork
from tests.integration.test_erasure import CANARIES, EMAIL, HERE, NAME, SUBJECT, WORDS
from tests.ledger_world import ORDER, World, need
from tests.storeroom import Storeroom, catalog, clock, counted
from tests.tampering import tampering
from workflows.domain.approvals import Actor
from workflows.domain.erasure import ErasureReason
from workflows.domain.packs import PackRequest
from workflows.domain.people import Identity, Role, newcomer


async def test_a_pack_after_an_erasure_is_clean_and_says_nothing_of_the_person(
    storeroom: Storeroom, database: Database, dsn: str, tmp_path: Path
) -> None:
    world, decision = World(dsn, tmp_path, tmp_path / "unused.key"), need(1)
    people = PostgresPeople(database)
    admin = Actor(name=(await people.save(newcomer("Adam Smith", frozenset({Role.ADMIN})), HERE)).name)
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9, item="ITEM-001"), clock())
    await storeroom.assess()
    roles = frozenset({Role.PLANNER, Role.APPROVER})
    person = await people.arrived(Identity(subject=SUBJECT, name=NAME, email=EMAIL, roles=roles))
    me = Actor(name=person.name)
    await PostgresTaskWork(database).comment(decision, WORDS, me, command_id="comment-1")
    await storeroom.answer(decision, actor=me, comment=WORDS)
    assert (await storeroom.orders.release(decision, storeroom.hash_of(decision))).released
    assert await storeroom.place(ORDER) is not None
    world.certify()
    before = world.verify(world.pack().path, "--erp", world.erp())
    assert (before.code, before.report["findings"]) == (0, []), before.said

    erased = await PostgresErasing(database).erase(NAME, ErasureReason.REQUEST, admin)
    assert not erased.already
    for certified in (False, True):
        if certified:
            world.certify(2)
        requests = (
            PackRequest(), PackRequest(decision=decision),
            PackRequest(since=date(2020, 1, 1), until=date(2100, 1, 1)),
        )  # fmt: skip
        for request in requests:
            pack = world.pack(request=request).path
            found = world.verify(pack, "--erp", world.erp())
            assert (found.code, found.report["findings"]) == (0, []), found.said
            assert found.report["checked"]["order_lines_sent"] == 1
            with zipfile.ZipFile(pack) as archive:
                inside = b"".join(archive.read(name) for name in archive.namelist()).decode(errors="replace").lower()
            assert [one for one in CANARIES if one in inside] == []
        assert check(dsn, world.anchors).breaks == ()
    # Whoever calls taking an answer away an erasure is found out.
    with tampering(dsn) as he:
        he.rewrite(decision, [row for row in he.chain(decision) if row["actor"] != person.name])
    taken = world.verify(world.pack().path)
    assert {"dropped_middle", "line_unauthorised"} <= taken.codes, taken.said

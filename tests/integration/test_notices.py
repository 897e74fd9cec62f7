"""The outbox of notices in PostgreSQL: one digest a key, one sender at a time, and nothing lost when a sender dies."""

import asyncio
from datetime import UTC, datetime, timedelta

from connectors.postgres.notices import PostgresNotices
from connectors.postgres.pool import Database
from workflows.domain.notices import Channel, Family, Notice, NoticeMode

NOW = datetime(2025, 3, 3, 8, tzinfo=UTC)
BOTH = {Channel.MAIL: "ada@shop.example", Channel.WEBHOOK: "https://chat.example/"}


def notice(person: str = "Ada", family: Family = Family.DIGEST) -> Notice:
    return Notice(family=family, person=person, title="2 tasks wait for you", lines=(), url="https://stock.example/")


async def test_news_is_told_once_and_again_only_when_it_comes_back(database: Database) -> None:
    notices = PostgresNotices(database)
    assert await notices.offer(notice(), ["a", "b"], "hour-1", BOTH, NOW)
    assert not await notices.offer(notice(), ["a", "b"], "hour-2", BOTH, NOW)
    assert not await notices.offer(notice(), ["a", "b", "c"], "hour-1", BOTH, NOW), "the hour's digest is out"
    assert await notices.offer(notice(), ["a", "b", "c"], "hour-2", BOTH, NOW), "and c was not forgotten"
    assert not await notices.offer(notice(), ["a"], "hour-3", BOTH, NOW)
    assert await notices.offer(notice(), ["a", "b"], "hour-3", BOTH, NOW), "b came back"
    assert await notices.offer(notice("Bob"), ["a"], "hour-1-of-bob", BOTH, NOW)
    assert await notices.offer(notice(family=Family.ALERT), ["a"], "minute-1", BOTH, NOW)
    assert len(await notices.take(NOW, limit=50)) == 10


async def test_two_processes_that_find_the_same_news_store_it_once(database: Database) -> None:
    notices = PostgresNotices(database)
    offers = [notices.offer(notice(), ["a"], f"minute-{n}", BOTH, NOW) for n in range(6)]
    assert sorted(await asyncio.gather(*offers)) == [False] * 5 + [True]


async def test_a_notice_is_one_senders_until_its_lease_ends(database: Database) -> None:
    notices = PostgresNotices(database)
    await notices.offer(notice(), ["a"], "k", BOTH, NOW)
    taken = await asyncio.gather(*(notices.take(NOW, limit=1) for _ in range(4)))
    ids = [one.notice_id for batch in taken for one in batch]
    assert len(ids) == len(set(ids)) == 2
    later = NOW + timedelta(minutes=3)
    again = await notices.take(later)
    assert {one.notice_id for one in again} == set(ids), "who took them died: the same ids are tried again"
    assert {one.attempts for one in again} == {2}
    await notices.sent(ids[0], later)
    await notices.failed(ids[1], "away \x00", later + timedelta(minutes=5))
    assert await notices.take(later + timedelta(minutes=4)) == []
    assert [one.notice_id for one in await notices.take(later + timedelta(minutes=6))] == [ids[1]]
    await notices.failed(ids[1], "no such mailbox", None)
    assert await notices.take(later + timedelta(days=1)) == []
    assert await notices.prune(NOW + timedelta(days=1)) == 2


async def test_a_choice_is_remembered(database: Database) -> None:
    notices = PostgresNotices(database)
    assert await notices.mode("Ada") is NoticeMode.DIGEST
    for mode in (NoticeMode.NONE, NoticeMode.AT_ONCE):
        await notices.choose("Ada", mode)
        assert await notices.mode("Ada") is mode

"""People are told once for all that is new, with the numbers, until it was taken; and no link decides anything."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.fakes.engine import until
from tests.fakes.inbox import MemoryInbox
from tests.fakes.live import MemoryLive
from tests.fakes.notices import MemoryNotices, MemorySending
from tests.fakes.people import ADA, OTTO, PIA, VERA, MemoryPeople
from tests.fakes.shop import stocked_shop
from workers import notifying
from workers.notifying import Notifying
from workflows.domain.errors import InvalidInput, Unavailable
from workflows.domain.inbox import FailedOrder, InboxRow
from workflows.domain.notices import Channel, Family, NoticeMode, at_stake
from workflows.domain.orders import OrderState
from workflows.domain.people import Person

START = datetime(2025, 3, 3, 8, 0, tzinfo=UTC)


class Office:
    """The loop over fakes, with a clock that a test moves."""

    def __init__(self, *people: Person, webhook: str | None = None) -> None:
        self.shop = stocked_shop()
        self.notices = MemoryNotices()
        self.mail, self.hook = MemorySending(), MemorySending()
        self.now, self.live = START, MemoryLive()
        self.inbox = MemoryInbox(self.shop)
        self.loop = Notifying(
            self.inbox, MemoryPeople(people or (ADA,)), self.notices,
            {Channel.MAIL: self.mail, Channel.WEBHOOK: self.hook}, console_url="https://stock.example/",
            webhook=webhook, period=timedelta(hours=1), live=self.live, clock=lambda: self.now,
        )  # fmt: skip

    async def round(self, after: timedelta = timedelta(0)) -> list[str]:
        """What a round after this time sent by mail: subject lines."""
        self.now += after
        known = len(self.mail.taken)
        await self.loop.look()
        await self.loop.deliver()
        return [one.notice.title for one in self.mail.taken[known:]]

    def forget(self, decision_id: str) -> None:
        """Somebody answered it."""
        task = self.shop.case(decision_id).task
        assert task is not None
        task["state"] = "rejected"

    def back(self, decision_id: str) -> None:
        """It waits again."""
        task = self.shop.case(decision_id).task
        assert task is not None
        task["state"] = "open"

    def open_ids(self) -> list[str]:
        return [key for key, case in self.shop.cases.items() if (case.task or {}).get("state") == "open"]


@pytest.fixture(autouse=True)
def no_failed_orders(monkeypatch: pytest.MonkeyPatch) -> list[FailedOrder]:
    """Orders that need a person: none, until a test adds one."""
    orders: list[FailedOrder] = []

    async def failed(self: MemoryInbox, limit: int = 100) -> list[FailedOrder]:
        return orders

    monkeypatch.setattr(MemoryInbox, "failed", failed)
    return orders


async def test_one_digest_says_how_many_how_soon_and_how_much() -> None:
    office = Office()
    titles = await office.round()
    digest = next(one for one in office.mail.taken if one.notice.family is Family.DIGEST)
    n = len(office.open_ids())
    assert digest.notice.title.startswith(f"{n} tasks wait for you")
    assert "EUR at stake" in digest.notice.title
    assert len(titles) == 2, "the digest, and what escalated"
    assert len(digest.notice.lines) == min(n, 20)
    text = digest.notice.text
    assert f"https://stock.example/tasks/{digest.notice.lines[0].subject}" in text
    assert "?" not in "".join(line.url for line in digest.notice.lines), "a link only leads to the task"
    assert "approve" not in "".join(line.url for line in digest.notice.lines)


async def test_nothing_new_is_nothing_told_and_news_waits_for_the_period() -> None:
    office = Office()
    missing = office.open_ids()[-1]
    office.forget(missing)
    first = await office.round()
    assert await office.round(timedelta(minutes=5)) == []
    office.back(missing)
    assert await office.round(timedelta(minutes=5)) == [], "this hour's digest is out"
    assert len(await office.round(timedelta(hours=1))) == 1
    assert await office.round(timedelta(hours=1)) == [], "nothing new"
    office.forget(missing)
    assert await office.round(timedelta(hours=1)) == []
    office.back(missing)
    assert len(await office.round(timedelta(hours=1))) == 1, "what comes back is news"
    assert first


async def test_each_chooses_how_often() -> None:
    office = Office(ADA)
    await office.notices.choose("Ada", NoticeMode.NONE)
    assert await office.round() == []
    await office.notices.choose("Ada", NoticeMode.AT_ONCE)
    missing = office.open_ids()[-1]
    office.forget(missing)
    assert len(await office.round()) == 2
    office.back(missing)
    assert len(await office.round(timedelta(seconds=70))) == 1


async def test_a_failed_order_is_told_at_once_to_who_can_do_something(no_failed_orders: list[FailedOrder]) -> None:
    otto = OTTO.model_copy(update={"email": "otto@shop.example"})
    office = Office(PIA, otto, VERA.model_copy(update={"email": "vera@shop.example"}))
    await office.round()
    order = FailedOrder(
        order_id="acme:LEEDS:1:1", supplier="acme", location="LEEDS", state=OrderState.REFUSED, reason="no credit",
        lines=3, value=Decimal("420.10"), currency="EUR", since=START,
    )  # fmt: skip
    no_failed_orders.append(order)
    office.mail.taken.clear()
    await office.round(timedelta(seconds=61))
    told = [(one.notice.person, one.notice.family) for one in office.mail.taken]
    assert sorted(told) == [("Otto", Family.ALERT), ("Pia", Family.ALERT)]
    assert "no credit" in office.mail.taken[0].notice.text
    no_failed_orders[0] = order.model_copy(update={"order_id": "acme:YORK:1:1", "location": "YORK"})
    office.mail.taken.clear()
    await office.round(timedelta(seconds=61))
    assert [one.notice.person for one in office.mail.taken] == ["Otto"], "Pia works at LEEDS"


async def test_what_was_not_taken_is_tried_again_under_the_same_id_and_given_up_after_a_day() -> None:
    office = Office(PIA)
    office.mail.error = Unavailable("away")
    await office.round()
    office.mail.error = None
    assert await office.round(timedelta(seconds=30)) == [], "a minute's pause after the first failure"
    assert len(await office.round(timedelta(seconds=31))) > 0
    taken = {one.notice_id for one in office.mail.taken}
    assert taken == set(office.notices.stored)
    assert {one["state"] for one in office.notices.stored.values()} == {"sent"}

    office = Office(PIA)
    office.mail.error = Unavailable("away")
    for _ in range(30):
        await office.round(timedelta(hours=1))
    first = next(iter(office.notices.stored.values()))
    assert first["state"] == "given_up"


async def test_what_will_never_be_taken_is_given_up_and_holds_nobody_up() -> None:
    office = Office(PIA, ADA)
    office.mail.error = InvalidInput("no such mailbox")
    await office.round()
    assert {one["state"] for one in office.notices.stored.values()} == {"given_up"}
    office.mail.error = None


async def test_the_webhook_gets_what_the_mail_gets() -> None:
    office = Office(VERA, ADA.model_copy(update={"email": ""}), webhook="https://chat.example/hook")
    await office.round()
    assert office.mail.taken == []
    assert {(one.notice.person, one.address) for one in office.hook.taken} == {("Ada", "https://chat.example/hook")}


async def test_amounts_of_two_currencies_are_never_added() -> None:
    office = Office()
    some = await office.inbox.row(office.open_ids()[0])

    def row(currency: str, amount: str) -> InboxRow:
        return some.model_copy(update={"currency": currency, "cost_of_waiting": Decimal(amount)})

    assert at_stake([row("EUR", "4000.4"), row("GBP", "12"), row("EUR", "299.7"), row("USD", "0.2")]) == [
        "4,300 EUR", "12 GBP",
    ]  # fmt: skip


async def test_what_was_told_to_pages_is_thrown_away_though_nobody_has_one_open_and_nothing_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notifying, "ROUND", timedelta(milliseconds=1))
    office, stop, rounds = Office(), asyncio.Event(), Counter[str]()
    monkeypatch.setattr(office.loop, "_sending", {})

    async def pruned(before: datetime) -> int:
        rounds["notices"] += 1
        return 0

    monkeypatch.setattr(office.notices, "prune", pruned)
    running = asyncio.ensure_future(office.loop.run(stop))
    try:
        await until(lambda: rounds["notices"] > 5, "some rounds")
        assert office.live.prunings == 1, "every ten minutes is enough"
        office.live.away = True
        office.now += timedelta(minutes=10)
        seen = rounds["notices"]
        await until(lambda: rounds["notices"] > seen + 2, "more rounds")
        assert not running.done(), "a database that does not answer ends nothing"
        office.live.away = False
        office.now += timedelta(minutes=10)
        await until(lambda: office.live.prunings == 2, "another pruning")
    finally:
        stop.set()
        await running
    assert office.mail.taken == []

"""Whoever keeps orders: only authorised proposals join, one attempt at a time, and nothing leaves without its lease."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes.records import RecordedOrders, Records, ref_of
from tests.fakes.shop import CLOCK, decided
from tests.storeroom import Storeroom, catalog, clock, counted
from workflows.domain.approvals import Meaning
from workflows.domain.identity import canonical
from workflows.domain.orders import OrderState, PurchaseOrder
from workflows.domain.policies import RiskTier
from workflows.domain.ports import Orders
from workflows.domain.requests import Attempt, RequestState


def attempt_of(taken: Attempt | None) -> int | None:
    """Which attempt took the lease."""
    return None if taken is None else taken.attempt


@dataclass
class Shop:
    """A port with two proposals that wait for a person."""

    orders: Orders
    decisions: tuple[str, str]
    hashes: dict[str, str]
    answer: Callable[[str, Meaning, int | None], Awaitable[None]]
    lapse: Callable[[], None]
    """Let the order's lease run out."""

    async def release(self, which: int = 0) -> str:
        """Approve and release; the order's id."""
        await self.answer(self.decisions[which], Meaning.APPROVE, None)
        result = await self.orders.release(self.decisions[which], self.hashes[self.decisions[which]])
        assert result.released
        return result.order_id or ""

    async def prepared(self) -> PurchaseOrder:
        """An order at its cutoff."""
        order = await self.orders.prepare(await self.release(), passive=False)
        assert order is not None
        return order


def over_records() -> Shop:
    """The durable tests' fake."""
    skipped = [timedelta()]
    records = Records(lambda: datetime.now(UTC) + skipped[0], CLOCK)
    orders = RecordedOrders(records)
    refs = [ref_of(decided(item=item), tier=RiskTier.REVIEW) for item in ("A", "B")]
    for ref in refs:
        records.propose(ref)

    async def answer(decision_id: str, meaning: Meaning, units: int | None) -> None:
        records.answer(decision_id, meaning, units=units)

    def lapse() -> None:
        skipped[0] += timedelta(hours=1)

    first, second = (ref.decision_id for ref in refs)
    return Shop(orders, (first, second), {ref.decision_id: ref.proposal_hash for ref in refs}, answer, lapse)


async def over_postgres(storeroom: Storeroom) -> Shop:
    """The real one."""
    await storeroom.stock(catalog(2))
    storeroom.take(counted(9), counted(9, item="ITEM-002"), clock())
    await storeroom.assess()
    first, second = "LEEDS:ITEM-001:1", "LEEDS:ITEM-002:1"

    async def answer(decision_id: str, meaning: Meaning, units: int | None) -> None:
        more: dict[str, Any] = {"units": units} if units else {}
        await storeroom.answer(decision_id, meaning, **more)

    def lapse() -> None:
        storeroom.connection.execute("UPDATE purchase_order SET lease_until = now() - interval '1 second'")

    hashes = {decision_id: storeroom.hash_of(decision_id) for decision_id in (first, second)}
    return Shop(storeroom.orders, (first, second), hashes, answer, lapse)


@pytest.fixture(params=["records", "postgres"])
def place(request: pytest.FixtureRequest) -> Storeroom | None:
    """Which of them; a database only for the one that needs it."""
    if request.param == "records":
        return None
    storeroom: Storeroom = request.getfixturevalue("storeroom")
    return storeroom


@pytest.fixture
async def shop(place: Storeroom | None) -> Shop:
    """Each of them, with two proposals that wait."""
    return over_records() if place is None else await over_postgres(place)


async def test_only_an_approved_proposal_is_released_and_once(shop: Shop) -> None:
    first, second = shop.decisions
    assert not (await shop.orders.release(first, shop.hashes[first])).released
    await shop.answer(first, Meaning.APPROVE, None)
    assert not (await shop.orders.release(first, "0" * 64)).released
    results = [await shop.orders.release(first, shop.hashes[first]) for _ in range(2)]
    assert results[0] == results[1]
    assert results[0].order_id
    await shop.answer(second, Meaning.REJECT, None)
    assert not (await shop.orders.release(second, shop.hashes[second])).released
    await shop.orders.close_rejected(second)
    await shop.orders.close_rejected(second)
    order = await shop.orders.prepare(results[0].order_id, passive=False)
    assert order is not None
    assert [line.need_id for line in order.lines] == [first]


async def test_edited_units_are_what_is_ordered(shop: Shop) -> None:
    first, _ = shop.decisions
    await shop.answer(first, Meaning.APPROVE_EDITED, 96)
    result = await shop.orders.release(first, shop.hashes[first])
    order = await shop.orders.prepare(result.order_id or "", passive=False)
    assert order is not None
    assert [line.units for line in order.lines] == [96]


async def test_lines_of_one_cycle_are_numbered_by_need(shop: Shop) -> None:
    order_id = await shop.release(1)
    assert await shop.release(0) == order_id
    order = await shop.orders.prepare(order_id, passive=False)
    assert order is not None
    assert [(line.line_no, line.need_id) for line in order.lines] == list(enumerate(sorted(shop.decisions), start=1))


async def test_the_payload_is_the_same_until_the_supplier_has_answered(shop: Shop) -> None:
    order = await shop.prepared()
    again = await shop.orders.prepare(order.order_id, passive=False)
    assert again is not None
    assert canonical(again) == canonical(order)
    assert attempt_of(await shop.orders.begin_attempt(order.order_id, "a", 60)) == 1
    assert await shop.orders.about_to_send(order.order_id, "a", passive=False)
    await shop.orders.record_in_doubt(order.order_id, "a", "no answer")
    again = await shop.orders.prepare(order.order_id, passive=False)
    assert again is not None
    assert canonical(again) == canonical(order)
    assert attempt_of(await shop.orders.begin_attempt(order.order_id, "b", 60)) == 2
    await shop.orders.record_placed(order.order_id, "b", "S-1", None)
    assert await shop.orders.prepare(order.order_id, passive=False) is None


async def test_passive_mode_sends_nothing_ever(shop: Shop) -> None:
    order_id = await shop.release()
    assert await shop.orders.prepare(order_id, passive=True) is None
    assert await shop.orders.state(order_id) is OrderState.WITHHELD
    assert await shop.orders.prepare(order_id, passive=False) is None
    assert await shop.orders.begin_attempt(order_id, "a", 60) is None


async def test_one_attempt_at_a_time_and_none_without_its_lease(shop: Shop) -> None:
    orders, order_id = shop.orders, (await shop.prepared()).order_id
    assert (await orders.request(order_id)).last_sent_at is None
    assert attempt_of(await orders.begin_attempt(order_id, "a", 60)) == 1
    assert await orders.begin_attempt(order_id, "b", 60) is None
    assert not await orders.about_to_send(order_id, "b", passive=False)
    shop.lapse()
    assert not await orders.about_to_send(order_id, "a", passive=False)
    assert attempt_of(await orders.begin_attempt(order_id, "b", 60)) == 2
    assert await orders.about_to_send(order_id, "b", passive=False)
    sent = await orders.request(order_id)
    assert (sent.state, sent.n, sent.open) == (RequestState.SENDING, 1, 1)
    assert sent.last_sent_at is not None
    assert (await orders.record_placed(order_id, "a", "S-9", None)).state is OrderState.SENDING
    assert (await orders.record_refused(order_id, "a", "no")).state is OrderState.SENDING
    await orders.record_in_doubt(order_id, "a", "?")
    assert await orders.state(order_id) is OrderState.SENDING
    placed = await orders.record_placed(order_id, "b", "S-1", None)
    assert (placed.state, placed.supplier_number) == (OrderState.PLACED, "S-1")
    assert await orders.begin_attempt(order_id, "c", 60) is None


async def test_a_lease_that_is_given_back_can_be_taken_at_once(shop: Shop) -> None:
    order_id = (await shop.prepared()).order_id
    assert attempt_of(await shop.orders.begin_attempt(order_id, "a", 60)) == 1
    await shop.orders.end_attempt(order_id, "b")
    assert await shop.orders.begin_attempt(order_id, "b", 60) is None
    await shop.orders.end_attempt(order_id, "a")
    assert not await shop.orders.about_to_send(order_id, "a", passive=False)
    assert attempt_of(await shop.orders.begin_attempt(order_id, "b", 60)) == 2


async def test_a_refusal_is_final(shop: Shop) -> None:
    order_id = (await shop.prepared()).order_id
    await shop.orders.begin_attempt(order_id, "a", 60)
    early = await shop.orders.record_refused(order_id, "a", "nobody was asked")
    assert early.state is OrderState.SENDING, "nothing left that could be refused"
    assert await shop.orders.about_to_send(order_id, "a", passive=False)
    refused = await shop.orders.record_refused(order_id, "a", "discontinued")
    assert (refused.state, refused.reason) == (OrderState.REFUSED, "discontinued")
    assert (await shop.orders.record_placed(order_id, "a", "S-1", None)).state is OrderState.REFUSED
    assert await shop.orders.begin_attempt(order_id, "b", 60) is None


async def test_passive_mode_withholds_even_what_was_being_sent(shop: Shop) -> None:
    order_id = (await shop.prepared()).order_id
    assert attempt_of(await shop.orders.begin_attempt(order_id, "a", 60)) == 1
    assert await shop.orders.about_to_send(order_id, "a", passive=True) is None
    assert await shop.orders.state(order_id) is OrderState.WITHHELD
    assert await shop.orders.begin_attempt(order_id, "b", 60) is None

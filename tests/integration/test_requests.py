"""Requests on PostgreSQL: one order at the supplier whatever is lost; where that cannot be known, a person is asked."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from temporalio.testing import ActivityEnvironment

from activities.orders import OrderActivities
from connectors.postgres.operations import PostgresOrderDesk
from connectors.postgres.order_words import PostgresOrderWords
from tests.fakes.careless import CarelessSupplier
from tests.storeroom import MORNING, PLANNER, Storeroom, catalog, clock, counted
from workflows.domain import failpoints
from workflows.domain.capabilities import DedupeLevel, Manifest
from workflows.domain.errors import (
    Conflict,
    InvalidInput,
    OutcomeUnknown,
    PersonNeeded,
    QuartermasterError,
    Unavailable,
)
from workflows.domain.orders import DraftState, OrderRef, OrderState, PlacementResult
from workflows.domain.permits import CallOutcome, Permit
from workflows.domain.requests import Do, Request, RequestKind, RequestState, Step

ORDER = "acme:LEEDS:2025-03-03:1"
REF = OrderRef(order_id=ORDER, location="LEEDS", supplier="acme", cutoff_at=MORNING)
WHY = "I called them"


def manifest(level: str) -> Manifest:
    """Settles in twelve seconds; L3 remembers for an hour."""
    name, _, drafts = level.partition(" ")
    return Manifest(
        name="test", level=DedupeLevel(name), drafts=bool(drafts), longest_transaction_s=2, http_timeout_s=10,
        memory_s=3600 if name == "L3" else 0,
    )  # fmt: skip


class Desk:
    """An order at its cutoff, a careless supplier of some level, and everything that may happen to them."""

    def __init__(self, storeroom: Storeroom, level: str) -> None:
        self.storeroom, self.orders = storeroom, storeroom.orders
        self.supplier = CarelessSupplier(self.now, manifest(level))
        self.supplier.knows_keys = level in {"L2", "L3"}
        self.words = PostgresOrderWords(storeroom.database)
        self.permits: Any = None

    def now(self) -> Any:
        return self.storeroom.one("SELECT clock_timestamp() AS now")["now"]

    async def place(self) -> PlacementResult:
        """One attempt of the activity."""
        work = OrderActivities(self.orders, self.supplier, passive=False, lease_seconds=60, permits=self.permits)
        return await ActivityEnvironment().run(work.place, REF)

    async def placed(self, attempts: int = 12) -> PlacementResult:
        """Attempts, each after the last one's lease and settle window, until one ends it."""
        for _ in range(attempts):
            try:
                return await self.place()
            except (Unavailable, OutcomeUnknown):
                self.passes(13)
        raise AssertionError("it was not placed")

    def passes(self, seconds: float) -> None:
        """So much time passes, and the lease runs out."""
        self.storeroom.connection.execute(
            """UPDATE purchase_order SET last_sent_at = last_sent_at - make_interval(secs => %(s)s),
                   first_sent_at = first_sent_at - make_interval(secs => %(s)s),
                   lease_until = lease_until - interval '61 s'""",
            {"s": seconds},
        )

    def refused(self, item: str) -> None:
        """Nobody stands behind this line any more."""
        self.storeroom.connection.execute(
            "UPDATE approval SET voided_at = clock_timestamp(), void_reason = 'a mistake' WHERE decision_id = %s",
            [f"LEEDS:{item}:1"],
        )

    async def drafted(self) -> None:
        """There is a draft, and its confirmation was certainly not carried out."""
        self.supplier.behaviour.extend(["accept", "down"])
        with pytest.raises(Unavailable):
            await self.place()

    def ordered(self) -> list[tuple[str, ...]]:
        """The items of each order in the supplier's books."""
        confirmed = [order for draft, order in self.supplier.drafted if draft.state is DraftState.CONFIRMED]
        return [tuple(line.item for line in order.lines) for order in confirmed]

    @property
    def row(self) -> Any:
        return self.storeroom.one("SELECT * FROM purchase_order WHERE order_id = %s", ORDER)

    def kept(self) -> list[tuple[str, str | None]]:
        """(kind, outcome) of every request that left."""
        rows = self.storeroom.rows("SELECT kind, outcome FROM order_request ORDER BY seq")
        return [(row["kind"], row["outcome"]) for row in rows]

    def entries(self) -> list[tuple[str, Any]]:
        """(type, body) in the ledger."""
        rows = self.storeroom.rows(
            "SELECT type, convert_from(body, 'UTF8')::json AS body FROM ledger_entry WHERE stream = %s ORDER BY seq",
            f"order:{ORDER}",
        )
        return [(row["type"], row["body"]) for row in rows]


@pytest.fixture
def desk(storeroom: Storeroom) -> Callable[[str], Any]:
    """Opens a desk at a level."""

    async def opened(level: str, items: int = 1) -> Desk:
        await storeroom.stock(catalog(items))
        names = [f"ITEM-{n:03}" for n in range(1, items + 1)]
        storeroom.take(*(counted(9, item=name) for name in names), clock())
        await storeroom.assess()
        for need in [f"LEEDS:{name}:1" for name in names]:
            await storeroom.answer(need)
            await storeroom.orders.release(need, storeroom.hash_of(need))
        return Desk(storeroom, level)

    return opened


# The way it goes.


async def test_what_is_sent_is_committed_first_with_its_bytes_and_what_it_rests_on(desk: Any) -> None:
    here = await desk("L3")
    assert (await here.place()).state is OrderState.PLACED
    row = here.row
    assert (row["request"], row["requests"], row["open_requests"], row["supplier_number"]) == ("confirmed", 1, 0, "S-1")
    assert row["capability"]["level"] == "L3"
    assert (
        row["payload_sha256"]
        == here.storeroom.one("SELECT encode(sha256(payload), 'hex') AS sha FROM purchase_order")["sha"]
    )
    (line,) = row["authorised"]
    assert (line["need_id"], line["tier"], len(line["approvals"])) == ("LEEDS:ITEM-001:1", "review", 1)
    assert here.kept() == [("send", "confirmed")]
    told = dict(here.entries())
    assert told["order.prepared"]["level"] == "L3"
    assert {name: told["order.sent"][name] for name in ("n", "kind", "level", "rests_on")} == {
        "n": 1, "kind": "send", "level": "L3", "rests_on": "nothing left before",
    }  # fmt: skip
    assert told["order.sent"]["lease"] == row["lease_token"]
    assert told["order.answered"]["rests_on"] == "the supplier's answer"
    assert here.storeroom.verified().ok


@pytest.mark.parametrize("level", ["L1", "L2", "L3"])
async def test_a_lost_answer_is_found_by_the_key(desk: Any, level: str) -> None:
    here = await desk(level)
    here.supplier.behaviour.append("lost")
    with pytest.raises(OutcomeUnknown):
        await here.place()
    assert (here.row["request"], here.row["state"]) == ("unknown", "in_doubt")
    assert (await here.place()).supplier_number == "S-1"
    assert len(here.supplier.journal) == 1
    assert here.kept() == [("send", "unknown"), ("reconcile", "confirmed")]
    assert here.entries()[-1][1]["rests_on"] == "what the supplier has under the key"


async def test_absent_counts_only_after_the_settle_window(desk: Any) -> None:
    here = await desk("L2")
    here.supplier.behaviour.append("vanish")
    with pytest.raises(OutcomeUnknown):
        await here.place()
    here.passes(9)
    with pytest.raises(OutcomeUnknown, match="counts after 12 s") as early:
        await here.place()
    assert 0 < (early.value.wait_seconds or 0) <= 3, "the next attempt comes when it counts"
    here.passes(4)
    assert (await here.place()).state is OrderState.PLACED
    assert (len(here.supplier.requests), len(here.supplier.journal)) == (2, 1)
    assert [body["rests_on"] for kind, body in here.entries() if kind == "order.sent"] == [
        "nothing left before", "nothing of it is at the supplier",
    ]  # fmt: skip


async def test_within_its_memory_l3_is_sent_to_again_and_after_it_a_person_is_asked(desk: Any) -> None:
    here = await desk("L3")
    here.supplier.behaviour.extend(["vanish", "vanish"])
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await here.place()
        here.passes(13)
    assert len(here.supplier.requests) == 2
    here.passes(3600)
    with pytest.raises(PersonNeeded, match="level L3"):
        await here.place()
    assert len(here.supplier.requests) == 2


# Where nobody can know.


async def test_on_l0_a_lost_answer_asks_a_person_at_once_and_stays_asked(desk: Any) -> None:
    here = await desk("L0")
    here.supplier.behaviour.append("lost")
    for _ in range(3):
        with pytest.raises(PersonNeeded):
            await here.place()
    assert (len(here.supplier.requests), here.supplier.questions) == (1, 0)
    row = here.row
    assert (row["request"], row["state"], row["awaits_operator_at"] is not None) == ("unknown", "in_doubt", True)
    (seen,) = await here.words.in_doubt()
    assert (seen.order_id, seen.level, seen.why_not_confirm) == (ORDER, "L0", "")
    assert "ask the supplier" in seen.why_not_look


async def test_on_l1_absence_is_not_enough_and_a_person_is_asked(desk: Any) -> None:
    here = await desk("L1")
    here.supplier.behaviour.append("vanish")
    with pytest.raises(OutcomeUnknown):
        await here.place()
    here.passes(13)
    with pytest.raises(PersonNeeded, match="level L1"):
        await here.place()
    assert (here.row["request"], here.row["open_requests"]) == ("absent", 1)
    with pytest.raises(Conflict, match="left nothing behind"):
        await PostgresOrderDesk(here.storeroom.database).close_unordered(ORDER, WHY, PLANNER)


async def test_a_persons_word_stands_for_what_l0_cannot_tell_and_only_after_the_settle_window(desk: Any) -> None:
    here = await desk("L0")
    here.supplier.behaviour.append("vanish")
    with pytest.raises(PersonNeeded):
        await here.place()
    with pytest.raises(Conflict, match="may still be carried out for 1"):
        await here.words.send_again(ORDER, WHY, PLANNER)
    here.passes(13)
    first = await here.words.send_again(ORDER, WHY, PLANNER, command_id="say-it-once")
    assert await here.words.send_again(ORDER, WHY, PLANNER, command_id="say-it-once") == first
    with pytest.raises(InvalidInput, match="another command"):
        await here.words.send_again(ORDER, "something else", PLANNER, command_id="say-it-once")
    with pytest.raises(Conflict, match="no doubt"):
        await here.words.send_again(ORDER, WHY, PLANNER)
    assert [one[:2] for one in here.storeroom.relay.orders_to_wake()] == [(ORDER, None)]
    assert (await here.place()).state is OrderState.PLACED
    assert [body["rests_on"] for kind, body in here.entries() if kind == "order.sent"][-1].startswith(PLANNER.name)
    (said,) = [body for kind, body in here.entries() if kind == "order.retried"]
    assert (said["word"], said["reason"]) == ("absent", WHY)
    assert here.row["word_by"] is None, "a word is for one request"


async def test_the_supplier_has_it_says_a_person_and_it_is_placed_and_never_sent_again(desk: Any) -> None:
    here = await desk("L0")
    here.supplier.behaviour.append("lost")
    with pytest.raises(PersonNeeded):
        await here.place()
    done = await here.words.confirm_by_hand(ORDER, "A-77", WHY, PLANNER, command_id="theirs-is-77")
    assert await here.words.confirm_by_hand(ORDER, "A-77", WHY, PLANNER, command_id="theirs-is-77") == done
    assert done.state is OrderState.PLACED
    result = await here.place()
    assert result.state is OrderState.PLACED
    assert len(here.supplier.requests) == 1
    kind, body = here.entries()[-1]
    assert (kind, body["rests_on"], body["by"], body["supplier_number"]) == (
        "order.answered", "a person's word", PLANNER.name, "A-77",
    )  # fmt: skip
    with pytest.raises(Conflict, match="no doubt"):
        await here.words.confirm_by_hand(ORDER, "A-78", WHY, PLANNER)
    assert here.storeroom.verified().ok


async def test_a_word_about_what_nobody_doubts_is_refused(desk: Any) -> None:
    here = await desk("L1")
    for word in (here.words.look_again, here.words.send_again):
        with pytest.raises(Conflict, match="nothing of it was sent"):
            await word(ORDER, WHY, PLANNER)
    await here.place()
    with pytest.raises(Conflict, match="no doubt"):
        await here.words.look_again(ORDER, WHY, PLANNER)


async def test_two_orders_under_one_key_are_shown_and_never_cancelled_by_us(desk: Any) -> None:
    here = await desk("L1")
    here.supplier.behaviour.append("lost")
    with pytest.raises(OutcomeUnknown):
        await here.place()
    here.supplier.journal.append(
        here.supplier.journal[0].__class__(**{**vars(here.supplier.journal[0]), "number": "S-2"})
    )
    with pytest.raises(PersonNeeded, match="2 orders"):
        await here.place()
    assert (here.row["request"], here.row["state"]) == ("duplicate_detected", "in_doubt")
    assert here.entries()[-2][1]["supplier_numbers"] == ["S-1", "S-2"]
    assert here.entries()[-1][0] == "order.awaits_operator"
    here.passes(60)
    with pytest.raises(Conflict, match="more than one"):
        await here.words.send_again(ORDER, WHY, PLANNER)
    del here.supplier.journal[1]
    await here.words.look_again(ORDER, "they cancelled S-2", PLANNER)
    assert (await here.place()).supplier_number == "S-1"


# Drafts.


async def test_with_drafts_a_lost_answer_at_any_step_makes_one_order(desk: Any) -> None:
    here = await desk("L1 drafts")
    here.supplier.behaviour.extend(["lost", "lost"])
    assert (await here.placed()).state is OrderState.PLACED
    assert len(here.supplier.journal) == 1
    assert [kind for kind, _ in here.kept() if kind != "reconcile"] == ["draft", "confirm"]


async def test_one_draft_too_many_is_cancelled_before_the_oldest_is_confirmed(desk: Any) -> None:
    here = await desk("L1 drafts")
    here.supplier.behaviour.append("lost")
    with pytest.raises(OutcomeUnknown):
        await here.place()
    order = here.supplier.requests[0]
    await here.supplier.draft(order)
    await here.supplier.draft(order)
    assert (await here.place()).state is OrderState.PLACED
    assert [one.state for one, _ in here.supplier.drafted] == ["confirmed", "cancelled", "cancelled"]
    assert len(here.supplier.journal) == 1


async def test_a_draft_with_a_line_that_may_not_be_ordered_any_more_is_a_persons(desk: Any) -> None:
    here = await desk("L1 drafts", 2)
    await here.drafted()
    here.refused("ITEM-002")
    with pytest.raises(PersonNeeded, match="cancelled there"):
        await here.place()
    assert here.supplier.journal == []
    await here.supplier.cancel_draft("acme", here.supplier.drafted[0][0])
    await here.words.look_again(ORDER, "they cancelled it", PLANNER)
    assert (await here.placed()).state is OrderState.PLACED
    assert here.ordered() == [("ITEM-001",)]


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("second", ["quiet", "lost"])
async def test_a_draft_with_a_refused_line_that_is_listed_late_is_cancelled(
    desk: Any, second: str, tells: bool
) -> None:
    """Its answer was lost and the list hid it beyond the settle window; meanwhile a line was refused."""
    here = await desk("L1 drafts", 2)
    here.supplier.tells = tells
    here.supplier.hidden.add("D-000001")
    here.supplier.behaviour.append("lost")
    with pytest.raises(OutcomeUnknown):
        await here.place()
    here.refused("ITEM-002")
    here.passes(13)
    here.supplier.behaviour.append(second)
    with pytest.raises((Unavailable, OutcomeUnknown)):
        await here.place()
    here.supplier.hidden.clear()
    assert (await here.placed()).state is OrderState.PLACED
    assert here.supplier.drafted[0][0].state is DraftState.CANCELLED
    assert here.ordered() == [("ITEM-001",)]
    redrafted = second == "lost" and not tells
    assert len(here.supplier.drafted) == 2 + redrafted, "the second is known by its name, or by what is in it"
    assert here.storeroom.verified().ok


async def test_a_draft_that_is_gone_ends_in_any_of_the_ways_that_a_person_says(desk: Any) -> None:
    """Its confirmation was certainly not carried out, and the supplier does not list it any more."""
    here = await desk("L1 drafts")
    close = PostgresOrderDesk(here.storeroom.database).close_unordered
    await here.drafted()
    here.supplier.hidden.add("D-000001")
    with pytest.raises(OutcomeUnknown, match="does not list"):
        await here.place()
    with pytest.raises(Conflict, match="left nothing behind"):
        await close(ORDER, WHY, PLANNER)
    here.passes(13)
    for _ in range(2):
        with pytest.raises(PersonNeeded, match="does not list"):
            await here.place()
        await here.words.look_again(ORDER, WHY, PLANNER)
    (seen,) = await here.words.in_doubt()
    assert (seen.why_not_look, seen.why_not_confirm, seen.why_not_send, seen.sends_again_itself) == ("", "", "", False)
    await here.words.send_again(ORDER, "they deleted it", PLANNER)
    assert (await here.place()).state is OrderState.PLACED
    here.supplier.hidden.clear()
    assert [one.state for one, _ in here.supplier.drafted] == [DraftState.DRAFT, DraftState.CONFIRMED]


async def test_a_draft_that_is_gone_is_closed_once_a_person_answers_for_its_absence(desk: Any) -> None:
    here = await desk("L1 drafts")
    await here.drafted()
    here.supplier.hidden.add("D-000001")
    here.passes(13)
    with pytest.raises(PersonNeeded):
        await here.place()
    await here.words.send_again(ORDER, "they deleted it", PLANNER)
    await PostgresOrderDesk(here.storeroom.database).close_unordered(ORDER, WHY, PLANNER)
    assert (here.row["state"], here.row["request"]) == ("empty", "withdrawn")
    assert here.storeroom.position()["on_order_units"] == 0


async def test_an_order_that_an_earlier_release_left_unknown_without_a_count_can_be_ended(desk: Any) -> None:
    here = await desk("L1 drafts")
    await here.drafted()
    here.storeroom.connection.execute("UPDATE purchase_order SET request = 'reconciling'")
    here.storeroom.connection.execute("UPDATE purchase_order SET request = 'unknown', state = 'in_doubt'")
    assert here.row["open_requests"] == 0
    with pytest.raises(Conflict, match="left nothing behind"):
        await PostgresOrderDesk(here.storeroom.database).close_unordered(ORDER, WHY, PLANNER)
    done = await here.words.confirm_by_hand(ORDER, "A-77", WHY, PLANNER)
    assert done.state is OrderState.PLACED


async def test_what_may_be_confirmed_yet_is_not_withdrawn_when_its_lines_may_not_go_any_more(desk: Any) -> None:
    """An empty order is no order, and its need is ordered again: the lost confirmation would make it two."""
    here = await desk("L1 drafts")
    here.supplier.behaviour.extend(["accept", "vanish"])
    with pytest.raises(OutcomeUnknown):
        await here.place()
    here.storeroom.connection.execute("UPDATE supplier SET blocked = true")
    with pytest.raises(PersonNeeded, match="cancelled there"):
        await here.place()
    row = here.row
    assert (row["state"], row["open_requests"] > 0, row["awaits_operator_at"] is not None) == ("in_doubt", True, True)


async def test_a_no_to_a_confirmation_ends_it_once_no_other_may_be_under_way(desk: Any) -> None:
    here = await desk("L1 drafts")
    here.supplier.behaviour.extend(["accept", "vanish", "refuse", "refuse"])
    with pytest.raises(OutcomeUnknown):
        await here.place()
    with pytest.raises(OutcomeUnknown, match="discontinued"):
        await here.place()
    here.passes(13)
    assert (await here.place()).state is OrderState.REFUSED


async def test_what_may_be_confirmed_yet_is_not_withheld_either(desk: Any) -> None:
    here = await desk("L1 drafts")
    here.supplier.behaviour.extend(["accept", "vanish"])
    with pytest.raises(OutcomeUnknown):
        await here.place()
    passive = OrderActivities(here.orders, here.supplier, passive=True, lease_seconds=60)
    with pytest.raises(PersonNeeded):
        await ActivityEnvironment().run(passive.place, REF)
    assert here.row["state"] == "in_doubt"
    here.passes(13)
    assert (await here.placed()).state is OrderState.PLACED, "active again"


async def test_the_database_withdraws_nothing_that_may_be_at_the_supplier(desk: Any) -> None:
    here = await desk("L2")
    here.supplier.behaviour.append("lost")
    with pytest.raises(OutcomeUnknown):
        await here.place()
    run = here.storeroom.connection.execute
    run("UPDATE purchase_order SET request = 'reconciling'")
    with pytest.raises(psycopg.errors.CheckViolation, match="may be at the supplier"):
        run("UPDATE purchase_order SET request = 'withdrawn', open_requests = 0")


async def test_a_persons_word_does_not_confirm_a_draft_with_a_line_that_may_not_be_ordered(desk: Any) -> None:
    """Somebody says that the supplier has none, and the draft is there all the same."""
    here = await desk("L1 drafts", 2)
    await here.drafted()
    here.refused("ITEM-002")
    with pytest.raises(PersonNeeded):
        await here.place()
    here.passes(13)
    await here.words.send_again(ORDER, WHY, PLANNER)
    with pytest.raises(PersonNeeded, match="cancelled there"):
        await here.place()
    assert here.supplier.journal == []


async def test_what_an_earlier_release_sent_is_looked_for_as_an_order_and_never_drafted(desk: Any) -> None:
    here = await desk("L2")
    here.supplier.behaviour.append("lost")
    with pytest.raises(OutcomeUnknown):
        await here.place()
    here.storeroom.connection.execute("UPDATE purchase_order SET capability = NULL")
    here.supplier.manifest = manifest("L1 drafts")
    assert (await here.placed()).state is OrderState.PLACED
    assert len(here.supplier.journal) == 1


# A process that is gone, and one that is not.


class Crash(Exception):
    """The process is gone here."""


POINTS = [
    f"orders.{verb}:{moment}"
    for verb in ("prepare", "begin_attempt", "about_to_send", "about_to_look", "note", "record_in_doubt",
                 "record_placed", "end_attempt")
    for moment in (failpoints.BEFORE, failpoints.AFTER)
]  # fmt: skip


@pytest.mark.parametrize("level", ["L1 drafts", "L2"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_crash_anywhere_makes_no_second_order(desk: Any, level: str, point: str) -> None:
    here = await desk(level)
    here.supplier.behaviour.extend(["down", "vanish", "lost"])
    fired: list[str] = []

    def trigger(reached: str) -> float:
        if reached == point and len(fired) < 3:
            fired.append(reached)
            raise Crash(reached)
        return 0

    failpoints.install(trigger)
    try:
        for _ in range(25):
            try:
                result = await here.placed()
                break
            except Crash:
                here.passes(13)
    finally:
        failpoints.install(None)
    assert fired, "the point is on the way"
    assert result.state is OrderState.PLACED
    assert len(here.supplier.journal) == 1
    assert here.row["request"] == "confirmed"
    assert here.storeroom.verified().ok


async def test_whoever_lost_the_lease_changes_nothing(desk: Any) -> None:
    here = await desk("L2")
    orders = here.orders
    await orders.prepare(ORDER, passive=False, manifest=manifest("L2"))
    await orders.begin_attempt(ORDER, "old", 60)
    assert await orders.about_to_send(ORDER, "old", passive=False)
    here.passes(1)
    taken = await orders.begin_attempt(ORDER, "new", 60)
    assert taken.request.state is RequestState.UNKNOWN, "whoever sent it did not come to note what it came to"
    before, requests = here.row, here.kept()
    asks = Step(request=Request(state=RequestState.ABSENT, open=1), do=Do.ASK, reason="?")
    assert await orders.about_to_send(ORDER, "old", passive=False) is None
    assert not await orders.about_to_look(ORDER, "old")
    assert not await orders.note(ORDER, "old", Request(state=RequestState.ABSENT), "absent")
    await orders.give_back(ORDER, "old")
    await orders.end_attempt(ORDER, "old")
    await orders.record_in_doubt(ORDER, "old", "?", 0)
    await orders.ask_person(ORDER, "old", asks)
    await orders.record_placed(ORDER, "old", "S-9", None)
    await orders.record_refused(ORDER, "old", "no")
    assert (here.row, here.kept()) == (before, requests)


async def test_the_database_takes_no_move_that_the_machine_does_not_know(desk: Any) -> None:
    here = await desk("L2")
    run = here.storeroom.connection.execute
    for wrong in ("UPDATE purchase_order SET request = 'sending'", "UPDATE purchase_order SET request = 'confirmed'"):
        with pytest.raises(psycopg.errors.CheckViolation, match="not prepared"):
            run(wrong.encode())
    await here.orders.prepare(ORDER, passive=False)
    with pytest.raises(psycopg.errors.CheckViolation, match="without payload, lease and a count"):
        run("UPDATE purchase_order SET request = 'sending'")
    here.supplier.behaviour.append("vanish")
    with pytest.raises(OutcomeUnknown):
        await here.place()
    for wrong in ("request = 'sending'", "request = 'rejected'", "request = NULL", "request = 'prepared'"):
        with pytest.raises(psycopg.errors.CheckViolation, match="does not become"):
            run(f"UPDATE purchase_order SET {wrong}".encode())  # noqa: S608 - our own words
    with pytest.raises(psycopg.errors.CheckViolation, match="fixed while it may be"):
        run("UPDATE purchase_order SET payload = '{}'")
    with pytest.raises(psycopg.errors.CheckViolation, match="by a number"):
        run("UPDATE purchase_order SET request = 'confirmed'")
    for wrong in ("UPDATE order_request SET n = 9", "UPDATE order_request SET said = ''", "DELETE FROM order_request"):
        with pytest.raises(psycopg.errors.CheckViolation, match="on the record"):
            run(wrong.encode())


# What others say about it.


class Sulking:
    """`SendPermits` that grant nothing at first, then only a look, then everything."""

    def __init__(self) -> None:
        self.open, self.heard = True, list[tuple[RequestKind, CallOutcome]]()

    async def permit(self, supplier: str, kind: RequestKind) -> Permit:
        if self.open and not kind.reads:
            return Permit(granted=False, wait_seconds=30, reason="nobody answers there", probe=True)
        return Permit(granted=True)

    async def observed(
        self, supplier: str, kind: RequestKind, outcome: CallOutcome, retry_after_s: float | None = None
    ) -> None:
        self.heard.append((kind, outcome))
        self.open = self.open and outcome is not CallOutcome.ANSWERED
        raise QuartermasterError("the counter is broken")


async def test_a_permit_delays_and_a_look_may_prove_the_supplier_well(desk: Any) -> None:
    here = await desk("L2")
    here.permits = Sulking()
    with pytest.raises(Unavailable, match="nobody answers there"):
        await here.place()
    assert here.supplier.requests == []
    assert (here.row["request"], here.row["lease_until"]) == ("prepared", None)
    assert (await here.place()).state is OrderState.PLACED
    assert here.permits.heard == [
        (RequestKind.RECONCILE, CallOutcome.ANSWERED), (RequestKind.SEND, CallOutcome.ANSWERED)
    ]  # fmt: skip


async def test_a_supplier_that_turns_us_away_is_well(desk: Any) -> None:
    here = await desk("L2")
    here.permits = Sulking()
    here.permits.open = False
    here.supplier.behaviour.extend(["away", "down"])
    for _ in range(2):
        with pytest.raises(Unavailable):
            await here.place()
    sent = [outcome for kind, outcome in here.permits.heard if kind is RequestKind.SEND]
    assert sent == [CallOutcome.ANSWERED, CallOutcome.UNAVAILABLE]


async def test_a_weaker_promise_counts_also_for_what_was_prepared_before(desk: Any) -> None:
    here = await desk("L2")
    here.supplier.behaviour.append("vanish")
    with pytest.raises(OutcomeUnknown):
        await here.place()
    here.passes(13)
    here.supplier.manifest = manifest("L1")
    with pytest.raises(PersonNeeded):
        await here.place()

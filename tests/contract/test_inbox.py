"""Whoever keeps the inbox: the same views, the same order, the same rules for what people do with a task."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from tests.fakes.desk import MemoryShop
from tests.fakes.people import ADA, ADAM, GRACE, PIA, VERA
from tests.fakes.shop import CLOCK
from tests.inbox_cases import MORNING, Desk, InMemory, InPostgres, Waiting, ids, one
from tests.storeroom import Storeroom
from workflows.domain.approvals import Actor, TaskState
from workflows.domain.errors import AlreadyAnswered, InvalidInput, NotAllowed, NotFound
from workflows.domain.inbox import ClaimedByAnother, Filters, InboxRow, SavedView, Snooze, Substitute, View
from workflows.domain.people import Permission, Person, Role

TEA, OAT, RICE = "LEEDS:TEA:1", "LEEDS:OAT:1", "YORK:RICE:1"
ALL = Filters()
A, G = Actor(name="Ada"), Actor(name="Grace")


@pytest.fixture(params=["memory", "postgres"])
def desk(request: pytest.FixtureRequest) -> Desk:
    """Each of them, with the morning's tasks."""
    found: Desk
    if request.param == "memory":
        found = InMemory(MemoryShop(CLOCK))
    else:
        storeroom: Storeroom = request.getfixturevalue("storeroom")
        found = InPostgres(storeroom)
    found.put(*MORNING)
    return found


async def seen(desk: Desk, view: View, who: Person = ADA, filters: Filters = ALL) -> list[str]:
    return ids((await desk.inbox.page(view, filters, who)).rows)


async def test_the_dearest_to_leave_waiting_is_first_and_every_figure_is_on_the_row(desk: Desk) -> None:
    rows = (await desk.inbox.page(View.NEEDS_ME, ALL, ADA)).rows
    assert ids(rows) == ["TEA", "OAT", "MUG", "RICE", "SOAP", "SALT"]
    twin = InMemory(MemoryShop(CLOCK))
    twin.put(*MORNING)
    expected = (await twin.inbox.page(View.NEEDS_ME, ALL, ADA)).rows
    assert [row.model_dump(exclude={"version"}) for row in rows] == [
        row.model_dump(exclude={"version"}) for row in expected
    ]
    assert rows[0] == await desk.inbox.row(TEA)
    assert rows[0].cost_of_waiting > 0
    assert rows[0].order_by is None or rows[0].order_by.tzinfo is not None


async def test_each_view_has_its_tasks_and_counts_them(desk: Desk) -> None:
    await desk.work.claim(OAT, A)
    await desk.work.snooze("YORK:SALT:1", Snooze(until=CLOCK + timedelta(days=1)), A)
    desk.end("LEEDS:MUG:1")
    expected = {
        View.NEEDS_ME: ["TEA", "OAT", "RICE", "SOAP"], View.TEAM: ["TEA", "OAT", "RICE", "SOAP"],
        View.CLAIMED: ["OAT"], View.SNOOZED: ["SALT"], View.ESCALATED: ["RICE"], View.DUE_TODAY: ["OAT"],
        View.SAMPLE: ["SOAP"], View.ANSWERED: ["MUG"],
    }  # fmt: skip
    for view, items in expected.items():
        shown = await seen(desk, view)
        if view is View.DUE_TODAY:  # last order times count too: those are the world's
            assert set(items) <= set(shown)
        else:
            assert shown == items, view
    counts = await desk.inbox.counts(ADA)
    assert View.ANSWERED not in counts
    assert {view: count.n for view, count in counts.items()} == {view: len(await seen(desk, view)) for view in counts}
    assert not any(count.capped for count in counts.values())


async def test_what_needs_me_is_at_my_locations_and_nobody_elses_matter(desk: Desk) -> None:
    assert await seen(desk, View.NEEDS_ME, PIA) == ["TEA", "OAT", "MUG"], "Pia works at LEEDS"
    assert await seen(desk, View.NEEDS_ME, VERA) == [], "a viewer answers nothing"
    await desk.work.claim(TEA, G)
    await desk.work.forward(OAT, "Grace", "yours", A, command_id="forward-1")
    assert await seen(desk, View.NEEDS_ME, PIA) == ["MUG"]
    assert await seen(desk, View.NEEDS_ME, GRACE) == ["TEA", "OAT", "MUG", "RICE", "SOAP", "SALT"]
    assert await seen(desk, View.TEAM, PIA) == ["TEA", "OAT", "MUG", "RICE", "SOAP", "SALT"]


async def test_a_question_puts_a_task_among_those_of_whoever_is_asked_until_they_say_something(desk: Desk) -> None:
    await desk.work.comment(RICE, "Is the promotion in it?", A, command_id="question-1", to="Vera")
    assert await seen(desk, View.NEEDS_ME, VERA) == ["RICE"]
    assert (await desk.inbox.row(RICE)).asked == ("Vera",)
    await desk.work.comment(RICE, "Yes.", Actor(name="Vera"), command_id="answer-01")
    assert await seen(desk, View.NEEDS_ME, VERA) == []
    said = await desk.work.comments(RICE)
    assert [(one.author, one.kind, one.to, one.text) for one in said] == [
        ("Ada", "question", "Vera", "Is the promotion in it?"), ("Vera", "comment", None, "Yes."),
    ]  # fmt: skip
    assert (await desk.inbox.row(RICE)).comments == 2


async def test_the_same_comment_again_is_the_same_comment(desk: Desk) -> None:
    first = await desk.work.comment(TEA, "late again", A, command_id="comment-1")
    assert await desk.work.comment(TEA, "late again", A, command_id="comment-1") == first
    assert len(await desk.work.comments(TEA)) == 1
    for decision_id, text, actor in ((TEA, "other", A), (OAT, "late again", A), (TEA, "late again", G)):
        with pytest.raises(InvalidInput):
            await desk.work.comment(decision_id, text, actor, command_id="comment-1")


@pytest.mark.parametrize(
    ("filters", "items"),
    [
        (Filters(location="YORK"), ["RICE", "SOAP", "SALT"]),
        (Filters(supplier="acme"), ["RICE"]),
        (Filters(category="drinks"), ["TEA", "OAT", "MUG", "RICE", "SOAP", "SALT"]),
        (Filters(category="none"), []),
        (Filters(rule="audit_sample"), ["SOAP"]),
        (Filters(text="oAt"), ["OAT"]),
        (Filters(text="in words"), ["TEA", "OAT", "MUG", "RICE", "SOAP", "SALT"]),
        (Filters(text="LEEDS:M"), ["MUG"]),
        (Filters(text="%"), []),
        (Filters(text="_"), []),
    ],
)
async def test_filters_narrow_a_view(desk: Desk, filters: Filters, items: list[str]) -> None:
    assert await seen(desk, View.TEAM, ADA, filters) == items


async def test_filters_offer_what_open_tasks_have(desk: Desk) -> None:
    await desk.work.claim(OAT, A)
    choices = await desk.inbox.choices()
    assert list(choices["location"]) == ["LEEDS", "YORK"]
    assert list(choices["supplier"]) == ["acme", "northern-foods"]
    assert list(choices["category"]) == ["drinks"]
    assert list(choices["claimed_by"]) == ["Ada"]
    assert "audit_sample" in choices["rule"]


async def test_answered_tasks_are_listed_newest_first_page_by_page(desk: Desk) -> None:
    for minute, decision_id in enumerate((RICE, TEA, OAT)):
        desk.end(decision_id, TaskState.REJECTED if decision_id == TEA else TaskState.APPROVED, minute=minute)
    first = await desk.inbox.page(View.ANSWERED, ALL, ADA, limit=2)
    rest = await desk.inbox.page(View.ANSWERED, ALL, ADA, limit=2, after=first.after)
    assert (ids(first.rows), ids(rest.rows), rest.after) == (["OAT", "TEA"], ["RICE"], None)
    assert await seen(desk, View.ANSWERED, ADA, Filters(state=TaskState.REJECTED)) == ["TEA"]
    assert await seen(desk, View.ANSWERED, ADA, Filters(location="YORK")) == ["RICE"]


@pytest.mark.parametrize("after", ["nonsense", "W10", "WyJhIiwiYiIsImMiXQ", "bnVsbA", "\u00e4", "LEEDS:TEA:1"])
async def test_a_page_begins_only_where_another_ended(desk: Desk, after: str) -> None:
    for view in (View.TEAM, View.ANSWERED):
        with pytest.raises(InvalidInput):
            await desk.inbox.page(view, ALL, ADA, after=after)


@pytest.mark.parametrize("seed", range(4))
async def test_no_row_comes_twice_or_is_lost_while_rows_are_answered_between_pages(desk: Desk, seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - a repeatable choice, no secret
    more = [
        one(f"X{n}", ("LEEDS", "YORK")[n % 2], daily=1 + n % 4, on_hand=3, risk=f"0.{2 + n % 3}",
            hours_left=20 + n % 2)
        for n in range(34)
    ]  # fmt: skip
    desk.put(*more)
    waiting = {task.decision_id for task in (*MORNING, *more)}
    shown: list[InboxRow] = []
    after = None
    while True:
        page = await desk.inbox.page(View.TEAM, ALL, ADA, limit=chance.randint(1, 7), after=after)
        shown += page.rows
        if page.after is None:
            break
        after = page.after
        unseen = sorted(waiting - {row.decision_id for row in shown})
        for gone in chance.sample(sorted(waiting), k=min(2, len(waiting))):
            if gone in unseen:
                waiting.discard(gone)
            desk.end(gone)
        newcomer: Waiting = one(f"N{len(shown)}", daily=chance.randint(1, 30), on_hand=3, risk="0.40")
        desk.put(newcomer)
    names = [row.decision_id for row in shown]
    assert len(names) == len(set(names)), "twice"
    assert waiting <= set(names), "lost"
    order = [(-row.cost_of_waiting, row.expire_at, row.decision_id) for row in shown]
    assert order == sorted(order)


async def test_of_two_who_claim_at_once_one_wins_and_the_other_is_told(desk: Desk) -> None:
    told = await asyncio.gather(desk.work.claim(TEA, A), desk.work.claim(TEA, G), return_exceptions=True)
    (winner,) = [one for one in told if isinstance(one, InboxRow)]
    (refusal,) = [one for one in told if isinstance(one, ClaimedByAnother)]
    assert winner.claimed_by is not None
    assert winner.claimed_by in str(refusal)
    assert winner.version > 1
    assert desk.ledger(TEA) == ["task.claimed"]


async def test_a_claim_may_go_on_ends_by_itself_and_is_given_back(desk: Desk) -> None:
    first = await desk.work.claim(TEA, A, minutes=15)
    again = await desk.work.claim(TEA, A, minutes=30)
    assert first.claim_ends_at is not None
    assert again.claim_ends_at is not None
    assert again.claim_ends_at > first.claim_ends_at > datetime.now(UTC)
    desk.later(31)
    assert (await desk.inbox.row(TEA)).claimed_by is None
    assert (await desk.work.claim(TEA, G)).claimed_by == "Grace"
    assert (await desk.work.unclaim(TEA, A)).claimed_by == "Grace", "another's claim is not mine to give back"
    assert (await desk.work.unclaim(TEA, G)).claimed_by is None
    assert (await desk.work.unclaim(TEA, G)).claimed_by is None
    assert desk.ledger(TEA) == ["task.claimed", "task.claimed", "task.released_claim"]


async def test_a_snoozed_task_is_away_until_somebody_wakes_it(desk: Desk) -> None:
    row = await desk.work.snooze(TEA, Snooze(until_receipt=True), A)
    assert row.snooze_words == "until something of the item arrives"
    assert "TEA" not in await seen(desk, View.NEEDS_ME)
    assert await seen(desk, View.SNOOZED, GRACE) == ["TEA"]
    assert (await desk.work.wake(TEA, G)).snooze_words == ""
    assert (await desk.work.wake(TEA, G)).snooze_words == ""
    assert "TEA" in await seen(desk, View.NEEDS_ME)
    assert desk.ledger(TEA) == ["task.snoozed", "task.woken"]
    with pytest.raises(InvalidInput):
        await desk.work.snooze(TEA, Snooze(until=CLOCK), A)


async def test_a_task_is_forwarded_to_somebody_who_may_answer_it(desk: Desk) -> None:
    await desk.work.claim(RICE, A)
    row = await desk.work.forward(RICE, "Grace", "you know them", A, command_id="forward-1")
    assert (row.forwarded_to, row.claimed_by, row.comments) == ("Grace", None, 1)
    assert (await desk.work.forward(RICE, "Grace", "you know them", A, command_id="forward-1")).comments == 1
    assert (await desk.work.comments(RICE))[0].kind == "forward"
    for name in ("Nobody", "Vera", "Pia"):  # Pia works at LEEDS only
        with pytest.raises(InvalidInput):
            await desk.work.forward(RICE, name, "", A, command_id=f"forward-{name}")
    assert desk.ledger(RICE) == ["task.claimed", "task.forwarded"]


async def test_nothing_is_done_with_what_is_answered_or_not_there(desk: Desk) -> None:
    desk.end(TEA)
    for decision_id, error in ((TEA, AlreadyAnswered), ("LEEDS:NONE:1", NotFound)):
        for deed in (
            desk.work.claim(decision_id, A), desk.work.unclaim(decision_id, A),
            desk.work.snooze(decision_id, Snooze(until_receipt=True), A), desk.work.wake(decision_id, A),
            desk.work.comment(decision_id, "x", A, command_id="comment-1"),
            desk.work.forward(decision_id, "Grace", "", A, command_id="forward-1"), desk.work.rescore(decision_id, A),
        ):  # fmt: skip
            with pytest.raises(error):
                await deed
    with pytest.raises(NotFound):
        await desk.inbox.row("LEEDS:NONE:1")
    with pytest.raises(NotFound):
        await desk.work.comments("LEEDS:NONE:1")


async def test_only_who_sells_the_item_there_can_be_asked_for_it(desk: Desk) -> None:
    seller, stranger = await desk.work.suppliers(RICE), await desk.work.suppliers(TEA)
    assert (seller, stranger) == (("acme",), ("northern-foods",))
    await desk.work.rescore(RICE, A, supplier="acme")
    for name in ("northern-foods", ""):
        with pytest.raises(InvalidInput, match="who can: acme"):
            await desk.work.rescore(RICE, A, supplier=name)
    assert desk.ledger(RICE) == ["task.rescore_asked"]
    with pytest.raises(NotFound):
        await desk.work.suppliers("LEEDS:NONE:1")


async def test_a_substitute_finds_the_absent_persons_tasks_among_theirs(desk: Desk) -> None:
    today = datetime.now(UTC).date()
    await desk.work.forward(TEA, "Grace", "", A, command_id="forward-1")
    await desk.work.claim(OAT, G)
    assert not {"TEA", "OAT"} & set(await seen(desk, View.NEEDS_ME))
    absence = Substitute(person="Grace", substitute="Ada", first_day=today, last_day=today)
    with pytest.raises(NotAllowed):
        await desk.work.substitute(absence, A)
    await desk.work.substitute(absence, G)
    assert {"TEA", "OAT"} <= set(await seen(desk, View.NEEDS_ME))
    assert await desk.work.substitutes() == [absence]
    with pytest.raises(NotAllowed):
        await desk.work.drop_substitute("Grace", today, A)
    await desk.work.drop_substitute("Grace", today, Actor(name=ADAM.name))
    assert await desk.work.substitutes() == []
    assert not {"TEA", "OAT"} & set(await seen(desk, View.NEEDS_ME))
    later = absence.model_copy(update={"first_day": today + timedelta(1), "last_day": today + timedelta(9)})
    await desk.work.substitute(later, G)
    assert not {"TEA", "OAT"} & set(await seen(desk, View.NEEDS_ME))
    for wrong in (
        {"substitute": "Grace"}, {"last_day": today - timedelta(1)}, {"substitute": "Nobody"},
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            await desk.work.substitute(absence.model_copy(update=wrong), G)


async def test_views_are_kept_shared_changed_and_dropped_by_their_owner(desk: Desk) -> None:
    mine = SavedView(view_id="view-0001", name="York", owner="Ada", view=View.TEAM, filters=Filters(location="YORK"))
    assert await desk.work.save_view(mine, A) == mine
    assert await desk.work.saved_views(ADA) == [mine]
    assert await desk.work.saved_views(GRACE) == []
    shared = mine.model_copy(update={"shared": True, "name": "York, all"})
    await desk.work.save_view(shared, A)
    assert await desk.work.saved_views(GRACE) == [shared]
    with pytest.raises(NotAllowed):
        await desk.work.save_view(shared.model_copy(update={"owner": "Grace"}), G)
    with pytest.raises(NotAllowed):
        await desk.work.drop_view("view-0001", G)
    await desk.work.drop_view("view-0001", A)
    with pytest.raises(NotFound):
        await desk.work.drop_view("view-0001", A)
    assert await desk.work.saved_views(ADA) == []


async def test_who_cannot_countersign_is_not_asked_for_a_second_signature(desk: Desk) -> None:
    planner = Person(name="Paul", roles=frozenset({Role.PLANNER}))
    assert not planner.may(Permission.COUNTERSIGN)
    desk.sign(TEA, "Ada")
    assert "TEA" not in await seen(desk, View.NEEDS_ME, planner)
    assert "TEA" not in await seen(desk, View.NEEDS_ME, ADA), "she signed it"
    assert "TEA" in await seen(desk, View.NEEDS_ME, GRACE)

"""The machine that sends orders: every state, every sight, every level; what it says is what the activity does."""

import re
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.postgres.migrating import migrations_folder
from workflows.domain.capabilities import DedupeLevel, Manifest, at_most, carried_on, may_send_again, settles_in
from workflows.domain.doubt import sends_again_itself, why_not_confirm, why_not_look, why_not_send
from workflows.domain.order_steps import why_not_close
from workflows.domain.orders import Draft, DraftState, OrderState, SupplierAnswer
from workflows.domain.requests import (
    MOVES,
    Answered,
    AskedDraft,
    Cancelled,
    Do,
    Drafted,
    Drafts,
    Duplicates,
    IllegalMove,
    KeyKnown,
    NotAsked,
    NotCarriedOut,
    Nothing,
    NoWord,
    Refused,
    Request,
    RequestKind,
    RequestState,
    Seen,
    Step,
    Taken,
    left,
    moved,
    planners_word,
)
from workflows.domain.sending import step

S, L = RequestState, DedupeLevel
NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
KEY = "a" * 64
WANTED, OLD = "d" * 64, "e" * 64
"""What may leave now, and what might before a line was refused."""
LEVELS = ("L0", "L1", "L1 drafts", "L2", "L3")


def manifest(level: str, **more: Any) -> Manifest:
    """Settles in 12 s; L3 remembers for an hour."""
    name, _, drafts = level.partition(" ")
    told = {"longest_transaction_s": 2, "http_timeout_s": 10, "memory_s": 3600 if name == "L3" else 0, **more}
    return Manifest(name="test", level=L(name), drafts=bool(drafts), **told)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def sent(state: RequestState = S.UNKNOWN, **more: Any) -> Request:
    """A request of which one left at NOW, and nobody knows what it came to."""
    known = {"n": 1, "open": 1, "first_sent_at": NOW, "last_sent_at": NOW, "lines_digest": WANTED}
    return Request(state=state, **{**known, "drafted": (asked(),), **more})


def asked(name: str | None = None, digest: str = WANTED) -> AskedDraft:
    """A request for a draft that left, and the draft's name, if an answer came."""
    return AskedDraft(draft=name, lines_digest=digest)


def answer(number: str = "S-1", **more: Any) -> Answered:
    return Answered(answer=SupplierAnswer(key=KEY, supplier_number=number, **more))


def draft(number: int, state: DraftState = DraftState.DRAFT, holds: str | None = None) -> Draft:
    """`holds`: what the supplier says is in it."""
    name = f"S-{number}" if state is DraftState.CONFIRMED else None
    return Draft(key=KEY, draft=f"D-{number}", state=state, supplier_number=name, lines_digest=holds)


def came(found: Step) -> tuple[RequestState, Do]:
    return found.request.state, found.do


# Its moves.


def test_the_database_knows_the_same_moves() -> None:
    (file,) = migrations_folder().glob("0060.*.sql")
    listed = set(re.findall(r"\('(\w+)', '(\w+)'\)", file.read_text().split("NOT (coalesce")[1].split("THEN")[0]))
    ours = {(str(one), str(other)) for one, others in MOVES.items() for other in others}
    assert listed == ours | {("collecting", "prepared"), ("collecting", "unknown")}


def test_every_other_move_is_a_mistake_of_ours() -> None:
    for one in S:
        for other in S:
            if other is one or other in MOVES[one]:
                assert moved(Request(state=one), other).state is other
            else:
                with pytest.raises(IllegalMove):
                    moved(Request(state=one), other)


def test_nothing_follows_an_end_and_nothing_leaves_but_what_is_prepared_or_absent() -> None:
    assert {state for state in S if state.is_final} == {state for state, others in MOVES.items() if not others}
    assert {state for state, others in MOVES.items() if S.SENDING in others} == {S.PREPARED, S.ABSENT}


def test_planners_have_a_word_for_each_state() -> None:
    assert {state: planners_word(state) for state in (S.UNKNOWN, S.DUPLICATE_DETECTED, S.CONFIRMED, S.REJECTED)} == {
        S.UNKNOWN: OrderState.IN_DOUBT, S.DUPLICATE_DETECTED: OrderState.IN_DOUBT, S.CONFIRMED: OrderState.PLACED,
        S.REJECTED: OrderState.REFUSED,
    }  # fmt: skip
    assert {planners_word(state) for state in (S.PREPARED, S.SENDING, S.RECONCILING, S.ABSENT)} == {OrderState.SENDING}


def test_what_leaves_is_counted_and_in_doubt_until_it_is_answered() -> None:
    first = left(Request(), RequestKind.SEND, NOW)
    assert (first.state, first.n, first.open, first.first_sent_at) == (S.SENDING, 1, 1, NOW)
    absent = moved(first, S.ABSENT, open=0)
    again = left(absent, RequestKind.SEND, after(60))
    assert (again.n, again.open, again.first_sent_at, again.last_sent_at) == (2, 1, NOW, after(60))
    with pytest.raises(IllegalMove):
        left(moved(first, S.UNKNOWN), RequestKind.SEND, NOW)


# The first request.


@pytest.mark.parametrize(
    ("level", "do"), list(zip(LEVELS, (Do.SEND, Do.SEND, Do.DRAFT, Do.SEND, Do.SEND), strict=True))
)
def test_the_first_request_is_made_at_once(level: str, do: Do) -> None:
    assert came(step(Request(), Taken(), manifest(level), NOW)) == (S.PREPARED, do)


SIGHTS: list[tuple[Seen, RequestState, Do]] = [
    (answer(), S.CONFIRMED, Do.DONE),
    (Refused(reason="no"), S.REJECTED, Do.DONE),
    (NotCarriedOut(reason="down"), S.ABSENT, Do.WAIT),
    (answer(others=("S-2",)), S.DUPLICATE_DETECTED, Do.ASK),
]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("seen", "state", "do"), SIGHTS)
def test_a_clear_answer_is_the_same_on_every_level(level: str, seen: Seen, state: RequestState, do: Do) -> None:
    found = step(sent(S.SENDING), seen, manifest(level), after(1))
    assert came(found) == (state, do)
    assert found.request.in_doubt == (state is S.DUPLICATE_DETECTED)


@pytest.mark.parametrize("level", LEVELS)
def test_no_word_is_unknown_and_only_nobody_to_ask_asks_a_person(level: str) -> None:
    found = step(sent(S.SENDING), NoWord(reason="timeout"), manifest(level), after(10))
    assert came(found) == (S.UNKNOWN, Do.ASK if level == "L0" else Do.WAIT)
    assert found.request.in_doubt


@pytest.mark.parametrize("level", LEVELS)
def test_a_known_key_is_looked_at_and_never_sent_blindly_again(level: str) -> None:
    found = step(sent(S.SENDING), KeyKnown(reason="409"), manifest(level), after(1))
    looks = {"L0": (S.UNKNOWN, Do.ASK), "L1 drafts": (S.RECONCILING, Do.LIST)}
    assert came(found) == looks.get(level, (S.RECONCILING, Do.FIND))


# Once something left.


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("state", [S.SENDING, S.UNKNOWN, S.RECONCILING, S.ABSENT, S.DUPLICATE_DETECTED])
def test_whatever_left_is_looked_for_before_anything_is_sent(level: str, state: RequestState) -> None:
    found = step(sent(state), Taken(), manifest(level), after(3600 * 24))
    if level == "L0":
        assert found.do is Do.ASK
    else:
        assert came(found) == (S.RECONCILING, Do.LIST if "drafts" in level else Do.FIND)


@pytest.mark.parametrize("level", LEVELS[1:])
def test_also_after_a_certain_no_the_supplier_is_asked_before_a_second_request(level: str) -> None:
    known = sent(S.ABSENT, open=0)
    assert step(known, Taken(), manifest(level), after(1)).request.state is S.RECONCILING
    assert step(known, Taken(), manifest("L0"), after(1)).do is Do.SEND, "nobody can be asked, and nothing is in doubt"


@pytest.mark.parametrize(
    ("level", "seconds", "state", "do"),
    [
        *((level, 11.9, S.UNKNOWN, Do.WAIT) for level in ("L1", "L2", "L3")),
        ("L1", 12, S.ABSENT, Do.ASK),
        ("L1", 1e6, S.ABSENT, Do.ASK),
        ("L2", 12, S.ABSENT, Do.SEND),
        ("L2", 1e6, S.ABSENT, Do.SEND),
        ("L3", 12, S.ABSENT, Do.SEND),
        ("L3", 3590, S.ABSENT, Do.SEND),
        ("L3", 3590.1, S.ABSENT, Do.ASK),
    ],
)
def test_absence_counts_after_the_settle_window_and_what_follows_is_the_levels(
    level: str, seconds: float, state: RequestState, do: Do
) -> None:
    found = step(sent(S.RECONCILING), Nothing(), manifest(level), after(seconds))
    assert came(found) == (state, do)
    assert found.request.in_doubt == (do is not Do.SEND), "absence ends the doubt only where it may be sent again"
    if do is Do.WAIT:
        assert found.wait_seconds == pytest.approx(0.1)


def test_the_memory_is_counted_from_the_first_request_that_left() -> None:
    known = sent(S.RECONCILING, n=5, last_sent_at=after(3500))
    assert step(known, Nothing(), manifest("L3"), after(3580)).do is Do.SEND
    assert step(known, Nothing(), manifest("L3"), after(3595)).do is Do.ASK


def test_a_supplier_that_cannot_be_asked_leaves_it_as_it_is() -> None:
    found = step(sent(S.RECONCILING), NotAsked(reason="down", wait_seconds=40), manifest("L2"), after(99))
    assert (*came(found), found.wait_seconds) == (S.UNKNOWN, Do.WAIT, 40)
    calm = step(sent(S.RECONCILING, open=0), NotAsked(reason="down"), manifest("L2"), after(99))
    assert came(calm) == (S.ABSENT, Do.WAIT)


def test_several_orders_under_one_key_are_a_persons_and_nothing_is_cancelled() -> None:
    found = step(sent(S.RECONCILING, open=0), Duplicates(numbers=("S-1", "S-2")), manifest("L1"), NOW)
    assert (*came(found), found.numbers) == (S.DUPLICATE_DETECTED, Do.ASK, ("S-1", "S-2"))
    assert found.request.in_doubt, "nobody closes it as not ordered"
    settled = step(step(found.request, Taken(), manifest("L1"), NOW).request, answer(), manifest("L1"), NOW)
    assert came(settled) == (S.CONFIRMED, Do.DONE), "a person cancelled one of them at the supplier"


def test_another_order_under_our_key_is_not_taken_for_ours() -> None:
    known = sent(S.RECONCILING, lines_digest="b" * 64)
    found = step(known, answer(lines_digest="c" * 64), manifest("L3"), after(20))
    assert (*came(found), found.request.in_doubt) == (S.UNKNOWN, Do.ASK, True)
    assert step(known, answer(lines_digest="b" * 64), manifest("L3"), after(20)).do is Do.DONE


def test_a_no_to_a_repeated_request_ends_nothing_that_is_in_doubt() -> None:
    found = step(sent(S.SENDING, n=3, open=2), Refused(reason="no"), manifest("L1 drafts"), after(1))
    assert (*came(found), found.request.open) == (S.UNKNOWN, Do.WAIT, 1)
    lost = step(sent(S.SENDING, n=3, open=2), NotCarriedOut(reason="down"), manifest("L1 drafts"), after(1))
    assert (*came(lost), lost.request.open) == (S.ABSENT, Do.WAIT, 1)


# Drafts.


DRAFTS = manifest("L1 drafts")


def listed(*drafts: Draft, seconds: float = 60, **more: Any) -> Step:
    return step(sent(S.RECONCILING, **more), Drafts(drafts=drafts), DRAFTS, after(seconds))


def test_a_draft_is_listed_before_it_is_confirmed() -> None:
    found = step(sent(S.SENDING), Drafted(draft="D-1"), DRAFTS, after(1))
    assert came(found) == (S.RECONCILING, Do.LIST)
    kept = listed(draft(1), seconds=1)
    assert (*came(kept), kept.draft) == (S.ABSENT, Do.CONFIRM, "D-1")


def test_of_several_the_oldest_is_kept_and_all_others_are_cancelled_first() -> None:
    found = listed(draft(1), draft(2), draft(3))
    assert (*came(found), found.draft) == (S.ABSENT, Do.CANCEL, "D-3")
    assert came(step(sent(S.SENDING), Cancelled(draft="D-3"), DRAFTS, after(1))) == (S.RECONCILING, Do.LIST)
    gone = DraftState.CANCELLED
    assert listed(draft(1), draft(2), draft(3, gone)).draft == "D-2"
    kept = listed(draft(1), draft(2, gone), draft(3, gone))
    assert (kept.do, kept.draft) == (Do.CONFIRM, "D-1")


def test_a_draft_whose_confirmation_may_be_under_way_is_the_only_one_to_be_confirmed() -> None:
    late_and_older = listed(draft(1), draft(2), draft="D-2")
    assert (late_and_older.do, late_and_older.draft) == (Do.CANCEL, "D-1")
    alone = listed(draft(2), draft="D-2")
    assert (alone.do, alone.draft) == (Do.CONFIRM, "D-2")
    hidden = listed(draft(1), draft="D-2", open=0, seconds=1)
    assert (*came(hidden), hidden.request.in_doubt) == (S.UNKNOWN, Do.WAIT, True), "nobody closes it meanwhile"
    assert listed(draft(1), draft="D-2", seconds=60).do is Do.ASK
    cancelled = listed(draft(1), draft(2, DraftState.CANCELLED), draft="D-2")
    assert (cancelled.do, cancelled.draft) == (Do.CONFIRM, "D-1")


def test_a_draft_orders_nothing_and_is_no_doubt_unless_its_confirmation_may_be_under_way() -> None:
    assert not listed(draft(1), seconds=1).request.in_doubt, "no confirmation left yet"
    assert listed(draft(1), draft="D-1", open=2, seconds=1).request.open == 2
    settled = listed(draft(1), draft="D-1", open=2)
    assert (settled.do, settled.request.open) == (Do.CONFIRM, 0)
    confirming = left(settled.request, RequestKind.CONFIRM, after(61), draft="D-1")
    assert came(step(confirming, Refused(reason="no"), DRAFTS, after(62))) == (S.REJECTED, Do.DONE)


def test_a_confirmed_draft_is_the_order_and_two_are_a_persons() -> None:
    yes = DraftState.CONFIRMED
    found = listed(draft(1), draft(2, yes))
    assert found.answer is not None
    assert (*came(found), found.answer.supplier_number) == (S.CONFIRMED, Do.DONE, "S-2")
    assert came(listed(draft(1, yes), draft(2, yes))) == (S.DUPLICATE_DETECTED, Do.ASK)
    other = listed(draft(1, yes, holds=OLD))
    assert (*came(other), other.request.in_doubt) == (S.UNKNOWN, Do.ASK, True), "it is not what we ordered"
    assert came(listed(draft(1, yes, holds=WANTED))) == (S.CONFIRMED, Do.DONE)
    nameless = Draft(key=KEY, draft="D-1", state=yes)
    assert came(listed(nameless)) == (S.UNKNOWN, Do.ASK)


def test_a_draft_that_was_lost_sight_of_is_waited_for() -> None:
    assert came(listed(seconds=5)) == (S.UNKNOWN, Do.WAIT)
    again = listed(seconds=12)
    assert (*came(again), again.request.in_doubt) == (S.ABSENT, Do.DRAFT, False)
    assert listed(seconds=5, open=0).do is Do.DRAFT


def test_a_draft_that_is_gone_is_a_doubt_about_which_a_person_has_a_word() -> None:
    """Its confirmation was certainly not carried out, and the supplier deleted it, or does not list it any more."""
    found = listed(seconds=60, draft="D-1", open=0)
    assert (*came(found), found.request.in_doubt) == (S.UNKNOWN, Do.ASK, True)
    again = step(found.request, Taken(), DRAFTS, after(90))
    assert came(again) == (S.RECONCILING, Do.LIST)
    assert came(step(again.request, Drafts(drafts=(draft(1),)), DRAFTS, after(90))) == (S.ABSENT, Do.CONFIRM)
    believed = moved(found.request, S.ABSENT, open=0, draft=None)
    assert listed_again(believed).do is Do.DRAFT, "a person says that they have none"
    assert not sends_again_itself(found.request, DRAFTS, after(60))


def listed_again(request: Request, *drafts: Draft) -> Step:
    looking = step(request, Taken(), DRAFTS, after(90))
    return step(looking.request, Drafts(drafts=drafts), DRAFTS, after(90))


def test_only_a_draft_that_is_known_to_hold_what_may_leave_now_is_confirmed() -> None:
    """D-1's answer was lost and its draft not listed; a line was refused, and D-2 was made without it."""
    both = (asked(None, OLD), asked("D-2"))
    found = listed(draft(1), draft(2), drafted=both)
    assert (*came(found), found.draft) == (S.ABSENT, Do.CANCEL, "D-1")
    kept = listed(draft(1, DraftState.CANCELLED), draft(2), drafted=both)
    assert (kept.do, kept.draft, kept.holds) == (Do.CONFIRM, "D-2", WANTED)
    nameless = (asked(None, OLD), asked(None))
    assert listed(draft(1), draft(2), drafted=nameless).draft == "D-2", "nobody can tell them apart: both go"
    assert listed(draft(1), drafted=nameless).do is Do.CANCEL
    told = listed(draft(1, holds=OLD), draft(2, holds=WANTED), drafted=nameless)
    assert (told.do, told.draft) == (Do.CANCEL, "D-1")
    assert listed(draft(2, holds=WANTED), drafted=nameless).do is Do.CONFIRM
    assert listed(draft(1), drafted=()).do is Do.CANCEL, "of one that we know nothing of"
    assert listed(draft(1), lines_digest=None).do is Do.CANCEL


def test_a_draft_that_holds_too_much_is_cancelled_also_when_a_confirmation_left_for_it() -> None:
    """A cancelled draft is not confirmed by what comes late, and one that is an order by now cannot be cancelled."""
    known = {"draft": "D-1", "drafted": (asked("D-1", OLD), asked("D-2"))}
    found = listed(draft(1), draft(2), seconds=1, **known)
    assert (*came(found), found.draft, found.request.open) == (S.ABSENT, Do.CANCEL, "D-1", 1)
    leaving = left(found.request, RequestKind.CANCEL, after(2), draft="D-1")
    gone = step(leaving, Cancelled(draft="D-1"), DRAFTS, after(3))
    assert (gone.request.draft, gone.request.open) == (None, 1), "it may be forgotten, and another one confirmed"
    assert step(gone.request, Drafts(drafts=(draft(2),)), DRAFTS, after(3)).draft == "D-2"
    yes = step(leaving, KeyKnown(reason="it is confirmed"), DRAFTS, after(3))
    assert came(yes) == (S.RECONCILING, Do.LIST)


def test_a_draft_that_the_supplier_changed_is_a_persons() -> None:
    found = listed(draft(1, holds=OLD), drafted=(asked("D-1"),))
    assert (*came(found), found.request.in_doubt) == (S.UNKNOWN, Do.ASK, True), "another one would be changed as well"


def test_what_left_for_a_draft_is_kept_with_its_lines_and_its_name() -> None:
    leaving = left(Request(lines_digest=OLD), RequestKind.DRAFT, NOW, lines_digest=WANTED)
    assert (leaving.lines_digest, leaving.drafted) == (WANTED, (asked(),))
    named = step(leaving, Drafted(draft="D-7"), DRAFTS, after(1)).request
    assert named.drafted == (asked("D-7"),)
    assert left(moved(named, S.ABSENT), RequestKind.CONFIRM, NOW, draft="D-7").drafted == (asked("D-7"),)


# Whoever is asked can answer.


DRAFTED = [
    (), (draft(1),), (draft(1), draft(2)), (draft(1, DraftState.CANCELLED),), (draft(1, DraftState.CONFIRMED),) * 2,
    (draft(1, holds=OLD),), (Draft(key=KEY, draft="D-1", state=DraftState.CONFIRMED),),
]  # fmt: skip
EVERYTHING: list[Seen] = [
    Taken(), NoWord(reason="?"), KeyKnown(reason="409"), Nothing(), Refused(reason="no"), NotCarriedOut(reason="down"),
    NotAsked(reason="down"), answer(), answer(lines_digest=OLD), answer(others=("S-2",)),
    Drafted(draft="D-1"), Cancelled(draft="D-1"), *(Drafts(drafts=drafts) for drafts in DRAFTED),
]  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
def test_whatever_is_a_question_to_a_person_is_a_doubt_and_the_person_has_a_word(level: str) -> None:
    states = [state for state in S if not state.is_final and state is not S.PREPARED]
    drafts = [None, "D-1", "D-2"]
    asked_for = 0
    for state, seen, open_requests, name, seconds in product(states, EVERYTHING, (0, 1, 2), drafts, (1, 60)):
        request = sent(state, open=open_requests, draft=name, drafted=(asked("D-1"),))
        try:
            found = step(request, seen, manifest(level), after(seconds))
        except IllegalMove:
            continue
        if found.request.state is S.UNKNOWN:
            assert found.request.in_doubt or not open_requests, f"{request} {seen} became {found}"
        if found.do is Do.ASK:
            asked_for += 1
            assert found.request.in_doubt, f"nobody has a word: {request} {seen} became {found}"
            assert not why_not_confirm(found.request, leased=False)
            assert not why_not_look(found.request, manifest(level), leased=False) or level == "L0"
            twice = found.request.state is S.DUPLICATE_DETECTED
            assert bool(why_not_send(found.request, manifest(level), after(99), leased=False)) is twice
            closing = why_not_close(OrderState.IN_DOUBT, open_requests=found.request.open, leased=False)
            assert "left nothing behind" in closing
    assert asked_for


def test_what_was_left_unknown_without_a_count_is_a_doubt_and_not_closed() -> None:
    """Rows of an earlier release: the database withdraws nothing that is unknown."""
    stuck = sent(open=0, draft="D-1")
    assert why_not_look(stuck, DRAFTS, leased=False) == why_not_confirm(stuck, leased=False) == ""
    assert why_not_send(stuck, DRAFTS, after(60), leased=False) == ""
    for state in S:
        reason = why_not_close(OrderState.IN_DOUBT, open_requests=0, leased=False, request=state)
        assert bool(reason) is (S.WITHDRAWN not in MOVES[state] and not state.is_final), state


# What a system promises.


def test_the_settle_window_is_the_suppliers_longest_transaction_and_our_patience() -> None:
    assert manifest("L2").settle_s == 12
    assert [settles_in(manifest("L2"), NOW, after(n)) for n in (0, 11, 12, 99)] == [12, 1, 0, 0]


@pytest.mark.parametrize("level", LEVELS)
def test_only_a_system_that_tells_repeated_orders_apart_is_sent_to_again(level: str) -> None:
    assert may_send_again(manifest(level), NOW, NOW, after(100)) == (level in {"L2", "L3"})


def test_a_manifest_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValidationError, match="finds nothing"):
        manifest("L0 drafts")
    with pytest.raises(ValidationError, match="memory_s"):
        manifest("L3", memory_s=0)
    for field in ("longest_transaction_s", "http_timeout_s", "memory_s", "requests_per_second"):
        for value in (-1, float("nan"), float("inf")):
            with pytest.raises(ValidationError):
                manifest("L2", **{field: value})


def test_of_two_manifests_the_weaker_promises_count() -> None:
    found = at_most(manifest("L3"), manifest("L1 drafts", longest_transaction_s=50))
    assert (found.level, found.drafts, found.settle_s) == (L.L1, False, 60), "what began without drafts goes on so"
    assert at_most(manifest("L1 drafts"), manifest("L2")).drafts_first
    # It was sent directly, so what it left is no draft: to look for drafts and make one would be a second order.
    assert not at_most(manifest("L2 drafts"), manifest("L1 drafts")).drafts_first
    assert not at_most(manifest("L3 drafts"), manifest("L1")).drafts_first
    assert not carried_on(manifest("L1 drafts"), None).drafts_first, "of an earlier release, which knew of no drafts"
    assert carried_on(manifest("L2"), None) == manifest("L2")
    assert carried_on(manifest("L2"), manifest("L1")) == at_most(manifest("L1"), manifest("L2"))
    assert at_most(manifest("L1 drafts"), manifest("L0")) == manifest("L0").model_copy()
    assert at_most(manifest("L3", memory_s=9), manifest("L3", memory_s=99)).memory_s == 9

"""One order at one supplier: crashes, lost and late answers, zombies, stops, refusals and people, in any order."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.model.ordering import Clock, Fates, OrderRow, Rules, attempt, told_by_a_person
from tests.model.supplier import Fate, ModelSupplier
from workflows.domain.capabilities import DedupeLevel, Manifest
from workflows.domain.doubt import why_not_confirm
from workflows.domain.identity import order_key
from workflows.domain.order_steps import why_not_close
from workflows.domain.orders import OrderState
from workflows.domain.requests import MOVES, RequestState

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
KEY = order_key("acme", "LEEDS", "2025-03-04", 1)
MEMORY_S = 300.0
MANIFESTS = tuple(
    Manifest(
        name="model", level=level, drafts=drafts, longest_transaction_s=5, http_timeout_s=10,
        memory_s=MEMORY_S if level is DedupeLevel.L3 else 0,
    )
    for level, drafts in [*((level, False) for level in DedupeLevel), (DedupeLevel.L1, True)]
)  # fmt: skip
PAUSES = (9.0, 16.0, 61.0, 61.0, 400.0)
"""Within the settle window, beyond it, beyond a lease, beyond the supplier's memory."""


class Sending(RuleBasedStateMachine):
    """I3 and I10 for one key. `law` and `manifests` are other ones where a bug is planted."""

    law = Rules()
    manifests = MANIFESTS
    prelude: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    """What has happened already: rules by name, with what they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.fates = Clock(NOON), Fates()
        self.running: list[Generator[str, None, None]] = []
        self.started = 0
        self.before = RequestState.PREPARED

    @initialize(which=st.integers(0, 4))
    def at_a_supplier(self, which: int) -> None:
        self.manifest = self.manifests[which % len(self.manifests)]
        self.rows = [self._order()]
        for name, given in self.prelude:
            getattr(self, name)(*given)

    def _order(self) -> OrderRow:
        self.before = RequestState.PREPARED
        return OrderRow(ModelSupplier(self.manifest, KEY), self.law)

    @property
    def row(self) -> OrderRow:
        """The newest order; attempts at earlier ones may still be under way."""
        return self.rows[-1]

    @rule(fates=st.lists(st.sampled_from(list(Fate)), max_size=3), steps=st.sampled_from((1, 2, 99, 99)))
    def an_attempt(self, fates: list[Fate], steps: int) -> None:
        """One begins, and its requests meet this; it may stand still after a few steps."""
        if self.row.request.state.is_final:
            self.rows.append(self._order())
        self.started += 1
        # What L3 promises ends with its memory, so there nothing comes later than is declared.
        declared = self.manifest.level is DedupeLevel.L3
        self.fates.waiting = [Fate.LATE if declared and one is Fate.MUCH_LATER else one for one in fates]
        self.running.append(attempt(self.row, f"attempt-{self.started}", self.clock, self.fates))
        self.go_on(len(self.running) - 1, steps)

    @rule()
    def a_good_attempt(self) -> None:
        """Nothing happens to it. A rule of its own, so that good and bad ones come about equally often."""
        self.an_attempt([], 99)

    @rule()
    def a_moment_passes(self) -> None:
        self.time_passes(1.0)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 2), steps=st.sampled_from((1, 2, 99)))
    def go_on(self, which: int, steps: int) -> None:
        """One of the attempts goes on, however long it stood still."""
        which %= len(self.running)
        for _ in range(steps):
            if not self._go_on(which):
                break

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 2))
    def crash(self, which: int) -> None:
        self.running.pop(which % len(self.running)).close()

    @rule()
    def the_next_question_is_not_heard(self) -> None:
        self.fates.deaf = True

    @rule(seconds=st.sampled_from(PAUSES))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += timedelta(seconds=seconds)
        for row in self.rows:
            row.supplier.pass_time(self.clock.now)

    @precondition(lambda self: any(row.supplier.late for row in self.rows))
    @rule()
    def what_is_late_arrives(self) -> None:
        for row in self.rows:
            row.supplier.hurry(self.clock.now)

    @rule()
    def the_supplier_refuses_the_next(self) -> None:
        self.row.supplier.refuses = True

    @precondition(lambda self: self.manifest.level in {DedupeLevel.L2, DedupeLevel.L3})
    @rule()
    def its_search_falls_behind_or_catches_up(self) -> None:
        self.row.supplier.blind = not self.row.supplier.blind

    @precondition(lambda self: self.manifest.drafts_first)
    @rule()
    def its_list_of_drafts_falls_behind_or_catches_up(self) -> None:
        """Beyond the settle window, too: what it lists may be less than what it has."""
        self.row.supplier.blind = not self.row.supplier.blind

    @precondition(lambda self: self.manifest.drafts_first)
    @rule()
    def it_leaves_out_what_it_has_now(self) -> None:
        self.row.supplier.hidden ^= set(self.row.supplier.drafts)

    @precondition(lambda self: self.manifest.drafts_first)
    @rule()
    def somebody_there_deletes_a_draft(self) -> None:
        self.row.supplier.delete_a_draft()

    @precondition(lambda self: self.manifest.drafts_first)
    @rule()
    def its_list_says_what_is_in_drafts_or_does_not(self) -> None:
        self.row.supplier.tells = not self.row.supplier.tells

    @rule()
    def a_line_is_refused(self) -> None:
        self.row.refused += 1

    @rule()
    def somebody_stops_the_next(self) -> None:
        self.row.stopped = True

    @precondition(lambda self: self.row.asks and self._settled() and not self.row.supplier.overdue)
    @rule()
    def a_person_says_what_there_is(self) -> None:
        told_by_a_person(self.row)

    def teardown(self) -> None:
        """I8: mended, the newest order comes to its end or asks a person, within a bounded number of attempts."""
        if not hasattr(self, "rows"):
            return
        row = self.row
        row.stopped, row.supplier.blind, self.fates.deaf = False, False, False
        row.supplier.hidden.clear()
        for _ in range(12):
            if row.request.state.is_final or row.asks:
                self.at_most_one_order()
                return
            self.time_passes(61.0)
            self.an_attempt([], 99)
        raise AssertionError(f"I8: after twelve good attempts it is still {row.request}")

    @invariant()
    def at_most_one_order(self) -> None:
        for row in getattr(self, "rows", ()):
            assert len(row.supplier.booked) <= 1, f"I3: {row.supplier.booked} on {row.supplier.manifest}"

    @invariant()
    def no_line_is_ordered_that_was_refused_before_its_confirmation_left(self) -> None:
        for row in getattr(self, "rows", ()):
            for call in row.supplier.ordered:
                holds = row.supplier.holds[call.draft or ""]
                assert holds == call.lines, f"I4: {call.draft} holds {holds[:6]}, and {call.lines[:6]} may leave"

    @invariant()
    def a_question_to_a_person_is_one_that_a_person_can_answer(self) -> None:
        for row in getattr(self, "rows", ()):
            if row.asks:
                assert not why_not_confirm(row.request, leased=False), f"I8: {row.request}"
                closing = why_not_close(OrderState.IN_DOUBT, open_requests=row.request.open, leased=False)
                assert closing, f"I3: {row.request} may be closed as not ordered"

    @invariant()
    def what_we_say_is_what_the_supplier_has(self) -> None:
        for row in getattr(self, "rows", ()):
            request, booked = row.request, row.supplier.booked
            if not row.supplier.kept_its_word or not self.law.sends_at_once:
                continue  # too late is a difference for the reconciliation, and never a second order
            if request.state is RequestState.CONFIRMED:
                assert booked, "I10: confirmed, and the supplier has nothing"
            if request.state in {RequestState.REJECTED, RequestState.WITHDRAWN}:
                assert not booked, f"I10: {request.state}, and the supplier has {booked}"
            lost = booked and request.state in {RequestState.PREPARED, RequestState.ABSENT}
            # Where a second request is recognised, what the search does not find is sent again.
            if lost and self.manifest.level in {DedupeLevel.L0, DedupeLevel.L1} and not self.manifest.drafts_first:
                assert request.in_doubt or row.asks, f"I10: {request}, and it has {booked}"

    def _settled(self) -> bool:
        """Somebody looks after the settle window: so it says on the page, and before it nobody is asked on L1 to L3,
        unless it is about a draft. Of a draft nobody says anything while a process is frozen that may confirm it."""
        request, manifest = self.row.request, self.row.supplier.manifest
        if manifest.drafts_first and self.running and not self.law.sends_at_once:
            return False
        if (manifest.finds and not manifest.drafts_first) or request.last_sent_at is None:
            return True
        return self.clock.now > request.last_sent_at + timedelta(seconds=manifest.settle_s)

    def _go_on(self, which: int) -> bool:
        try:
            next(self.running[which])
        except StopIteration:
            self.running.pop(which)
            return False
        return True

    @invariant()
    def only_moves_that_the_machine_knows(self) -> None:
        if hasattr(self, "rows"):
            state = self.row.request.state
            assert state is self.before or self._leads_to(self.before, state), f"{self.before} became {state}"
            self.before = state

    @staticmethod
    def _leads_to(before: RequestState, after: RequestState) -> bool:
        """Several steps may lie between two looks."""
        seen, ahead = {before}, {before}
        while ahead:
            ahead = {later for one in ahead for later in MOVES[one]} - seen
            seen |= ahead
        return after in seen

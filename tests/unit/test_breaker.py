"""The circuit breaker as a rule: it opens when nobody answers, asks one question before it closes, and only delays."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from workflows.domain.breaker import Circuit, Gate, Phase, Rule, after, gate

NOW = datetime(2025, 3, 3, 6, tzinfo=UTC)
RULE = Rule()


def seconds(n: float) -> timedelta:
    return timedelta(seconds=n)


def told(circuit: Circuit, answers: str, *, rule: Rule = RULE, now: datetime = NOW, asked: bool = False) -> Circuit:
    """After these requests: `+` was answered, `-` was not."""
    for answer in answers:
        circuit = after(circuit, answered=answer == "+", asked=asked, now=now, rule=rule)
    return circuit


def asked(circuit: Circuit, now: datetime = NOW, rule: Rule = RULE) -> Gate:
    return gate(circuit, changes_something=False, now=now, rule=rule)


def sent(circuit: Circuit, now: datetime = NOW, rule: Rule = RULE) -> Gate:
    return gate(circuit, changes_something=True, now=now, rule=rule)


def test_it_opens_after_so_many_in_a_row_and_not_before() -> None:
    assert told(Circuit(), "----").phase is Phase.CLOSED
    assert told(Circuit(), "----+----").phase is Phase.CLOSED
    opened = told(Circuit(), "-----")
    assert (opened.phase, opened.openings, opened.opened_at) == (Phase.OPEN, 1, NOW)
    assert sent(opened).wait_seconds == asked(opened).wait_seconds == 15


def test_it_opens_where_half_of_a_window_was_not_answered() -> None:
    assert told(Circuit(), "+-" * 9 + "+").phase is Phase.CLOSED, "nineteen say nothing about a share"
    assert told(Circuit(), "+-" * 10).phase is Phase.OPEN
    assert told(Circuit(), "++-" * 20).phase is Phase.CLOSED
    later = told(told(Circuit(), "+-" * 9), "+-" * 9, now=NOW + seconds(61))
    assert later.phase is Phase.CLOSED, "another window"


def test_answers_that_were_counted_elsewhere_count_in_the_share_and_end_a_row() -> None:
    four = told(Circuit(), "----")
    fifth = after(four, answered=False, asked=False, now=NOW, rule=RULE, requests=30)
    assert (fifth.phase, fifth.in_a_row, fifth.window_requests, fifth.window_unanswered) == (Phase.CLOSED, 1, 34, 5)


def test_half_open_lets_one_question_go_and_nothing_that_changes_something() -> None:
    opened = told(Circuit(), "-----")
    over = NOW + seconds(15)
    write = sent(opened, over)
    assert write.wait_seconds > 0
    assert write.probe_first
    probe = asked(opened, over)
    assert (probe.wait_seconds, probe.circuit.phase) == (0, Phase.HALF_OPEN)
    second = asked(probe.circuit, over + seconds(1))
    assert 0 < second.wait_seconds <= RULE.look_again_seconds, "an answer takes moments, not as long as a death"
    assert not sent(probe.circuit, over + seconds(1)).probe_first, "somebody asks already"
    closed = after(probe.circuit, answered=True, asked=True, now=over, rule=RULE)
    assert closed == Circuit()
    assert sent(closed).wait_seconds == 0


def test_a_probe_that_is_not_answered_opens_it_for_twice_as_long_up_to_a_bound() -> None:
    circuit, now, waits = told(Circuit(), "-----"), NOW, []
    for _ in range(8):
        waits.append(asked(circuit, now).wait_seconds)
        now += seconds(waits[-1])
        circuit = after(asked(circuit, now).circuit, answered=False, asked=True, now=now, rule=RULE)
    assert waits == [15, 30, 60, 120, 240, 300, 300, 300]
    assert circuit.opened_at == NOW


def test_a_prober_that_died_is_given_up() -> None:
    probe = asked(told(Circuit(), "-----"), NOW + seconds(15)).circuit
    assert asked(probe, NOW + seconds(74)).wait_seconds > 0
    assert asked(probe, NOW + seconds(75)).wait_seconds == 0


def test_what_comes_home_late_closes_nothing() -> None:
    opened = told(Circuit(), "-----")
    assert told(opened, "+++", asked=True) == opened
    probe = asked(opened, NOW + seconds(15)).circuit
    assert told(probe, "+").phase is Phase.HALF_OPEN, "an answer to something that was sent before it opened"


def test_of_a_supplier_that_answers_no_questions_an_order_is_the_probe() -> None:
    mute = Rule(can_be_asked=False)
    opened = told(Circuit(), "-----", rule=mute)
    probe = sent(opened, NOW + seconds(15), mute)
    assert (probe.wait_seconds, probe.circuit.phase) == (0, Phase.HALF_OPEN)
    assert sent(probe.circuit, NOW + seconds(16), mute).wait_seconds > 0
    assert told(probe.circuit, "+", rule=mute) == Circuit()


def test_a_clock_that_was_set_back_stops_nobody_for_long() -> None:
    opened = told(Circuit(), "-----")
    assert asked(opened, NOW - timedelta(days=400)).wait_seconds == 15


@given(st.text("+-", max_size=80))
def test_with_answers_in_between_it_never_opens_for_a_row(answers: str) -> None:
    circuit = told(Circuit(), answers, rule=Rule(window_requests=10_000))
    assert (circuit.phase is Phase.OPEN) == ("-----" in answers)


class Breaker(RuleBasedStateMachine):
    """Requests of several workers leave, are answered or lost in any order, workers die, and time passes."""

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.circuit = Circuit()
        self.under_way: list[bool] = []
        self.probes = 0

    @rule(question=st.booleans())
    def leave(self, question: bool) -> None:
        before = self.circuit
        found = gate(before, changes_something=not question, now=self.now, rule=RULE)
        self.circuit = found.circuit
        if found.wait_seconds > 0:
            assert found.circuit == before, "who is told to wait changes nothing"
            assert found.wait_seconds <= RULE.longest_open_seconds
            return
        assert before.phase is Phase.CLOSED or question, "a probe changes nothing at the supplier"
        self.under_way.append(question)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), answered=st.booleans())
    def come_home(self, data: st.DataObject, answered: bool) -> None:
        question = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        was = self.circuit
        self.circuit = after(was, answered=answered, asked=question, now=self.now, rule=RULE)
        if was.phase is not Phase.CLOSED and self.circuit.phase is Phase.CLOSED:
            assert was.phase is Phase.HALF_OPEN
            assert answered
            assert question, "only the answer to a question closes it"

    @precondition(lambda self: self.under_way)
    @rule()
    def die(self) -> None:
        self.under_way.clear()

    @rule(gone=st.sampled_from([0.1, 1.0, 16.0, 61.0, 301.0]))
    def pass_time(self, gone: float) -> None:
        self.now += seconds(gone)

    @invariant()
    def somebody_may_ask_again_in_time(self) -> None:
        """It never sticks: after the longest wait a question goes, whatever happened."""
        later = self.now + seconds(RULE.longest_open_seconds)
        assert gate(self.circuit, changes_something=False, now=later, rule=RULE).wait_seconds == 0


TestBreaker = Breaker.TestCase
TestBreaker.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("field", sorted(Circuit.model_fields))
def test_it_knows_nothing_of_orders(field: str) -> None:
    """It is told outcomes and gives none: nothing in it could make an unknown order a failed one."""
    assert "order" not in field
    assert "state" not in field

"""The gate looks at orders too: a candidate that would have decided all too differently is not promoted unseen."""

from decimal import Decimal
from typing import Any

import pytest

from activities.counterfactual import Counterfactuals
from tests.fakes.recordings import MemoryRecordings
from tests.unit.recorded_batch import OTHER, TwoModels, bodies, need, option, recorded
from tests.unit.test_models import comparison
from workflows.domain.counterfactual import Counterfactual, Other, Reason, Recorded, Sums, Totals, Unread, Which
from workflows.domain.identity import canonical
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.models import promotion_gate
from workflows.domain.policies import Policy
from workflows.domain.steadiness import LEAST, steady
from workflows.domain.tallying import NOT_AFTERWARDS, Tallying

BEFORE = Sums(hold=140, auto=40, review=20, auto_value=Decimal(4000), review_value=Decimal(6000), auto_units=400,
              review_units=600)  # fmt: skip


def found(after: Sums = BEFORE, *, compared: int = 200, flipped: int = 10, **more: Any) -> Counterfactual:
    newly = {name: more.pop(name) for name in list(more) if name.startswith("newly")}
    totals = (Totals(currency="EUR", before=BEFORE, after=after, **newly),)
    return Counterfactual(
        which=Which(newest=500), policy=None, model=OTHER, compared=compared, flipped=flipped, totals=totals,
        sha256=OTHER, **more,
    )  # fmt: skip


def failing(what: Counterfactual) -> list[str]:
    return [words for ok, words in steady(what) if not ok]


def test_a_candidate_that_decides_nearly_the_same_is_steady() -> None:
    assert failing(found()) == []
    assert len(list(steady(found()))) == 4


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"flipped": 61}, "0.3050 of 200 recorded decisions would end elsewhere"),
        ({"after": BEFORE.model_copy(update={"review_value": Decimal(11001)})}, "ordered value in EUR 10000"),
        ({"after": BEFORE.model_copy(update={"auto_value": Decimal(0), "review_value": Decimal(4999)})}, "0.5001 away"),
        ({"after": BEFORE.model_copy(update={"auto_units": 901})}, "ordered units in EUR 1000 would be 1501"),
        ({"newly_automatic": 9, "newly_automatic_value": Decimal(2510)}, "newly go out without a person, 0.2510"),
    ],
)
def test_beyond_a_bound_it_says_which(other: dict[str, Any], words: str) -> None:
    assert any(words in one for one in failing(found(**other)))


def test_on_a_bound_it_holds() -> None:
    half = BEFORE.model_copy(update={"auto_value": Decimal(0), "review_value": Decimal(5000)})
    assert failing(found(half, flipped=60, newly_automatic=9, newly_automatic_value=Decimal(2500))) == []


def test_too_few_decisions_pass_and_say_so() -> None:
    gap = (Reason(why="what was scored was not recorded", decisions=900),)
    ((ok, words),) = steady(found(compared=LEAST - 1, flipped=99, not_possible=gap))
    assert ok
    assert words == (
        "not compared on recorded decisions: 99 can be made again, 900 cannot (what was scored was not recorded), at "
        "least 100 are needed"
    )


def test_few_orders_of_a_currency_say_nothing_of_it() -> None:
    few = Sums(hold=190, auto=10, auto_value=Decimal(10))
    one = Totals(currency="USD", before=few, after=few.model_copy(update={"auto_value": Decimal(900)}))
    assert failing(found().model_copy(update={"totals": (one,)})) == []


def test_the_gate_refuses_what_moves_too_much_and_asks_where_the_policy_asks() -> None:
    moved = comparison().model_copy(update={"redecided": found(flipped=100)})
    refused, asked = promotion_gate(moved), promotion_gate(moved, asks=True)
    assert not refused.passed
    assert asked.passed
    assert any(one.startswith("failed: 0.5000 of 200") for one in refused.reasons)
    assert any(one.startswith("asks: 0.5000 of 200") for one in asked.reasons)
    worse = moved.model_copy(update={"loss_ratio": Decimal("1.1")})
    assert not promotion_gate(worse, asks=True).passed, "a person is not asked about what forecasts worse"


def test_a_comparison_of_before_there_was_this_rule_is_judged_as_it_was() -> None:
    assert promotion_gate(comparison()).passed
    assert not any("recorded decisions" in one for one in promotion_gate(comparison()).reasons)


def asking(scoring: TwoModels, batches: int = 3) -> tuple[Counterfactuals, MemoryRecordings]:
    recordings = MemoryRecordings()
    batch = tuple(recorded(*(need(n, option(fixed="30")) for n in range(1, 8))))
    recordings.batches = [Recorded(read=batch, entries=7)] * batches
    return Counterfactuals(recordings, scoring, bodies), recordings


def test_an_answer_adds_up_and_is_the_same_again() -> None:
    again, _ = asking(TwoModels(otherwise=20))
    told: list[int] = []
    bars: list[tuple[str, int, int]] = []
    answer = again.ask(
        Which(newest=500), Other(model=OTHER),
        progress=lambda *step: bars.append(step), told=lambda compared, _: told.append(len(list(compared))),
    )  # fmt: skip
    assert (answer.compared, answer.changed, told) == (21, 21, [7, 7, 7])
    assert bars[-1] == ("decisions made again", 21, 21)
    (total,) = answer.totals
    assert total.currency == "EUR"
    assert total.after.units > total.before.units > 0
    assert total.before.value == sum(one.before.value for one in answer.biggest)
    assert answer == again.ask(Which(newest=500), Other(model=OTHER))
    assert NOT_AFTERWARDS in answer.notes
    other, _ = asking(TwoModels(otherwise=21))
    assert other.ask(Which(newest=500), Other(model=OTHER)).sha256 != answer.sha256


def test_what_cannot_be_read_is_counted_by_its_reason() -> None:
    again, recordings = asking(TwoModels())
    gaps = (Unread(decision_id="batch", why="only counted", decisions=40), Unread(decision_id="x", why="gone"),
            Unread(decision_id="y", why="not asked", asked=False))  # fmt: skip
    recordings.batches.append(Recorded(unread=gaps))
    answer = again.ask(Which(), Other(model=OTHER))
    assert [(one.why, one.decisions) for one in answer.not_possible] == [("only counted", 40), ("gone", 1)]


def test_currencies_are_never_added_up() -> None:
    again, recordings = asking(TwoModels(), batches=1)
    (batch,) = recordings.batches
    other = tuple(
        one.model_copy(update={"inputs": one.inputs.model_copy(update={"currency": "USD"})}) for one in batch.read
    )
    recordings.batches.append(Recorded(read=other))
    answer = again.ask(Which(), Other(model=OTHER))
    assert [one.currency for one in answer.totals] == ["EUR", "USD"]


def test_the_record_of_a_judgement_stays_far_below_what_an_entry_may_have() -> None:
    again, _ = asking(TwoModels(otherwise=30), batches=80)
    answer = again.ask(Which(), Other(model=OTHER))
    body = {"comparison": comparison().model_copy(update={"redecided": answer}).model_dump(mode="json")}
    entry = NewEntry(stream="model:x", type=EntryType.MODEL_JUDGED, actor="engine",
                     occurred_at=answer.biggest[0].decided_at, body=body)  # fmt: skip
    assert len(entry.body_bytes()) < 32_000
    assert len(canonical(answer)) > 1_000


def test_what_would_newly_go_out_alone_is_counted_with_its_value() -> None:
    asks, lets = Policy(auto_value_limit=Decimal(1)), Policy(version=2)
    recordings = MemoryRecordings()
    recordings.batches = [Recorded(read=tuple(recorded(need(1), need(2), policy=asks)))]
    again = Counterfactuals(recordings, TwoModels(), bodies)
    (total,) = again.ask(Which(), Other(policy=lets)).totals
    assert (total.newly_automatic, total.newly_automatic_value) == (2, total.after.auto_value)
    assert (total.no_longer_automatic, total.before.auto) == (0, 0)
    recordings.batches = [Recorded(read=tuple(recorded(need(1), policy=lets)))]
    (back,) = again.ask(Which(), Other(policy=asks)).totals
    assert (back.newly_automatic, back.no_longer_automatic) == (0, 1)


def test_an_empty_answer_is_an_answer() -> None:
    answer = Tallying(Which(), Other(model=OTHER)).result()
    assert (answer.compared, answer.totals, answer.not_possible) == (0, (), ())

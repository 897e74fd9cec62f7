"""What needs nothing is held without weighing offers, and recorded to the byte as if they had been weighed."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.fakes.recorded import MORNING, facts_of
from tests.storeroom import HandScoring
from tests.unit.learning_world import row, series
from workflows.domain import assessing
from workflows.domain.decisions import Decided, Hold, NeedFacts, SupplyOption
from workflows.domain.identity import canonical, digest
from workflows.domain.limits import Override, ServiceAim, ServiceMeasure
from workflows.domain.needs import NeedBatch
from workflows.domain.plain_holds import needs_nothing
from workflows.domain.policies import Policy
from workflows.domain.ports import BatchFacts
from workflows.domain.scores import Scores

AIM = ServiceAim(measure=ServiceMeasure.FILL, target=Decimal("0.97"))
TWO = (("S1", "4.20", 2), ("S2", "3.90", 6))


def blocked(option: SupplyOption) -> SupplyOption:
    return option.model_copy(update={"supplier": option.supplier.model_copy(update={"blocked": True})})


def free(option: SupplyOption) -> SupplyOption:
    return option


def needs() -> list[NeedFacts]:
    """From empty shelves to full ones, some with another supplier, a blocked one or a wish."""
    listed = []
    for number in range(40):
        one = row(series(f"I{number:02}", [1, 0, 2] * 60), on_hand=number * 3, review_days=1 + number % 3)
        two = TWO if number % 7 == 3 else TWO[:1]
        listed.append(
            facts_of(
                one, suppliers=two, order_cost=str(number % 5), price="12.50",
                wanted="S1" if number % 11 == 5 else None, change=blocked if number % 13 == 7 else free,
            )
        )  # fmt: skip
    return listed


def scores_of(facts: Sequence[NeedFacts]) -> list[Scores]:
    scoring = HandScoring(daily=3.0)
    scoring.of_item = {"I30": {"daily": 0.0}, "I31": {"daily": 0.0}}
    return [one for facts in facts for one in scoring.score(assessing.rows_of(facts), b"")]


def batch(facts: Sequence[NeedFacts], policy: Policy) -> BatchFacts:
    given = NeedBatch(batch_id="b", location="L1", clock=MORNING, needs=len(facts))
    return BatchFacts(
        batch=given, facts=tuple(facts), policy=policy, currency="EUR", holding_rate_per_year=Decimal("0.25"),
        drift_alarms={"smooth": ("it drifts",)},
    )  # fmt: skip


def told(decided: Sequence[Decided]) -> list[tuple[bytes, bytes]]:
    for one in decided:
        words = one.written
        assert words is one.words
        assert (words.inputs, words.decision) == (canonical(one.inputs), canonical(one.decision))
        assert one.decision.inputs_digest == digest(words.inputs)
        assert type(one.decision).model_validate(one.decision.model_dump()) == one.decision
    return [(one.written.inputs, one.written.decision) for one in decided]


@pytest.mark.parametrize(
    ("policy", "plain"),
    [
        (Policy(), True),
        (Policy(service=AIM), False),
        (Policy(overrides=(Override(location="elsewhere", service=AIM),)), True),
        (Policy(overrides=(Override(item="I20", service=AIM),)), True),
    ],
)
def test_plain_holds_are_decided_as_everything_is(policy: Policy, plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = needs()
    scored = scores_of(facts)
    asked: list[bool] = []
    real = needs_nothing

    def noted(facts: NeedFacts, scores: Scores, policy: Policy) -> bool:
        asked.append(real(facts, scores, policy))
        return asked[-1]

    monkeypatch.setattr(assessing, "needs_nothing", noted)
    quick = assessing.decide_all(batch(facts, policy), scored, "a" * 64)
    monkeypatch.setattr(assessing, "needs_nothing", lambda *_: False)
    assert told(quick) == told(assessing.decide_all(batch(facts, policy), scored, "a" * 64))
    assert any(asked) is plain, "the short way was taken"
    assert not all(asked)
    kinds = {one.decision.result.kind for one in quick}
    assert kinds == {"hold", "proposal"}
    reasons = {one.decision.result.reason for one in quick if isinstance(one.decision.result, Hold)}
    assert {"covered", "no_demand"} <= {str(reason) for reason in reasons}


def test_a_changed_copy_does_not_keep_the_words_of_its_original() -> None:
    facts = needs()[:1]
    (one,) = assessing.decide_all(batch(facts, Policy()), scores_of(facts), "a" * 64)
    other = one.model_copy(update={"inputs": one.inputs.model_copy(update={"currency": "USD"})})
    assert b"USD" in other.written.inputs

"""What a decision costs: measured seconds, bytes and verdicts, each at its documented price."""

from datetime import date
from decimal import Decimal

from workflows.domain.money import (
    CORE_HOUR,
    DEFINITIONS,
    GIGABYTE_MONTH,
    KEPT_MONTHS,
    AvoidedWeek,
    CostAvoided,
    CostPerDecision,
    Costs,
    MoneyReport,
    interval,
)


def cost(**more: object) -> CostPerDecision:
    """A thousand decisions, thirty of them answered."""
    told: dict[str, object] = {
        "decisions": 1000, "compute_seconds": Decimal(7200), "storage_bytes": 2 * 10**9, "verdicts": 30,
        "review_minutes": 2, "wage_per_hour": Decimal(40), **more,
    }  # fmt: skip
    return CostPerDecision.model_validate(told)


def test_the_parts_add_up() -> None:
    one = cost()
    assert one.compute == 2 * CORE_HOUR
    assert one.storage == 2 * GIGABYTE_MONTH * KEPT_MONTHS
    assert one.people == 40
    assert one.review_share == Decimal("0.03")
    assert one.per_decision is not None
    assert one.per_decision == (one.compute + one.storage + one.people) / 1000
    assert one.at_review_share == one.per_decision, "thirty of a thousand are three per cent"
    assert cost(verdicts=300).at_review_share == one.at_review_share
    assert cost(verdicts=300).people == 400


def test_before_the_first_decision_there_is_no_figure() -> None:
    none = cost(decisions=0)
    assert none.per_decision is none.at_review_share is none.review_share is None
    assert none.document()["per_decision"] is None


def test_the_interval_is_that_of_a_sum_of_differences() -> None:
    assert interval(Decimal(100), 25, Decimal(4)) == (Decimal("60.80"), Decimal("139.20"))
    assert interval(Decimal(100), 9, Decimal(4)) == (None, None), "too few to say"
    assert interval(Decimal(100), 25, None) == (None, None)


def test_weeks_add_up_and_the_document_carries_every_definition() -> None:
    weeks = tuple(
        AvoidedWeek(
            week=date(2025, 3, 10 - 7 * back), decisions=3, days=20, happened=Costs(holding=Decimal(2)),
            static=Costs(holding=Decimal(1), shortage=Decimal(4), ordering=Decimal(back)),
        )
        for back in range(2)
    )  # fmt: skip
    avoided = CostAvoided(weeks=weeks, places=4, censored_days=10)
    assert avoided.avoided == 7
    assert (avoided.days, avoided.decisions) == (40, 6)
    assert avoided.censored_share == Decimal("0.25")
    document = MoneyReport(currency="EUR", cost=cost(), avoided=avoided).document()
    assert document["definitions"] == DEFINITIONS
    told = document["cost_avoided"]
    assert isinstance(told, dict)
    assert (told["avoided"], told["happened"], told["static"]) == ("7.00", "4.00", "11.00")
    assert [week["avoided"] for week in told["weeks"]] == ["3.00", "4.00"]

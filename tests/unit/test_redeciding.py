"""Recorded decisions made again: another policy or model changes what it should, and the same ones nothing."""

from decimal import Decimal

import pytest

from tests.unit.recorded_batch import OTHER, TwoModels, bodies, need, option, recorded
from workflows.domain.counterfactual import Company, Compared, Other, Outcome, Past, Unread
from workflows.domain.evidence import EvidenceMissing
from workflows.domain.identity import Digest
from workflows.domain.limits import ServiceAim
from workflows.domain.policies import Policy
from workflows.domain.redeciding import CATALOG_DAYS_UNKNOWN, redecide

SAME_LIMITS = Policy(version=2)
"""Another digest, and nothing else."""
UNSURE = Policy(version=2, service=ServiceAim.model_validate({"target": "0.55", "measure": "cycle"}))


def again(batch: list[Past], other: Other, scoring: TwoModels | None = None) -> list[Compared]:
    compared, unread = redecide(batch, other, bodies, scoring or TwoModels())
    assert unread == []
    return compared


def shared(fixed: str = "30") -> list[Past]:
    """Three lines that share an order of one supplier; alone none of them might pay for it."""
    return recorded(*(need(n, option(fixed=fixed)) for n in (1, 2, 3)))


def without_snapshot(one: Past) -> Past:
    return one.model_copy(update={"snapshot": None, "unscored": "no snapshot"})


def test_the_same_limits_change_nothing() -> None:
    compared = again(shared(), Other(policy=SAME_LIMITS))
    assert [one.changed for one in compared] == [False, False, False]
    assert [one.after for one in compared] == [one.before for one in compared]
    assert {one.company for one in compared} == {Company.ANEW}


def test_another_model_that_expects_the_same_changes_nothing() -> None:
    """The same code path as live: snapshots, scores, joint orders and decisions come out as they were recorded."""
    two = (option("acme", fixed="30"), option("brook", rank=2, cost="4.10", lead_time_days=9))
    batch = recorded(*(need(n, *two, stock=8 * n) for n in (1, 2, 3, 4)))
    compared = again(batch, Other(model=OTHER))
    assert [one.after for one in compared] == [one.before for one in compared]
    assert {one.company for one in compared} == {Company.ANEW}


def test_a_model_that_expects_twice_the_demand_orders_more() -> None:
    compared = again(shared(), Other(model=OTHER), TwoModels(otherwise=20))
    assert all(one.after.units > one.before.units > 0 for one in compared)
    assert all(one.changed for one in compared)


def test_a_lower_limit_puts_orders_before_a_person() -> None:
    (before,) = recorded(need(1))
    (one,) = again([before], Other(policy=Policy(version=2, auto_value_limit=Decimal(1))))
    assert (one.before.outcome, one.after.outcome) == (Outcome.AUTO, Outcome.REVIEW)
    assert one.flipped
    assert one.after.rules == ("value_above_limit",)
    assert one.before.units == one.after.units


def test_lines_that_share_an_order_are_joined_anew() -> None:
    """A line of the batch that orders less gives less to the fixed cost: the others are charged more or held."""
    batch = shared()
    compared = again(batch, Other(policy=UNSURE))
    assert all(one.company is Company.ANEW for one in compared)
    assert all(one.after.units < one.before.units for one in compared)


def test_where_a_line_of_the_batch_is_not_recorded_the_joint_order_stays_as_it_was() -> None:
    batch = shared()
    compared = again(batch[:2], Other(policy=SAME_LIMITS))
    assert {one.company for one in compared} == {Company.RECORDED}
    assert [one.after for one in compared] == [one.before for one in compared], "the recorded joint order still holds"


def test_what_would_go_to_another_supplier_leaves_the_recorded_order() -> None:
    """By rank it would be brook, whose order costs far more than one line saves: acme's shared order says nothing."""
    two = (option("brook", fixed="3000"), option("acme", rank=2, cost="4.30", fixed="30"))
    batch = recorded(*(need(n, *two) for n in (1, 2, 3)))
    assert {one.inputs.joint and one.inputs.joint.supplier for one in batch} == {"acme"}
    compared = again(batch[:2], Other(policy=Policy(version=2, suppliers_by_rank=True)))
    assert {one.company for one in compared} == {Company.RECORDED}
    assert {(one.before.supplier, one.after.outcome) for one in compared} == {("acme", Outcome.HOLD)}


def test_only_what_is_asked_about_is_answered_but_all_of_the_batch_is_joined() -> None:
    batch = [one.model_copy(update={"asked": n == 0}) for n, one in enumerate(shared())]
    (one,) = again(batch, Other(policy=SAME_LIMITS))
    assert one.company is Company.ANEW
    assert one.after == one.before


def test_without_a_snapshot_another_policy_can_be_asked_about_and_another_model_cannot() -> None:
    batch = [without_snapshot(one) for one in shared()]
    assert len(again(batch, Other(policy=SAME_LIMITS))) == 3
    compared, unread = redecide(batch, Other(model=OTHER), bodies, TwoModels())
    assert compared == []
    assert {one.why for one in unread} == {"no snapshot"}
    assert len(unread) == 3


def test_a_longer_review_period_is_scored_from_the_snapshot() -> None:
    batch = shared()
    longer = Policy(version=2, review_days=9)
    compared = again(batch, Other(policy=longer))
    assert all(one.after.units > one.before.units for one in compared)
    assert {one.company for one in compared} == {Company.ANEW}
    _, unread = redecide([without_snapshot(one) for one in batch], Other(policy=longer), bodies, TwoModels())
    assert [one.why for one in unread] == ["no snapshot"] * 3


def test_a_review_period_that_only_the_policy_knew_cannot_be_taken_back() -> None:
    batch = recorded(need(1), policy=Policy(review_days=9))
    compared, unread = redecide(batch, Other(policy=Policy(version=2)), bodies, TwoModels())
    assert compared == []
    assert [one.why for one in unread] == [CATALOG_DAYS_UNKNOWN]


def test_a_model_whose_bytes_are_gone_is_a_reason_and_no_crash() -> None:
    def gone(sha256: Digest) -> bytes:
        raise EvidenceMissing(f"nothing is kept under {sha256}")

    compared, unread = redecide(shared(), Other(model=OTHER), gone, TwoModels())
    assert compared == []
    assert {one.why for one in unread} == {f"nothing is kept under {OTHER}"}


def test_the_order_of_the_batch_does_not_matter() -> None:
    batch = shared()
    assert again(batch[::-1], Other(policy=UNSURE)) == again(batch, Other(policy=UNSURE))


def test_the_model_that_scored_it_is_not_asked_again() -> None:
    """Only what another model or another review period changes is scored: the record says the rest."""

    class Silent(TwoModels):
        def score(self, *_: object, **__: object) -> list[object]:  # type: ignore[override]
            raise AssertionError("scored")

    (past, *_) = shared()
    (one,) = again([past], Other(policy=SAME_LIMITS, model=past.decision.model_digest), Silent())
    assert one.after == one.before


def test_an_unread_line_keeps_its_batch_from_being_joined_anew() -> None:
    batch = shared()
    compared, unread = redecide([without_snapshot(batch[0]), *batch[1:]], Other(model=OTHER), bodies, TwoModels())
    assert unread == [Unread(decision_id=batch[0].decision.decision_id, why="no snapshot")]
    assert {one.company for one in compared} == {Company.RECORDED}


@pytest.mark.parametrize("other", [{}, {"policy": None, "model": None}])
def test_nothing_different_is_no_question(other: dict[str, None]) -> None:
    with pytest.raises(ValueError, match="nothing would be different"):
        Other.model_validate(other)

"""Whether what was released might be released, whether the order carries it, and whether the outcome adds up: from the
ledger alone."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from activities.learning.scoring import XgboostScoring
from tests.fakes.recorded import MORNING, Books
from tests.fakes.shop import CLOCK, decided
from workflows.domain.deciding import decide
from workflows.domain.decisions import Decided, Proposal
from workflows.domain.identity import canonical, order_id, order_key
from workflows.domain.ledger import EntryType
from workflows.domain.orders import OrderLine, PurchaseOrder
from workflows.domain.outcomes import OutcomeFacts, measure
from workflows.domain.policies import Policy
from workflows.domain.remaking import Replaying
from workflows.domain.replay import Replayed, Verdict
from workflows.domain.replay_approval import UNKNOWN_RIGHTS

E = EntryType
SCORING = XgboostScoring(nthread=1)
REVIEW = decided(daily=38, on_hand=96)
"""A proposal that waits for a person."""


class Desk:
    """The books of one proposal, written entry by entry."""

    def __init__(self, one: Decided = REVIEW, policy: Policy = Policy()) -> None:  # noqa: B008
        self.books, self.one = Books(), one
        decision = one.decision.model_copy(
            update={"policy_digest": policy.digest, "result": decide(one.inputs, policy)}
        )
        self.one = one.model_copy(update={"decision": decision})
        self.books.evidence.kept[policy.digest] = canonical(policy)
        self.books.record([self.one])
        self.id, self.hash = decision.decision_id, decision.proposal_hash
        assert isinstance(decision.result, Proposal)
        self.result = decision.result
        self.order = order_id(self.result.supplier, "LEEDS", "2025-11-24", 1)

    def append(self, kind: EntryType, body: Mapping[str, Any], actor: str = "engine") -> "Desk":
        self.books.ledger.append(self.id, kind, body, actor)
        return self

    def person(self, name: str, *roles: str, **rights: Any) -> "Desk":
        after = {"roles": list(roles), "locations": None, "approval_limit": None, "disabled": False, **rights}
        self.books.ledger.append(f"person:{name}", E.PERSON_CHANGED, {"before": None, "after": after}, "root")
        return self

    def verdict(self, actor: str = "p-1", *, meaning: str = "approve", units: int | None = None, hash: str = "",
                command: str = "c1", signed: bool = False, needed: int = 1) -> "Desk":  # fmt: skip
        body: dict[str, Any] = {"command": command, "meaning": meaning, "proposal_hash": hash or self.hash,
                                "units": units, "revision": 1, "channel": "console"}  # fmt: skip
        if needed > 1:
            body["signatures_needed"] = needed
        return self.append(E.VERDICT_SIGNED if signed else E.VERDICT_RECORDED, body, actor)

    def released(self, units: int | None = None, tier: str = "review") -> "Desk":
        told = {"order": self.order, "units": units or self.result.units, "proposal_hash": self.hash, "tier": tier}
        return self.append(E.DECISION_RELEASED, told)

    def prepared(self, units: int | None = None, **changes: Any) -> "Desk":
        line = OrderLine(line_no=1, need_id=self.id, item=self.one.inputs.item.item,
                         units=units or self.result.units, unit_cost=self.result.unit_cost)  # fmt: skip
        order = PurchaseOrder(
            order_id=self.order, key=order_key(self.result.supplier, "LEEDS", "2025-11-24", 1),
            supplier=self.result.supplier, location="LEEDS", cycle="2025-11-24", currency="EUR", ordered_at=CLOCK,
            lines=(line,),
        )  # fmt: skip
        body = {"key": order.key, "lines_digest": order.lines_digest, "order": order.model_dump(mode="json")}
        self.books.ledger.append(f"order:{self.order}", E.ORDER_PREPARED, {**body, **changes})
        return self

    def replay(self) -> Replayed:
        books = self.books
        (found,) = Replaying(books.ledger, lambda: books.evidence, lambda _: SCORING).one(self.id)
        return found.replayed

    def whats(self) -> dict[str, str]:
        """What differs, and how it should be."""
        found = self.replay()
        assert (found.verdict is Verdict.EQUAL) == (not found.deviations)
        return {one.what: one.now for one in found.deviations}


def planner() -> Desk:
    return Desk().person("p-1", "planner")


def test_what_a_person_approved_may_go() -> None:
    assert planner().verdict().released().prepared().whats() == {}
    assert planner().verdict(meaning="approve_edited", units=36).released(36).prepared(36).whats() == {}


@pytest.mark.parametrize(
    ("desk", "what", "why"),
    [
        (lambda: planner().released(), "approval rule", "0 standing approvals"),
        (lambda: planner().verdict(meaning="reject").released(), "approval rule", "0 standing approvals"),
        (lambda: planner().verdict().append(E.VERDICT_WITHDRAWN, {"approval": "c1"}, "p-1").released(),
         "approval rule", "0 standing approvals"),
        (lambda: planner().verdict().append(E.APPROVAL_VOIDED, {"approval": "c1", "hash": "x"}).released(),
         "approval rule", "0 standing approvals"),
        (lambda: planner().verdict(hash="a" * 64).released(), "approval rule", "0 standing approvals"),
        (lambda: planner().verdict().released(tier="auto"), "released tier", "review"),
        (lambda: planner().verdict().released(7), "released units", ""),
        (lambda: planner().verdict(meaning="approve_edited", units=36).released(), "released units", "36"),
        (lambda: planner().verdict().append(E.DECISION_CLOSED, {"state": "expired"}).released(), "approval rule",
         "it was closed before, as expired"),
        (lambda: planner().append(E.DECISION_CLOSED, {"state": "expired"}).verdict().released(),
         "an answer counts while the task waits", ""),
        (lambda: planner().verdict().released().released(), "approval rule", "released again"),
        (lambda: planner().verdict().released().append(E.DECISION_CLOSED, {"state": "rejected"}), "approval rule",
         "closed as rejected"),
        (lambda: Desk().person("p-1", "viewer").verdict().released(), "rights of p-1", "no_permission"),
        (lambda: Desk().person("p-1", "planner", locations=["YORK"]).verdict().released(), "rights of p-1",
         "other_location"),
        (lambda: Desk().person("p-1", "planner", disabled=True).verdict().released(), "rights of p-1", "disabled"),
        (lambda: Desk().person("p-1", "planner", approval_limit="10").verdict().released(), "rights of p-1",
         "above_own_limit"),
    ],
)  # fmt: skip
def test_what_might_not_go_is_told(desk: Any, what: str, why: str) -> None:
    found = desk().whats()
    assert what in found, found
    assert why in found[what] or why in " ".join(found.values())


TWO = Policy(four_eyes_above=Decimal(10))


def four_eyes() -> Desk:
    return Desk(policy=TWO).person("p-1", "planner").person("p-2", "approver").person("p-3", "planner")


def test_two_people_must_have_signed_where_the_policy_wants_two() -> None:
    first = four_eyes().verdict(signed=True, needed=2)
    assert first.verdict("p-2", command="c2", needed=2).released().whats() == {}
    alone = four_eyes().verdict().released().whats()
    assert "which two people must sign, and one person did" in alone["approval rule"]
    twice = four_eyes().verdict("p-2", signed=True, needed=2).verdict("p-2", command="c2", needed=2).released()
    assert "one person did" in twice.whats()["approval rule"]
    other = four_eyes().verdict(signed=True, needed=2, meaning="approve_edited", units=12)
    assert "one person did" in other.verdict("p-2", command="c2", needed=2).released().whats()["approval rule"]
    without_right = four_eyes().verdict(signed=True, needed=2).verdict("p-3", command="c2", needed=2).released()
    assert without_right.whats() == {"rights of p-3": "no_permission"}


def test_rights_are_those_of_the_moment_of_the_answer() -> None:
    later = planner().verdict().released().person("p-1", "viewer")
    assert later.whats() == {}


def test_rights_that_no_entry_tells_are_listed_as_not_recorded() -> None:
    found = Desk().verdict().released().replay()
    assert found.verdict is Verdict.EQUAL
    assert UNKNOWN_RIGHTS in found.not_recorded


def test_the_policy_of_the_moment_decides_how_many_sign() -> None:
    desk = planner()
    body = {"digest": TWO.digest, "policy": TWO.model_dump(mode="json"), "change": "x", "base": Policy().digest}
    desk.books.ledger.append("installation", E.POLICY_ADOPTED, body, "p-9")
    assert "one person did" in desk.verdict().released().whats()["approval rule"]
    before = planner().verdict()
    before.books.ledger.append("installation", E.POLICY_ADOPTED, body, "p-9")
    assert before.released().whats() == {}


def test_what_the_policy_of_the_moment_lets_nobody_release_is_told() -> None:
    desk, least = planner(), Policy(auto_value_limit=Decimal(1), review_value_limit=Decimal(1), version=2)
    body = {"digest": least.digest, "policy": least.model_dump(mode="json"), "change": "x", "base": Policy().digest}
    desk.books.ledger.append("installation", E.POLICY_ADOPTED, body, "p-9")
    assert "which nobody may release" in desk.verdict().released().whats()["approval rule"]


def test_nobody_approves_by_rules_of_their_own() -> None:
    desk = planner()
    first, then = Policy(auto_value_limit=Decimal(2)), Policy(auto_value_limit=Decimal(1), version=2)
    for policy, base, author in ((first, "0" * 64, "p-9"), (then, first.digest, "p-1")):
        named = {"change": policy.digest[:8], "base": base, "digest": policy.digest}
        desk.books.ledger.append("policy", E.POLICY_PROPOSED, named, author)
        told = {**named, "policy": policy.model_dump(mode="json")}
        desk.books.ledger.append("installation", E.POLICY_ADOPTED, told, "p-8")
    assert desk.verdict().released().whats() == {"rights of p-1": "own_policy"}


# The order.


@pytest.mark.parametrize(
    ("changes", "whats"),
    [
        ({"units": 9}, {"order line.units"}),
        ({"key": "b" * 64}, {"idempotency key"}),
        ({"lines_digest": "c" * 64}, {"lines_digest"}),
    ],
)
def test_another_payload_than_was_released_is_told(changes: dict[str, Any], whats: set[str]) -> None:
    assert set(planner().verdict().released().prepared(**changes).whats()) == whats


def test_an_order_without_the_line_is_told_unless_it_was_refused() -> None:
    other = planner().verdict().released()
    stranger = Desk(decided(item="TEA", daily=38, on_hand=96))
    other.books.ledger.entries += [
        one.model_copy(update={"stream": f"order:{other.order}"})
        for one in stranger.prepared().books.ledger.entries if one.stream.startswith("order:")
    ]  # fmt: skip
    assert "line of the order" in other.whats()


def test_a_line_that_the_send_gate_refused_is_in_no_payload() -> None:
    desk = planner().verdict().released()
    desk.append(E.LINE_REFUSED, {"order": desk.order, "reason": "the supplier is blocked"}, "send gate")
    assert desk.whats() == {}
    assert "line of the order" in desk.prepared().whats()


def test_what_the_supplier_took_is_what_was_sent() -> None:
    desk = planner().verdict().released().prepared()
    desk.books.ledger.append(f"order:{desk.order}", E.ORDER_ANSWERED, {"answer": "placed", "lines_digest": "d" * 64})
    assert set(desk.whats()) == {"lines that the supplier took"}


def test_nothing_is_sent_before_it_is_prepared() -> None:
    desk = planner().verdict().released()
    desk.books.ledger.append(f"order:{desk.order}", E.ORDER_SENT, {"attempt": 1})
    assert set(desk.whats()) == {"order"}


# The outcome.


def outcome(desk: Desk, **changes: Any) -> OutcomeFacts:
    scores = desk.one.inputs.scores
    facts = OutcomeFacts(
        decision_id=desk.id, horizon_days=scores.protection_days, closed_at=MORNING, demand_units=400,
        forecast_p10=scores.demand_p10, forecast_p50=scores.demand_p50, forecast_p90=scores.demand_p90,
        days_out_of_stock=1, ordered_units=desk.result.units, received_units=desk.result.units, on_hand_units=60,
        shortage_per_unit=desk.one.inputs.shortage_per_unit,
        holding_per_unit_day=desk.one.inputs.holding_per_unit_day,
    )  # fmt: skip
    return facts.model_copy(update=changes)


def test_a_measured_outcome_adds_up() -> None:
    desk = planner().verdict().released().prepared()
    told = measure(outcome(desk)).model_dump(mode="json")
    assert desk.append(E.OUTCOME_MEASURED, {"outcome": told}).whats() == {}


def test_an_outcome_that_does_not_add_up_is_told() -> None:
    desk = planner().verdict().released().prepared()
    wrong = measure(outcome(desk)).model_copy(update={"cost": Decimal("1.0000")}).model_dump(mode="json")
    assert set(desk.append(E.OUTCOME_MEASURED, {"outcome": wrong}).whats()) == {"outcome.cost"}
    other = planner().verdict().released().prepared()
    rewritten = measure(outcome(other, forecast_p50=Decimal(1), ordered_units=5)).model_dump(mode="json")
    found = set(other.append(E.OUTCOME_MEASURED, {"outcome": rewritten}).whats())
    assert found == {"outcome.facts.forecast_p50", "outcome.facts.ordered_units"}

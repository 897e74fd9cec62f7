"""Adds comparisons up as they come, in memory that does not grow with them: each currency by itself, never together."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from workflows.domain.counterfactual import (
    SHOWN,
    Company,
    Compared,
    Counterfactual,
    Other,
    Outcome,
    Reason,
    Standing,
    Sums,
    Totals,
    Unread,
    Which,
)
from workflows.domain.identity import canonical

EXPECTATIONS = (
    "expected costs and risks are each model's own: those of two models are two opinions of one future, and their "
    "difference is no saving"
)
NOT_AFTERWARDS = (
    "stock, orders under way and everything else are as they were then: what an order made otherwise would have "
    "changed about the decisions after it is not followed up"
)
COMPANY_RECORDED = (
    "where not every line of a batch is recorded, its joint orders are taken as they were recorded instead of joined "
    "anew"
)


class Tallying:
    """One answer in the making."""

    def __init__(self, which: Which, other: Other) -> None:
        self._which, self._other = which, other
        self._sums: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._automatic: dict[str, dict[str, Any]] = {}
        self._why: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._biggest: list[Compared] = []
        self._hash = hashlib.sha256()

    @property
    def done(self) -> int:
        """Decisions that were compared so far."""
        return self._counts["compared"]

    def add(self, compared: Iterable[Compared], unread: Iterable[Unread]) -> None:
        """Take a batch in."""
        changed = []
        for one in compared:
            self._note(one)
            self._count(one)
            if one.changed:
                changed.append(one)
        for gap in unread:
            self._note(gap)
            self._why[gap.why] += gap.decisions
        if changed:
            self._biggest = sorted([*self._biggest, *changed], key=_by_size)[:SHOWN]

    def _note(self, what: Compared | Unread) -> None:
        self._hash.update(canonical(what) + b"\n")

    def _count(self, one: Compared) -> None:
        was, now = one.before, one.after
        self._counts.update({
            "compared": 1, "changed": int(one.changed), "flipped": int(one.flipped),
            "quantity_changed": int(was.units != now.units),
            "supplier_changed": int(was.ordered and now.ordered and was.supplier != now.supplier),
            "company_recorded": int(one.company is Company.RECORDED),
        })  # fmt: skip
        sides = self._sums.setdefault(one.currency, (Sums().model_dump(), Sums().model_dump()))
        for sums, side in zip(sides, (was, now), strict=True):
            _sum(sums, side)
        found = self._automatic.setdefault(
            one.currency, {"newly_automatic": 0, "newly_automatic_value": Decimal(0), "no_longer_automatic": 0}
        )
        if now.outcome is Outcome.AUTO and was.outcome is not Outcome.AUTO:
            found["newly_automatic"] += 1
            found["newly_automatic_value"] += now.value
        elif was.outcome is Outcome.AUTO and now.outcome is not Outcome.AUTO:
            found["no_longer_automatic"] += 1

    def result(self) -> Counterfactual:
        """The answer so far."""
        totals = tuple(
            Totals(
                currency=currency, before=Sums.model_validate(was), after=Sums.model_validate(now),
                **self._automatic[currency],
            )
            for currency, (was, now) in sorted(self._sums.items())
        )  # fmt: skip
        reasons = sorted(self._why.items(), key=lambda found: (-found[1], found[0]))
        counts = {name: self._counts[name] for name in _COUNTS}
        policy, model = self._other.policy, self._other.model
        return Counterfactual(
            which=self._which, policy=policy.digest if policy else None, model=model, totals=totals,
            not_possible=tuple(Reason(why=why, decisions=decisions) for why, decisions in reasons),
            biggest=tuple(self._biggest), sha256=self._hash.hexdigest(), notes=self._notes(), **counts,
        )  # fmt: skip

    def _notes(self) -> tuple[str, ...]:
        found = [NOT_AFTERWARDS]
        if self._other.model is not None:
            found.append(EXPECTATIONS)
        if self._counts["company_recorded"]:
            found.append(COMPANY_RECORDED)
        return tuple(found)


_COUNTS = ("compared", "changed", "flipped", "quantity_changed", "supplier_changed", "company_recorded")


def _sum(sums: dict[str, Any], side: Standing) -> None:
    sums[str(side.outcome)] += 1
    sums["expected_cost"] += side.expected_cost or 0
    if side.ordered:
        sums[f"{side.outcome}_value"] += side.value
        sums[f"{side.outcome}_units"] += side.units


def _by_size(one: Compared) -> tuple[Decimal, str, int]:
    return -one.moved, one.decision_id, one.revision

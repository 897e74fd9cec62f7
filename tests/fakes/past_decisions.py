"""Past decisions in memory, over the shop: the same order and the same filters as the database's."""

from datetime import UTC
from typing import Any

from tests.fakes.desk import Case, MemoryShop
from workflows.domain.approvals import Meaning
from workflows.domain.decisions import Proposal
from workflows.domain.paging import PlaceAnswered
from workflows.domain.past_decisions import SIMILAR, DecisionFilters, DecisionPage, DecisionRow, SimilarDecision


class MemoryPastDecisions:
    """The `PastDecisions` port."""

    def __init__(self, shop: MemoryShop) -> None:
        self._shop = shop

    async def page(self, filters: DecisionFilters, *, limit: int = 100, after: str | None = None) -> DecisionPage:
        rows = [row for row in map(_row, self._shop.cases.values()) if _passes(row, filters)]
        rows.sort(key=_place, reverse=True)
        if after:
            place = PlaceAnswered.of(after)
            rows = [row for row in rows if _place(row) < place]
        more = len(rows) > limit
        return DecisionPage(rows=tuple(rows[:limit]), after=_place(rows[limit - 1]).token() if more else None)

    async def similar(self, decision_id: str, limit: int = SIMILAR) -> list[SimilarDecision]:
        this = _row(self._shop.case(decision_id))
        found = [
            _similar(case, same_item=row.item == this.item)
            for case in self._shop.cases.values()
            if (row := _row(case)).location == this.location and row.category == this.category
            and row.kind == this.kind and row.decided_at < this.decided_at
        ]  # fmt: skip
        found.sort(key=lambda row: (row.same_item, *_place(row)), reverse=True)
        return found[:limit]


def _place(row: DecisionRow) -> PlaceAnswered:
    return PlaceAnswered(row.decided_at, row.decision_id)


def _passes(row: DecisionRow, filters: DecisionFilters) -> bool:
    day = row.decided_at.astimezone(UTC).date()
    wanted = {"item": row.item, "location": row.location, "kind": row.kind, "tier": row.tier}
    if any(getattr(filters, name) not in (None, value) for name, value in wanted.items()):
        return False
    return (filters.first_day or day) <= day <= (filters.last_day or day)


def _row(case: Case) -> DecisionRow:
    return DecisionRow(**_told(case))


def _told(case: Case) -> dict[str, Any]:
    decision, inputs = case.decided.decision, case.decided.inputs
    result = decision.result
    told: dict[str, Any] = {
        "decision_id": decision.decision_id, "revision": decision.revision, "location": inputs.position.location,
        "item": inputs.item.item, "item_name": case.item_name, "category": inputs.item.category,
        "decided_at": decision.decided_at, "kind": result.kind, "sentence": result.sentence,
        "proposal_hash": decision.proposal_hash,
    }  # fmt: skip
    if isinstance(result, Proposal):
        return {**told, "tier": result.tier, "supplier": result.supplier, "units": result.units,
                "value": result.value, "currency": result.currency}  # fmt: skip
    return {**told, "reason": result.reason}


def _similar(case: Case, *, same_item: bool) -> SimilarDecision:
    told, task = _told(case), case.task or {}
    standing = next((one for one in case.approvals if not one.get("voided_at")), None)
    if standing:
        told |= {"meaning": Meaning(standing["meaning"]), "answered_by": standing["actor"],
                 "answered_units": standing.get("units"), "answer_reason": standing.get("reason")}  # fmt: skip
    if case.outcome:
        facts = case.outcome["facts"]
        told |= {"demand_units": facts["demand_units"], "forecast_p50": facts["forecast_p50"],
                 "within_interval": case.outcome["within_interval"],
                 "days_out_of_stock": facts["days_out_of_stock"], "cost": case.outcome["cost"]}  # fmt: skip
    return SimilarDecision(same_item=same_item, task_state=task.get("state"), **told)

"""Computes the purchase order's payload again: what was sent is what was released, under the key of its identity."""

from datetime import timedelta
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from workflows.domain.decisions import Proposal
from workflows.domain.evidence import EvidenceDamaged, EvidenceMissing, EvidenceSource
from workflows.domain.identity import canonical, order_id, order_key
from workflows.domain.ledger import Entry, EntryType
from workflows.domain.orders import PurchaseOrder
from workflows.domain.outcomes import Outcome, measure
from workflows.domain.policy_timeline import body_of
from workflows.domain.recordable import dereferenced
from workflows.domain.replay import Case, Findings, Missing, Opened

NOTHING_ORDERED = {"refused", "withheld", "empty"}


def check_order(case: Case, opened: Opened, evidence: EvidenceSource, found: Findings) -> None:
    """Compare every payload of the order that this revision was released to."""
    released = _released(case)
    if released is None:
        return
    refused = any(
        one.type == EntryType.LINE_REFUSED and body_of(one).get("order") == released["order"] for one in case.chain
    )
    last: PurchaseOrder | None = None
    for entry in case.order:
        body = _whole(entry, evidence, found)
        if body is None:
            return
        if entry.type == EntryType.ORDER_PREPARED:
            last = _prepared(body, released, opened, found, refused=refused)
        elif entry.type == EntryType.ORDER_SENT and last is None:
            found.wrong("order", "prepared before it is sent", "sent before it was prepared")
        elif entry.type == EntryType.ORDER_ANSWERED and body.get("answer") == "placed" and last is not None:
            found.compare("lines that the supplier took", body.get("lines_digest"), last.lines_digest)
    if last is not None:
        there = any(line.need_id == case.ref.decision_id for line in last.lines)
        found.compare("line of the order", "refused" if refused else "sent", "sent" if there else "refused")


def _whole(entry: Entry, evidence: EvidenceSource, found: Findings) -> dict[str, Any] | None:
    """What the entry tells, the long parts that lie in the evidence included; None after noting that one is missing."""
    body = body_of(entry)
    try:
        return dereferenced(body, evidence)
    except EvidenceMissing as missing:
        found.missing.append(Missing(what=f"payload of the order: {missing}"))
    except EvidenceDamaged as damage:
        found.wrong("bytes of the payload of the order", "as they were kept", damage)
    return None


def _released(case: Case) -> dict[str, Any] | None:
    """What the release of this revision says; None where it was not released."""
    for entry in case.chain:
        body = body_of(entry)
        if entry.type == EntryType.DECISION_RELEASED and body.get("proposal_hash") == case.ref.proposal_hash:
            return body
    return None


def _prepared(
    body: dict[str, Any], released: dict[str, Any], opened: Opened, found: Findings, *, refused: bool
) -> PurchaseOrder | None:
    try:
        order = _payload(canonical(body.get("order")))
    except (ValidationError, TypeError) as error:
        found.wrong("order", "a purchase order", f"cannot be read: {str(error)[:200]}")
        return None
    part = int(order.order_id.rpartition(":")[2])
    key = order_key(order.supplier, order.location, order.cycle, part)
    found.compare("order", released["order"], order_id(order.supplier, order.location, order.cycle, part))
    found.compare("idempotency key", body.get("key"), key)
    found.compare("idempotency key in the payload", order.key, key)
    found.compare("lines_digest", body.get("lines_digest"), order.lines_digest)
    found.compare("line numbers", [line.line_no for line in order.lines], list(range(1, len(order.lines) + 1)))
    result = opened.decision.result
    if isinstance(result, Proposal):
        own = [line for line in order.lines if line.need_id == opened.decision.decision_id]
        if len(own) != 1 and not (refused and not own):
            found.wrong("line of the order", "one line of this need", f"{len(own)} lines of it")
        for line in own:
            ordered = {"item": line.item, "units": line.units, "unit_cost": line.unit_cost}
            now = {"item": opened.inputs.item.item, "units": released["units"], "unit_cost": result.unit_cost}
            found.compare("order line", ordered, now)
        told = {"supplier": order.supplier, "location": order.location, "currency": order.currency}
        now = {"supplier": result.supplier, "location": opened.inputs.position.location, "currency": result.currency}
        found.compare("order", told, now)
    return order


@lru_cache(maxsize=512)
def _payload(body: bytes) -> PurchaseOrder:
    """The lines of one order are replayed together: it is read once."""
    return PurchaseOrder.model_validate_json(body)


def check_outcome(case: Case, opened: Opened, evidence: EvidenceSource, found: Findings) -> None:
    """Compute the measured figures again, where this is the revision that they were measured of."""
    if not newest(case):
        return
    for entry in case.chain:
        if entry.type != EntryType.OUTCOME_MEASURED:
            continue
        try:
            outcome = Outcome.model_validate(body_of(entry).get("outcome"))
        except ValidationError as error:
            found.wrong("outcome", "an outcome", f"cannot be read: {error.errors()[0]['msg']}")
            continue
        facts, inputs = outcome.facts, opened.inputs
        decided = opened.decision.decided_at
        horizon = (decided + timedelta(days=inputs.scores.protection_days)).date() - decided.date()
        found.compare("outcome", outcome, measure(facts))
        now = {
            "decision_id": case.ref.decision_id, "horizon_days": max(1, horizon.days),
            "forecast_p10": inputs.scores.demand_p10, "forecast_p50": inputs.scores.demand_p50,
            "forecast_p90": inputs.scores.demand_p90, "shortage_per_unit": inputs.shortage_per_unit,
            "holding_per_unit_day": inputs.holding_per_unit_day,
            "ordered_units": _ordered(case, entry, evidence, found),
        }  # fmt: skip
        found.compare("outcome.facts", {name: getattr(facts, name) for name in now}, now)


def newest(case: Case) -> bool:
    """Whether no later revision is in the chain."""
    revisions = [0]
    for entry in case.chain:
        body = body_of(entry)
        told = body.get("decision", {}) if entry.type == EntryType.DECISION_PROPOSED else body
        if entry.type in (EntryType.DECISION_PROPOSED, EntryType.DECISION_CLOSED):
            revisions.append(int(told.get("revision") or 0))
    return case.ref.revision >= max(revisions)


def _ordered(case: Case, measured: Entry, evidence: EvidenceSource, found: Findings) -> int:
    """Units on the order when the outcome was measured: those of the last payload, unless nothing came of it."""
    units = 0
    for entry in case.order:
        if entry.recorded_at > measured.recorded_at:
            break
        body = _whole(entry, evidence, found) or {}
        if entry.type == EntryType.ORDER_PREPARED:
            lines = body.get("order", {}).get("lines", ())
            units = sum(line["units"] for line in lines if line["need_id"] == case.ref.decision_id)
        elif entry.type == EntryType.ORDER_CLOSED and body.get("state") in NOTHING_ORDERED:
            units = 0
    return units

"""A decision in one sentence, and its life in steps: what, why and by when, in words that a planner uses."""

from datetime import datetime
from typing import Any, NamedTuple

from console import words
from console.decision_desk import Explained
from console.formats import moment, money, number, percent
from workflows.domain.decisions import DecisionInputs, Hold, SupplyOption
from workflows.domain.desk import DecisionView
from workflows.domain.ledger import EntryType
from workflows.domain.orders import OrderState, order_cycle
from workflows.domain.policies import RiskTier


def option_of(found: Explained) -> SupplyOption | None:
    """The supply option that the proposal took; for a hold the first one."""
    options = found.inputs.options
    if found.proposal is None:
        return options[0] if options else None
    return next((one for one in options if one.sourcing.supplier == found.proposal.supplier), None)


def headline(found: Explained) -> str:
    """What, why and by when: "Order 240 of Oat drink from Northern Foods for 1,008.00 EUR, arrives 3 Dec; without it
    62 % chance of running out by 3 Dec"."""
    inputs, result, picture = found.inputs, found.view.decision.result, found.picture
    arrives = picture.arrives
    by = f" by {arrives.day} {arrives:%b}" if arrives else " before an order could arrive"
    risk = f"{percent(inputs.scores.stockout_risk)} chance of running out{by}"
    if isinstance(result, Hold):
        why = words.text(words.HOLDS, result.reason).lower()
        return f"Order nothing now: {why}. {number(inputs.position.on_hand_units)} on hand, {risk}."
    if result.tier is RiskTier.BLOCKED and option_of(found) is None:
        return f"{number(result.units)} of {inputs.item.name} are needed and cannot be ordered; {risk}."
    option = option_of(found)
    supplier = option.supplier.name or result.supplier if option else result.supplier
    comes = f", arrives {arrives.day} {arrives:%b}" if arrives else ""
    return (
        f"Order {number(result.units)} of {inputs.item.name} from {supplier} for "
        f"{money(result.value, result.currency)}{comes}; without it {risk}."
    )


def cutoff(inputs: DecisionInputs) -> datetime:
    """When the order cycle of the decision's instant closes."""
    return order_cycle(inputs.clock)[1]


class Step(NamedTuple):
    """One step in the life of a decision. `state` is done, next (what is waited for), open or failed."""

    name: str
    state: str
    when: datetime | None = None
    who: str = ""
    what: str = ""


def life(view: DecisionView) -> list[Step]:
    """From the decision to its outcome: what happened, by whom, and what comes next."""
    decision, order = view.decision, view.order or {}
    steps = [Step("Proposed" if decision.result.kind == "proposal" else "Decided", "done", decision.decided_at,
                  "the engine", f"revision {decision.revision}")]  # fmt: skip
    if decision.result.kind == "proposal":
        steps += [_answered(view), *_ordered(view, order)]
    steps.append(_measured(view))
    ended = any(step.state == "failed" for step in steps)
    waiting = next((n for n, step in enumerate(steps) if step.state == "open"), None)
    if waiting is not None and not ended:
        steps[waiting] = steps[waiting]._replace(state="next")
    return steps


def _answered(view: DecisionView) -> Step:
    result, task = view.decision.result, view.task or {}
    standing = [one for one in view.approvals if not one.get("voided_at") and one.get("complete", True)]
    if standing:
        one = standing[-1]
        said = words.text(words.MEANINGS, one["meaning"])
        what = f"{said}: {number(one['units'])} units" if one.get("units") else said
        failed = one["meaning"] in ("reject", "expire")
        when = moment(one["recorded_at"])
        return Step("Rejected" if failed else "Approved", "failed" if failed else "done", when, one["actor"], what)
    if task.get("state") in ("expired", "voided"):
        return Step(words.word(words.TASKS, task["state"]).text, "failed", moment(task.get("answered_at")))
    if result.kind == "proposal" and result.tier is RiskTier.AUTO:
        return Step("Approved", "done", view.decision.decided_at, "the policy", "no rule asked for a person")
    if result.kind == "proposal" and result.tier is RiskTier.BLOCKED:
        return Step("Blocked", "failed", what="nobody can be asked for it")
    signed = next((one for one in view.approvals if not one.get("voided_at")), None)
    waits = f"{signed['actor']} signed, another person must sign too" if signed else "a person is asked"
    return Step("Approved", "open", what=waits)


def _ordered(view: DecisionView, order: dict[str, Any]) -> list[Step]:
    sent = _entry(view, EntryType.ORDER_SENT)
    state = order.get("state")
    if state in (OrderState.REFUSED, OrderState.EMPTY):
        return [Step("Sent", "failed", sent[0], sent[1], words.word(words.ORDERS, state).text)]
    gone = state in (OrderState.PLACED, OrderState.RECEIVED, OrderState.CLOSED)
    number_there = order.get("supplier_number")
    received, asked = int(order.get("received_units") or 0), order.get("units")
    whole = state in (OrderState.RECEIVED, OrderState.CLOSED)
    promised = moment(order.get("promised_at"))
    return [
        Step("Sent", "done" if gone else "open", sent[0], sent[1],
             f"order {order['order_id']}" if order.get("order_id") else ""),
        Step("Acknowledged", "done" if number_there or order.get("acknowledged_at") else "open",
             moment(order.get("acknowledged_at")), str(order.get("supplier") or "") if number_there else "",
             (f"number {number_there}" if number_there else "")
             + (f", promised {promised.day} {promised:%b}" if promised else "")),
        Step("Shipped", "done" if order.get("shipped_at") or whole else "open", moment(order.get("shipped_at"))),
        Step("Received", "done" if whole else "open", _entry(view, EntryType.ORDER_CLOSED)[0],
             what=f"{number(received)} of {number(asked)} units" if asked and (received or whole) else ""),
    ]  # fmt: skip


def _measured(view: DecisionView) -> Step:
    if not view.outcome:
        return Step("Outcome", "open")
    facts = view.outcome["facts"]
    what = f"{number(facts['demand_units'])} units asked for, {number(facts['forecast_p50'])} forecast"
    return Step("Outcome", "done", moment(facts["closed_at"]), "the engine", what)


def _entry(view: DecisionView, kind: EntryType) -> tuple[datetime | None, str]:
    found = next((one for one in view.timeline if one["type"] == kind), None)
    return (moment(found["at"]), str(found["actor"])) if found else (None, "")

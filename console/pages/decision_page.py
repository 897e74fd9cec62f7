"""Everything that the page of a decision shows, gathered once: the page, its pane in the inbox and the stale page."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from console import charts_demand, charts_steps, charts_stock
from console.auth import Session
from console.charts_frame import Marker
from console.decision_desk import DecisionDesk, Explained
from console.decision_words import cutoff, headline, life, option_of
from console.formats import number
from console.inbox_views import guards, next_steps
from console.ports import ConsolePorts
from console.record_words import ReplayTold, badge
from console.stakes import stakes_in_words
from workflows.domain.approvals import Meaning, RejectReason, TaskState
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.inbox import InboxRow
from workflows.domain.orders import order_cycle
from workflows.domain.people import Permission


class DecisionPages:
    """Gathers what a decision's page shows."""

    def __init__(self, ports: ConsolePorts) -> None:
        self._ports = ports
        self._desk = DecisionDesk(ports)

    async def context(
        self, session: Session, decision_id: str, *, form: Mapping[str, str] | None = None, asked: int | None = None,
        made_again: bool = False, replayed: Sequence[ReplayTold] = (),
    ) -> dict[str, object]:  # fmt: skip
        """What the template shows. `asked` is another quantity to compute; `made_again` decides again from the inputs
        and the policy; `replayed` is what came of making it again from the record alone.

        Raises:
            NotFound: no such decision.
        """
        ports = self._ports
        found = await self._desk.explained(decision_id)
        clock = (await ports.clocks()).get(found.inputs.position.location)
        row = await self._row(found)
        form = form or {}
        return {
            **_facts(found),
            **_answers(found, session, row),
            **await self._otherwise(found, session, clock),
            "row": row,
            "clock": clock,
            "next_steps": next_steps({found.inputs.position.location: clock} if clock else {}),
            "model": await ports.models.find(found.view.decision.model_digest),
            "policy": found.policy,
            "comments": await ports.work.comments(decision_id) if ports.work and found.view.task else [],
            "similar": await self._desk.similar(decision_id),
            "lists_similar": ports.past is not None,
            "command_ids": {key: secrets.token_urlsafe(16) for key in (*(one.value for one in Meaning), "second")},
            "reasons": list(RejectReason),
            "form": form,
            "asked": await self._asked(found, session, asked),
            "made_again": await self._made_again(decision_id) if made_again else None,
            "replayed": replayed,
            "replays": ports.replays is not None,
            "certified": await self._certified(found),
            "badge": badge,
            "may_audit": session.person.may(Permission.AUDIT),
            "copies": ports.copies is not None,
        }

    async def _otherwise(self, found: Explained, session: Session, clock: datetime | None) -> dict[str, object]:
        """What else can be done with an open task: who else could be asked, and when an order of now leaves."""
        task, location = found.view.task or {}, found.inputs.position.location
        is_open = found.proposal is not None and task.get("state") == TaskState.OPEN
        work = self._ports.work if is_open and self._ports.inbox is not None else None
        sellers = await work.suppliers(found.view.decision.decision_id) if work else ()
        proposed = found.proposal.supplier if found.proposal else ""
        return {
            "may_work": work is not None and session.person.may(Permission.WORK, location),
            "sellers": sellers,
            "asks_others": bool(set(sellers) - {proposed}) or task.get("wanted_supplier") is not None,
            "leaves_at": order_cycle(clock or found.inputs.clock)[1],
        }

    async def _row(self, found: Explained) -> InboxRow | None:
        if self._ports.inbox is None or found.view.task is None:
            return None
        try:
            return await self._ports.inbox.row(found.view.decision.decision_id)
        except NotFound:
            return None

    async def _asked(self, found: Explained, session: Session, units: int | None) -> object:
        if units is None or found.proposal is None or found.policy is None:
            return None
        try:
            return await self._desk.recompute(found.view.decision.decision_id, units, session.person)
        except InvalidInput:
            return None

    async def _certified(self, found: Explained) -> object:
        """Which entries of its life are under a signed checkpoint; None where nobody certifies."""
        if self._ports.record is None:
            return None
        return await self._ports.record.certified([(one["stream"], one["seq"]) for one in found.view.timeline])

    async def _made_again(self, decision_id: str) -> dict[str, object]:
        try:
            return {"rerun": await self._desk.rerun(decision_id), "problem": ""}
        except (NotFound, InvalidInput) as error:
            return {"rerun": None, "problem": str(error)}


def _facts(found: Explained) -> dict[str, object]:
    view, inputs, picture, proposal = found.view, found.inputs, found.picture, found.proposal
    scores, result = inputs.scores, view.decision.result
    markers = []
    if picture.days and picture.arrives:
        if proposal:
            markers.append(Marker(picture.arrives, "an order placed now arrives"))
        last = picture.days[min(picture.lasts_days, len(picture.days)) - 1].day
        markers.append(Marker(last, "it must last until here"))
    where = f"{inputs.item.item} at {inputs.position.location}"
    standing = [one for one in view.approvals if not one.get("voided_at")]
    return {
        "here": inputs.position.location, "view": view, "decision": view.decision,
        "result": result, "proposal": proposal, "inputs": inputs,
        "option": option_of(found), "scores": scores, "picture": picture, "headline": headline(found),
        "cutoff": cutoff(inputs), "life": life(view), "alternatives": found.alternatives,
        "stakes": stakes_in_words(result.stakes, inputs.currency) if result.stakes else (),
        "order_by": result.stakes.order_by if result.stakes else None,
        "fan": charts_demand.fan(picture, markers, title=f"Daily demand for {where}"),
        "recent": charts_demand.recent_days(picture),
        "stock_chart": charts_stock.projection(picture, title=f"Expected stock of {where}"),
        "bars": charts_steps.waterfall(result.waterfall), "pushes": charts_steps.pushes(scores.drivers),
        "task": view.task or {}, "flags": _flags(found),
        "answer": next((one for one in reversed(standing) if one.get("complete", True)), None),
        "first_signature": next((one for one in reversed(standing) if not one.get("complete", True)), None),
        "voided": [one for one in view.approvals if one.get("voided_at")],
    }  # fmt: skip


def _answers(found: Explained, session: Session, row: InboxRow | None) -> dict[str, object]:
    """What the forms need: whether they are there, whether they work for this person, and what asks for a second
    press."""
    proposal, task, inputs = found.proposal, found.view.task or {}, found.inputs
    location = inputs.position.location
    is_open = proposal is not None and task.get("state") == TaskState.OPEN
    signing = row is not None and row.signatures_needed > 1
    return {
        "is_open": is_open,
        "may_answer": is_open and session.person.may(Permission.ANSWER, location),
        "may_sign": is_open and session.person.may(Permission.COUNTERSIGN, location),
        "guards": guards(
            {one.code: one.detail for one in proposal.rules}, proposal.value, session.person, inputs.currency
        )
        if proposal
        else [],
        "needs_two": signing,
        "wanted": _wanted(found),
    }


def _wanted(found: Explained) -> int:
    """The units that an approval would be for: those that a first signature stands for, else the proposed ones."""
    signed = [one for one in found.view.approvals if not one.get("voided_at") and not one.get("complete", True)]
    units = signed[-1].get("units") if signed else None
    return int(units or (found.proposal.units if found.proposal else 0))


def _flags(found: Explained) -> list[tuple[str, Any]]:
    """What is odd about the facts, each with its tone; none is the best that can be said."""
    inputs, flags = found.inputs, []
    age = (inputs.clock - inputs.data_through).total_seconds() / 3600
    old = f"{number(round(age))} h" if age >= 1 else "less than an hour"
    flags.append((f"Newest fact {old} old when it was decided", "warn" if age > 24 else "good"))
    if inputs.scores.novelty:
        flags.append(("Too little history: the forecast rests on similar items", "warn"))
    if inputs.position.on_hand_units < 0:
        flags.append(("Stock on hand is below zero: something was not booked", "bad"))
    flags += [(f"Forecasts are under alarm: {alarm}", "bad") for alarm in inputs.drift_alarms]
    gaps = sum(units is None for units in inputs.scores.recent_units)
    if gaps:
        flags.append((f"{gaps} of the last {len(inputs.scores.recent_units)} days without stock: demand was not seen",
                      "warn"))  # fmt: skip
    return flags

"""One decision on one page: what is proposed, why, on which facts, and the forms that answer it.

A task page is a decision page with forms on it, so that what was approved can be looked at later just as it was.
"""

import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from console import charts
from console.auth import Gate, Session
from console.desk import AnswerDesk
from console.ports import ConsolePorts
from console.rendering import Pages, link
from console.stakes import stakes_in_words
from workflows.domain.approvals import Meaning, RejectReason, TaskState, VerdictCommand, VerdictReceipt
from workflows.domain.decisions import DecisionInputs, Proposal, SupplyOption
from workflows.domain.errors import AlreadyAnswered, InvalidInput, StaleProposal
from workflows.domain.people import Permission
from workflows.domain.ports import DecisionView


def routes(ports: ConsolePorts, answers: AnswerDesk, gate: Gate, pages: Pages) -> APIRouter:
    """`/tasks/{id}`, `/decisions/{id}` (the same page), its evidence alone, and the form's target."""
    router = APIRouter(include_in_schema=False)

    async def page(
        request: Request, session: Session, decision_id: str, *, form: Mapping[str, str] | None = None,
        problem: str = "", status: HTTPStatus = HTTPStatus.OK, template: str = "task.html",
    ) -> Response:  # fmt: skip
        view = await ports.desk.decision(decision_id)
        clocks = await ports.clocks()
        inputs = DecisionInputs.model_validate(view.inputs)
        context = {
            "invented": await ports.invented(),
            **_facts(view, inputs),
            "clock": clocks.get(inputs.position.location),
            "command_ids": {meaning.value: secrets.token_urlsafe(16) for meaning in Meaning},
            "reasons": list(RejectReason),
            "form": form or {},
            "problem": problem,
        }
        return pages.show(request, template, session, context, status)

    @router.get("/tasks/{decision_id}")
    @router.get("/decisions/{decision_id}")
    async def task(
        request: Request, decision_id: str, session: Annotated[Session, Depends(gate.page(Permission.SEE))]
    ) -> Response:  # fmt: skip
        return await page(request, session, decision_id)

    @router.get("/tasks/{decision_id}/evidence")
    async def evidence(
        request: Request, decision_id: str, session: Annotated[Session, Depends(gate.page(Permission.SEE))]
    ) -> Response:
        """The same evidence and forms without the page around them, for a pane of the inbox."""
        return await page(request, session, decision_id, template="decision_fragment.html")

    @router.post("/tasks/{decision_id}/verdict")
    async def answer(
        request: Request, decision_id: str, session: Annotated[Session, Depends(gate.form(Permission.ANSWER))]
    ) -> Response:
        form = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
        try:
            receipt = await answers.answer(command_of(decision_id, form), session.actor)
        except InvalidInput as error:
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            return await page(request, session, decision_id, form=form, problem=str(error), status=status)
        except (StaleProposal, AlreadyAnswered) as error:
            view = await ports.desk.decision(decision_id)
            context = {**changed(view, form), "detail": str(error), "stale": isinstance(error, StaleProposal)}
            return pages.show(request, "changed.html", session, context, HTTPStatus.CONFLICT)
        return RedirectResponse(_inbox_after(receipt), HTTPStatus.SEE_OTHER)

    return router


def _inbox_after(receipt: VerdictReceipt) -> str:
    """Back to the inbox, which says what became of the answer."""
    return link("/inbox", answered=receipt.decision_id, heard="yes" if receipt.heard else "not yet")


def command_of(decision_id: str, form: Mapping[str, str]) -> VerdictCommand:
    """The verdict that a form says.

    Raises:
        InvalidInput: it is not complete; the message is for the person who sent it.
    """
    fields = {key: form[key] for key in ("command_id", "proposal_hash", "meaning", "comment") if key in form}
    fields |= {key: form[key].strip() for key in ("units", "reason") if form.get(key, "").strip()}
    try:
        return VerdictCommand.model_validate({**fields, "decision_id": decision_id})
    except ValidationError as error:
        messages = (item["msg"].removeprefix("Value error, ") for item in error.errors())
        names = (".".join(str(part) for part in item["loc"]) for item in error.errors())
        raise InvalidInput(
            "; ".join(f"{name}: {text}" if name else text for name, text in zip(names, messages, strict=True))
        ) from error


def changed(view: DecisionView, form: Mapping[str, str]) -> dict[str, object]:
    """What the person saw when they answered, beside what stands now. What they saw comes from their own form."""
    now = view.decision.result
    return {
        "view": view,
        "now": now if isinstance(now, Proposal) else None,
        "seen": {key.removeprefix("seen_"): value for key, value in form.items() if key.startswith("seen_")},
        "seen_hash": form.get("proposal_hash", ""),
        "now_hash": view.decision.proposal_hash,
        "task": view.task or {},
    }


def _facts(view: DecisionView, inputs: DecisionInputs) -> dict[str, object]:
    """Everything the template shows about the decision itself."""
    result = view.decision.result
    scores, task = inputs.scores, view.task or {}
    proposal = result if isinstance(result, Proposal) else None
    title = f"Daily demand for {inputs.item.item} at {inputs.position.location}: median and 80 % interval"
    markers = (
        charts.Marker(scores.lead_time_p50_days, "an order from now arrives"),
        charts.Marker(scores.protection_days, "this order must last until here"),
    )
    standing = [approval for approval in view.approvals if not approval.get("voided_at")]
    return {
        "view": view,
        "decision": view.decision,
        "result": result,
        "proposal": proposal,
        "inputs": inputs,
        "option": _option(inputs, proposal),
        "scores": scores,
        "stakes": stakes_in_words(result.stakes, inputs.currency) if result.stakes else (),
        "chart": charts.fan(scores.days, markers, title=title),
        "bars": charts.waterfall(result.waterfall),
        "task": task,
        "answer": standing[-1] if standing else None,
        "voided": [approval for approval in view.approvals if approval.get("voided_at")],
        "is_open": bool(proposal) and task.get("state") == TaskState.OPEN,
    }


def _option(inputs: DecisionInputs, proposal: Proposal | None) -> SupplyOption | None:
    """The supply option that the proposal took; for a hold the first one."""
    if proposal is None:
        return inputs.options[0] if inputs.options else None
    return next((option for option in inputs.options if option.sourcing.supplier == proposal.supplier), None)

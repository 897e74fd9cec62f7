"""The policy: what is in force, what waits for a second pair of eyes, and what a change would do."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from console.auth import Gate, Session
from console.policy_desk import WEEKS, PolicyDesk
from console.problems import status_of
from console.rendering import Pages, link
from workflows.domain.errors import Conflict, InvalidInput
from workflows.domain.people import Permission
from workflows.domain.policies import Policy
from workflows.domain.policy_changes import (
    ChangeState,
    PolicyChange,
    differences,
    limits_of,
    may_answer,
    next_policy,
    read_document,
    same_person,
)


def routes(desk: PolicyDesk, gate: Gate, pages: Pages) -> APIRouter:
    """`/policies`, the form of a new change, a change's page, and the forms' targets."""
    router = APIRouter(include_in_schema=False)
    policies = desk.policies

    @router.get("/policies")
    async def overview(request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]) -> Response:
        versions = await policies.history()
        context = {
            "current": versions[0],
            "limits": {name: value for name, value in limits_of(versions[0].policy).items() if value is not None},
            "versions": versions,
            "changes": await policies.changes(),
            "digest": versions[0].digest,
            "PROPOSED": ChangeState.PROPOSED,
        }
        return pages.show(request, "policies.html", session, context)

    @router.get("/policies/new")
    async def new(request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]) -> Response:
        return await draft(request, session, {})

    @router.post("/policies/new")
    async def written(
        request: Request, session: Annotated[Session, Depends(gate.form(Permission.PROPOSE_POLICY))]
    ) -> Response:
        form = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
        try:
            document, weeks = read_document(form.get("document", "")), weeks_of(form)
            if form.get("step") == "propose":
                change = await desk.propose(document, form.get("reason", ""), session.actor, weeks=weeks)
                return RedirectResponse(link("/policies/changes", change.change_id), HTTPStatus.SEE_OTHER)
            base = (await policies.current()).policy
            policy = next_policy(document, base)
            trial = await desk.dry_run(document, weeks=weeks)
        except (InvalidInput, Conflict) as error:
            status = status_of(error)
            return await draft(request, session, form, problem=str(error), status=status)
        tried = {"trial": trial, "differences": differences(base, policy)}
        return await draft(request, session, form, tried=tried)

    async def draft(
        request: Request, session: Session, form: Mapping[str, str], *, problem: str = "",
        tried: Mapping[str, object] | None = None, status: HTTPStatus = HTTPStatus.OK,
    ) -> Response:  # fmt: skip
        current = (await policies.current()).policy
        context = {
            "document": form.get("document") or as_text(current),
            "reason": form.get("reason", ""),
            "weeks": form.get("weeks", WEEKS),
            "problem": problem,
            "version": current.version,
            "trial": None,
            "differences": (),
            **(tried or {}),
        }
        return pages.show(request, "policy_draft.html", session, context, status)

    @router.get("/policies/changes/{change_id}")
    async def change(
        request: Request, change_id: str, session: Annotated[Session, Depends(gate.page(Permission.SEE))]
    ) -> Response:  # fmt: skip
        return await shown(request, session, await policies.change(change_id))

    @router.post("/policies/changes/{change_id}/verdict")
    async def answer(
        request: Request, change_id: str, session: Annotated[Session, Depends(gate.form(Permission.PROPOSE_POLICY))]
    ) -> Response:
        form = await request.form()
        approve, reason = form.get("meaning") == "approve", str(form.get("reason") or "")
        may_answer(session.person, await policies.change(change_id), approve=approve)
        try:
            await desk.answer(change_id, session.actor, approve=approve, reason=reason)
        except (InvalidInput, Conflict) as error:
            status = status_of(error)
            return await shown(request, session, await policies.change(change_id), str(error), status)
        return RedirectResponse(link("/policies/changes", change_id), HTTPStatus.SEE_OTHER)

    async def shown(
        request: Request, session: Session, change: PolicyChange, problem: str = "",
        status: HTTPStatus = HTTPStatus.OK,
    ) -> Response:  # fmt: skip
        base = (await policies.version(change.base_digest)).policy
        waits = change.state is ChangeState.PROPOSED
        context = {
            "change": change,
            "trial": change.trial,
            "base": base,
            "differences": differences(base, change.policy),
            "own": same_person(change.author, session.name),
            "may": session.person.may(Permission.ADOPT_POLICY),
            "waits": waits,
            "stale": waits and (await policies.current()).digest != change.base_digest,
            "problem": problem,
        }
        return pages.show(request, "policy_change.html", session, context, status)

    return router


def as_text(policy: Policy) -> str:
    """The document as a person edits it: every limit of the company's is there, set or not by others."""
    return json.dumps(policy.model_dump(mode="json"), indent=2, ensure_ascii=False)


def weeks_of(form: Mapping[str, str]) -> int:
    """How many weeks the form wants to be tried.

    Raises:
        InvalidInput: none that can be.
    """
    given = form.get("weeks") or str(WEEKS)
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= 104:
        raise InvalidInput("weeks: a number from 1 to 104")
    return int(given)

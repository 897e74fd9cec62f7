"""Makes a decision again from the ledger and the evidence alone, and shows what came of it on its own page."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from console.auth import Gate, Session
from console.pages.decision_page import DecisionPages
from console.ports import ConsolePorts
from console.record_words import replay_in_words
from console.rendering import Pages
from workflows.domain.auditing import DecisionReplays
from workflows.domain.comparing import said
from workflows.domain.errors import NotFound
from workflows.domain.people import Permission


def replays_of(ports: ConsolePorts) -> DecisionReplays:
    """Whoever makes decisions again.

    Raises:
        NotFound: this installation does not.
    """
    if ports.replays is None:
        raise NotFound("This installation makes no decisions again from its record here.")
    return ports.replays


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """The target of the form on a decision's page."""
    router = APIRouter(include_in_schema=False)
    shown = DecisionPages(ports)

    @router.post("/decisions/{decision_id}/replay")
    async def replay(
        request: Request, decision_id: str, session: Annotated[Session, Depends(gate.form(Permission.SEE))]
    ) -> Response:
        remade = await replays_of(ports).remade(decision_id, session.actor)
        context = await shown.context(session, decision_id, replayed=replay_in_words(remade))
        return pages.show(request, "task.html", session, {**context, "fragment": False, "said": said})

    return router

"""What if: a question about the newest weeks, its answer as a table and a sentence; an address is a question."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from console.api_problems import NOT_HERE
from console.auth import Gate, Session
from console.ports import ConsolePorts
from console.rendering import Pages
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.people import Permission
from workflows.domain.what_if import DEFINITIONS, MOST_SERIES, WEEKS, Answer, Question, WhatIf

Text = Annotated[str | None, Query(max_length=200)]
CHANGES = ("service", "slip_days", "block", "demand", "review_days", "order_cost", "price")
SCOPE = ("item", "location", "category", "supplier")


class AnswerDocument(Answer):
    """The answer and what its figures mean."""

    definitions: dict[str, str]


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/what-if`: without a change the form alone, with one the answer too."""
    router = APIRouter(include_in_schema=False)

    @router.get("/what-if")
    async def what_if(request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]) -> Response:
        form = {name: value.strip() for name, value in request.query_params.items() if value.strip()}
        answer, problem, status = None, "", HTTPStatus.OK
        if form.keys() & {*CHANGES} or "ask" in form:
            try:
                answer = await _what_if(ports).ask(_question(form))
            except InvalidInput as error:
                problem, status = str(error), HTTPStatus.UNPROCESSABLE_ENTITY
        context = {
            "form": form, "answer": answer, "problem": problem, "weeks": WEEKS, "definitions": DEFINITIONS,
            "most": MOST_SERIES, "invented": await ports.invented(), "there": ports.what_if is not None,
        }  # fmt: skip
        return pages.show(request, "what_if.html", session, context, status)

    return router


def rest(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """`/api/v1/what-if`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(gate.api(Permission.SEE))])

    @router.get(
        "/what-if",
        summary="The newest weeks replayed as they were and changed; stores nothing, takes seconds",
        responses=NOT_HERE,
    )
    async def what_if(
        item: Text = None, location: Text = None, category: Text = None,
        supplier: Annotated[str | None, Query(max_length=200, description="Bought from this supplier")] = None,
        service: Annotated[str | None, Query(description="Service target, as in 0.98")] = None,
        slip_days: Annotated[str | None, Query(description="Deliveries come so many days later")] = None,
        block: Annotated[str | None, Query(description="This supplier takes no orders")] = None,
        demand: Annotated[str | None, Query(description="Demand times this")] = None,
        review_days: Annotated[str | None, Query(description="Days that one order should last")] = None,
        order_cost: Annotated[str | None, Query(description="What an order line costs")] = None,
        price: Annotated[str | None, Query(description="The selling price")] = None,
        weeks: Annotated[str | None, Query(description="How many of the last weeks")] = None,
    ) -> AnswerDocument:  # fmt: skip
        """At least one change must be given. What is asked about may match at most 500 items at locations."""
        asked = {
            "item": item, "location": location, "category": category, "supplier": supplier, "service": service,
            "slip_days": slip_days, "block": block, "demand": demand, "review_days": review_days,
            "order_cost": order_cost, "price": price, "weeks": weeks,
        }  # fmt: skip
        answer = await _what_if(ports).ask(Question.of(asked))
        return AnswerDocument(**dict(answer), definitions=DEFINITIONS)

    return router


def _question(form: Mapping[str, str]) -> Question:
    known: dict[str, Any] = {name: form.get(name) for name in (*SCOPE, *CHANGES, "weeks")}
    return Question.of(known)


def _what_if(ports: ConsolePorts) -> WhatIf:
    if ports.what_if is None:
        raise NotFound("This installation answers no what-ifs.")
    return ports.what_if

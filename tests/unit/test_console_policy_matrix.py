"""The policy of rights, proven on the app: every role at every route, and task by task at one's own and other places.

Routes are found by walking the app, so a new one is proven without a word here; one that names no permission fails.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from console.auth import COOKIE, Door
from console.signing import csrf
from tests.fakes.console import KEY, LASTS, ConsoleOverFakes
from tests.fakes.people import EVERYBODY
from workflows.domain.approvals import Actor
from workflows.domain.identity import digest
from workflows.domain.people import GRANTS, LOCATED, Permission, Person, Role

OPEN_TO_ALL = {"/sign-in", "/sign-in/begin", "/sign-in/callback", "/livez", "/readyz"}
ABOUT_ONESELF = {
    "/sign-out", "/account", "/account/tokens", "/account/tokens/{token_id}/revoke", "/account/sign-out-everywhere",
    "/notices",
}  # fmt: skip
"""Need a session and no permission: these and no others."""
ON_TOP = {("POST", "/api/v1/tasks/{decision_id}/comments"): Permission.WORK}
"""What a handler asks for beyond its door, because some need it not: whoever was asked about a task may answer."""
HERE, ELSEWHERE = "LEEDS:OAT-1L:1", "YORK:MUG-E:1"
"""Two open tasks."""
PATH = {"decision_id": HERE, "digest": "0" * 64, "name": "Grace", "item": "OAT-1L", "location": "LEEDS"}
"""What stands for a path's parameters; any other is `1`."""
SAMPLE: dict[str, Any] = {
    "meaning": "reject", "reason": "other", "comment": "matrix", "text": "matrix",
    "note": "matrix", "to": "Grace", "until": "2030-01-01T06:00:00Z", "snooze": "receipt", "minutes": 15,
    "decisions": [HERE], "limit": "10",
}  # fmt: skip
"""What stands for the fields of bodies and forms, by their names."""


class Way(NamedTuple):
    """One route and method with the permissions that it names."""

    method: str
    path: str
    doors: tuple[Door[Any], ...]

    @property
    def needs(self) -> frozenset[Permission]:
        named = {door.permission for door in self.doors if door.permission is not None}
        return frozenset(named | {permission for way, permission in ON_TOP.items() if way == (self.method, self.path)})

    def at(self, decision_id: str = HERE) -> str:
        path = self.path.replace("{act}", "claim")
        for name, value in {**PATH, "decision_id": decision_id}.items():
            path = path.replace(f"{{{name}}}", value)
        return "/".join("1" if part.startswith("{") else part for part in path.split("/"))


def doors_of(dependant: Dependant) -> Iterator[Door[Any]]:
    for one in dependant.dependencies:
        if isinstance(one.call, Door):
            yield one.call
        yield from doors_of(one)


def walk(routes: Any) -> Iterator[Way]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield from (
                Way(method, route.path, tuple(doors_of(route.dependant))) for method in sorted(route.methods or ())
            )
        elif hasattr(route, "original_router"):
            yield from walk(route.original_router.routes)


APP = ConsoleOverFakes().app
DOCUMENT = APP.openapi()
WAYS = sorted({way.path + way.method: way for way in walk(APP.routes)}.values())
ASKED = [way for way in WAYS if way.path not in OPEN_TO_ALL]
ON_TASKS = [way for way in ASKED if "{decision_id}" in way.path and way.needs & LOCATED and way.method != "GET"]


def named(way: Way) -> str:
    return f"{way.method} {way.path}"


class Asking:
    """One console, asked as this person."""

    def __init__(self, person: Person) -> None:
        self.console = ConsoleOverFakes()
        self.console.people.known = {one.name: one for one in (*EVERYBODY, person)}
        self.person = person
        self._client = TestClient(self.console.app, follow_redirects=False, raise_server_exceptions=False)

    def ask(self, way: Way, decision_id: str = HERE) -> tuple[int, list[str]]:
        """The answer's status, and why the person's rights were too few, if they were."""
        sessions, before = self.console.sessions, len(self.console.people.refusals)
        secret = asyncio.run(sessions.open(self.person.name, LASTS, Actor(name=self.person.name)))
        key = digest([way.method, way.path, decision_id])
        headers = {"Cookie": f"{COOKIE}={secret}", "X-Requested-With": "test", "Idempotency-Key": key}
        sent: dict[str, Any] = {}
        if way.method != "GET":
            form = {**SAMPLE, "proposal_hash": self._hash(decision_id), "csrf": csrf(KEY, secret), "command_id": key}
            sent = {"json": self._body(way, form)} if way.path.startswith("/api/") else {"data": form}
        answer = self._client.request(way.method, way.at(decision_id), headers=headers, **sent)
        return answer.status_code, [why for _, _, why in self.console.people.refusals[before:]]

    def _hash(self, decision_id: str) -> str:
        case = self.console.shop.cases.get(decision_id)
        return case.decided.decision.proposal_hash if case else "0" * 64

    def _body(self, way: Way, form: dict[str, Any]) -> dict[str, Any]:
        """The fields that the operation's schema has."""
        operation = DOCUMENT["paths"].get(way.path, {}).get(way.method.lower(), {})
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        fields = DOCUMENT["components"]["schemas"].get(name, {}).get("properties", {})
        return {field: form[field] for field in fields if field in form and field != "command_id"}


@pytest.mark.parametrize("way", ASKED, ids=named)
def test_every_route_names_its_permission_and_lets_nobody_in_unknown(way: Way) -> None:
    assert way.doors, (
        f"{named(way)} asks nobody who they are: name its permission with gate.page, gate.form or gate.api"
    )
    assert bool(way.needs) is (way.path not in ABOUT_ONESELF), f"{named(way)} must name a permission"
    if way.method != "GET":
        strong = way.path.startswith("/api/") or any(door.proves_form for door in way.doors)
        assert strong, f"{named(way)} changes something: gate.form proves that the form is of this session"


@pytest.fixture(scope="module", params=list(Role))
def asking(request: pytest.FixtureRequest) -> Asking:
    role: Role = request.param
    return Asking(Person(name=f"only {role}", roles=frozenset({role})))


def test_a_role_may_exactly_what_it_grants(asking: Asking) -> None:
    [role] = asking.person.roles
    wrong = []
    for way in ASKED:
        status, why = asking.ask(way)
        refused = any(one.startswith("This needs the role") for one in why)
        if refused is way.needs.issubset(GRANTS[role]) or (refused and status != 403) or status in (401, 500):
            wrong.append(f"{named(way)}: {status} {why}")
    assert not wrong, f"{role} against GRANTS"


def test_nobody_gets_in_without_a_session() -> None:
    with TestClient(ConsoleOverFakes().app, follow_redirects=False) as client:
        for way in ASKED:
            answer = client.request(way.method, way.at())
            if way.path.startswith("/api/"):
                assert answer.status_code == 401, named(way)
            else:
                assert (answer.status_code, answer.headers["location"][:8]) == (303, "/sign-in"), named(way)


def test_there_are_routes_that_act_on_a_task() -> None:
    assert len(ASKED) > 40
    assert {way.path for way in ON_TASKS} >= {"/tasks/{decision_id}/verdict", "/api/v1/tasks/{decision_id}/verdict"}


@pytest.fixture(scope="module", params=[Role.PLANNER, Role.APPROVER])
def held_to_leeds(request: pytest.FixtureRequest) -> Asking:
    role: Role = request.param
    return Asking(Person(name="held to Leeds", roles=frozenset({role}), locations=frozenset({"LEEDS"})))


@pytest.mark.parametrize("way", ON_TASKS, ids=named)
def test_a_person_acts_on_tasks_of_their_own_locations_only(held_to_leeds: Asking, way: Way) -> None:
    status, why = held_to_leeds.ask(way, HERE)
    assert not why
    assert status not in (401, 403, 500)

    before = held_to_leeds.console.shop.cases[ELSEWHERE].task
    status, why = held_to_leeds.ask(way, ELSEWHERE)
    nothing_of_theirs = way.path.endswith("/undo") and status == 409
    assert status == 403 or nothing_of_theirs, f"{named(way)} acts on a task of another location: {why}"
    assert held_to_leeds.console.shop.cases[ELSEWHERE].task == before

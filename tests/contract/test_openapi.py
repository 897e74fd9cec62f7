"""The REST API keeps what its description promises: no 5xx, and no answer that is not described.

Schemathesis makes the requests: the edges of every parameter and body, values that break each rule of the schema,
missing headers, methods that are not there, and a few random ones per operation. `OPENAPI_EXAMPLES=200` makes it many.
"""

import os
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case, checks

from tests.contract.api_consoles import ALL_ROLES, TASK, as_person, bare, known_ids, whole

MANY = int(os.environ.get("OPENAPI_EXAMPLES", "3"))
"""Random requests for each operation, beyond the edges."""
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]
KEY_HEADER = "Idempotency-Key"
WHOLE, BARE = whole(), bare()
KNOWN = known_ids(WHOLE)

api = schemathesis.openapi.from_dict(WHOLE.app.openapi())
api.app = WHOLE.app
few_rights = schemathesis.openapi.from_dict(WHOLE.app.openapi())
few_rights.app = WHOLE.app
nothing_optional = schemathesis.openapi.from_dict(BARE.app.openapi())
nothing_optional.app = BARE.app
for narrow in (few_rights, nothing_optional):
    narrow.config.phases.coverage.enabled = False

A_PAGE_GAVE = "`after` must be a `next` that a page gave"
RULED = {
    **{f"GET /api/v1/{name}": A_PAGE_GAVE for name in (
        "positions", "orders", "stops", "decisions", "views", "substitutes", "tasks/{decision_id}/comments", "ledger"
    )},
    **{f"POST /api/v1/files/{kind}": "the rows follow the columns of the file" for kind in (
        "items", "suppliers", "sourcing", "limits", "verdicts"
    )},
    "GET /api/v1/ledger/export": "a model by 8 characters or more; the days in order",
    "GET /api/v1/ledger/export.csv": "a model by 8 characters or more; the days in order",
    "GET /api/v1/ledger/access": "the days in order, at most two years, none ahead",
    "GET /api/v1/ledger/controls": "the days in order, at most two years, none ahead",
    "POST /api/v1/ledger/pack": "a decision or both days, which are in order",
    "POST /api/v1/ledger/population": "the days in order, and no more rows than are made",
    "GET /api/v1/tasks": "filters narrow a view, and `after` must be a `next` that a page gave",
    "GET /api/v1/what-if": "at least one change must be given, and each in its range",
    "POST /api/v1/stops": "the scope says whether there is a subject, and a pause ends ahead",
    "POST /api/v1/differences/{difference_id}/explain": "the reason is one line",
    "POST /api/v1/forecasts": "either a horizon or both days; levels that the model tells",
    "POST /api/v1/policy/changes": "the document must be a policy, and change something",
    "POST /api/v1/policy/dry-run": "the document must be a policy, and change something",
    "POST /api/v1/policy/changes/{change_id}/verdict": "a rejection has a reason",
    "POST /api/v1/tasks/{decision_id}/snooze": "exactly one of the ways to say until when, and it lies ahead",
    "POST /api/v1/tasks/{decision_id}/verdict": "units go with approve_edited, a reason with reject",
    "POST /api/v1/tasks/{decision_id}/forward": "whoever gets it must be known and may answer it",
    "POST /api/v1/tasks/{decision_id}/comments": "whoever is asked must be known",
    "POST /api/v1/tasks/bulk-preview": "tasks are approved as proposed or rejected, each named once",
    "POST /api/v1/tasks/bulk-verdict": "tasks are approved as proposed or rejected, each named once",
    "POST /api/v1/substitutes": "both must be known, and be two",
}  # fmt: skip
"""Operations whose requests follow rules between fields, or between a field and what is stored, that a schema cannot
say: they may refuse with 422 what fits the schema."""
UNDER_AN_ID = {"POST /api/v1/tasks/bulk-preview", "POST /api/v1/tasks/bulk-verdict"}
"""Their addresses answer GET as those of a task that is not there, so `Allow` names it too."""
Test = TypeVar("Test", bound=Callable[..., None])
answered: Counter[str] = Counter()
statuses: Counter[int] = Counter()


def each(schema: Any, count: int) -> Callable[[Test], Test]:
    """The test, for every operation of the schema."""
    rules = settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=QUIET,
        print_blob=False,
    )  # fmt: skip

    def over(test: Test) -> Test:
        made: Test = schema.parametrize()(rules(test))
        return made

    return over


def asked(case: Case[Any], name: str) -> None:
    excluded = []
    if case.operation.label in RULED:
        excluded.append(checks.positive_data_acceptance)
    if case.operation.label in UNDER_AN_ID:
        excluded.append(checks.allow_header_conformance)
    if KEY_HEADER in case.headers and case.meta and case.meta.generation.mode.is_positive:
        case.headers[KEY_HEADER] = f"request-{sum(statuses.values())}"  # the same one again would be a repetition
    response = case.call(headers=as_person(name))
    answered[case.operation.label] += response.status_code != 405
    statuses[int(response.status_code)] += 1
    case.validate_response(response, headers=as_person(name), excluded_checks=excluded)


def of_what_is_there(case: Case[Any]) -> Case[Any]:
    """The same request about something that exists."""
    body = case.body
    if isinstance(body, dict) and "proposal_hash" in body:
        body = body | {"proposal_hash": WHOLE.shop.cases[TASK].decided.decision.proposal_hash}
    made: Case[Any] = case.operation.Case(
        method=case.method, path_parameters={name: KNOWN[name] for name in case.path_parameters}, query=case.query,
        headers=case.headers, body=body, media_type=case.media_type,
    )  # fmt: skip
    return made


@each(api, MANY)
def test_somebody_who_may_do_everything(case: Case[Any]) -> None:
    asked(case, ALL_ROLES.name)
    if (
        case.path_parameters
        and case.path_parameters.keys() <= KNOWN.keys()
        and case.method == case.operation.method.upper()
    ):
        asked(of_what_is_there(case), ALL_ROLES.name)


@each(few_rights, max(1, MANY // 3))
def test_somebody_who_may_only_look(case: Case[Any]) -> None:
    asked(case, "Vera")


@each(nothing_optional, max(1, MANY // 3))
def test_an_installation_with_nothing_optional(case: Case[Any]) -> None:
    asked(case, ALL_ROLES.name)


def test_every_operation_was_exercised() -> None:
    described = {
        f"{method.upper()} {path}" for path, methods in WHOLE.app.openapi()["paths"].items() for method in methods
    }
    print(f"{sum(statuses.values()):,} requests, answered with {dict(sorted(statuses.items()))}")
    assert described == {label for label, times in answered.items() if times}, (
        "run the whole file: an operation was never called"
    )

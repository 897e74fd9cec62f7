"""Whatever body a program sends, the REST API says what is wrong with it: no 5xx, and a problem document each time."""

import json
import random
from collections import Counter

import pytest
from starlette.testclient import TestClient

from tests.contract.api_consoles import ALL_ROLES, TASK, as_person, known_ids, whole
from tests.fuzz.bodies import Operation, operations
from tests.fuzz.mutations import bent, garbled
from workflows.domain.files import FileKind

MANY = 10_400
"""Bodies in all, shared evenly by the operations; asserted below."""
SEED = 20260302
FILES = {
    str(FileKind.ITEMS): "item,name,category,price\nOAT-9,Oats,food,1.50\n",
    str(FileKind.SUPPLIERS): "supplier,name\nacme,Acme\n",
    str(FileKind.SOURCING): "item,location,supplier,unit_cost\nOAT-1L,LEEDS,acme,1.00\n",
    str(FileKind.LIMITS): "limit,value\nauto_value_limit,5\n",
    str(FileKind.VERDICTS): f"decision_id,proposal_hash,meaning\n{TASK},{'3f2a' * 16},approve\n",
}
MEDIA_TYPES = (
    "application/json",
    "text/csv",
    "text/plain",
    "",
    "application/json; charset=utf-16",
    "multipart/form-data",
)


def addressed(path: str, known: dict[str, str]) -> str:
    return path.format(**{name: known[name] for name in known if f"{{{name}}}" in path})


@pytest.mark.timeout(900)
def test_no_body_breaks_the_api_and_each_refusal_says_what_is_wrong() -> None:
    console = whole()
    known, header = known_ids(console), as_person(ALL_ROLES.name)
    asked = operations(console.app.openapi(), FILES)
    each = -(-MANY // len(asked))
    chance, statuses, answered = random.Random(SEED), Counter[int](), Counter[str]()  # noqa: S311 - rubbish, repeatable
    with TestClient(console.app, raise_server_exceptions=False) as client:
        for operation in asked:
            console_path = addressed(operation.path, known)
            for number in range(each):
                body, media_type = _sent(chance, operation, number)
                headers = {**header, "Idempotency-Key": f"fuzzed-{operation.path}-{number}"}
                if media_type:
                    headers["Content-Type"] = media_type
                answer = client.request(operation.method, console_path, content=body, headers=headers)

                what = f"{operation.method} {console_path} {body[:400]!r}: {answer.status_code} {answer.text[:300]}"
                assert answer.status_code < 500, what
                assert answer.status_code != 405, what
                if answer.status_code >= 400:
                    problem = answer.json()
                    assert answer.headers["content-type"].startswith("application/problem+json"), what
                    assert problem["status"] == answer.status_code, what
                    assert problem["title"], what
                    assert problem["detail"], what
                    assert len(answer.content) < 100_000, what
                statuses[answer.status_code] += 1
                answered[operation.path] += answer.status_code < 300
    print(f"{statuses.total():,} bodies, answered with {dict(sorted(statuses.items()))}")
    assert statuses.total() >= 10_000
    assert len(asked) >= 20
    assert sum(statuses[code] for code in (400, 413, 415, 422)) > 5_000


def _sent(chance: random.Random, operation: Operation, number: int) -> tuple[bytes, str]:
    """A bent body, the first one as it should be; now and then under a media type that it does not have."""
    media_type = operation.media_type if chance.random() < 0.95 else chance.choice(MEDIA_TYPES)
    if isinstance(operation.body, str):
        good = operation.body.encode()
        return (good if number == 0 else garbled(chance, good)), media_type
    good = json.dumps(operation.body).encode()
    return (good if number == 0 else bent(chance, operation.body)), media_type

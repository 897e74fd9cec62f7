"""Auditors search, read a chain, verify and take a signed copy; everything that they read is recorded."""

import base64
import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from console.tables import csv_safe
from tests.fakes.audit import MemoryAudit
from tests.fakes.console import KEY, ConsoleOverFakes
from workflows.domain.audit import SignedExport
from workflows.domain.identity import canonical, digest


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes()


@pytest.fixture
def audit(console: ConsoleOverFakes) -> MemoryAudit:
    return console.audit


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Audrey")})
        yield client


def api(client: TestClient, path: str, **params: str | int) -> dict[str, Any]:
    answer = client.get(path, params=params, headers={"Authorization": f"Bearer {api_token(KEY, 'Audrey')}"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_search_finds_by_person_and_kind_and_says_who_asked(client: TestClient, audit: MemoryAudit) -> None:
    page = client.get("/audit", params={"person": "Grace", "types": "verdict.refused"})

    assert page.status_code == 200
    assert page.text.count('role="rowheader"') == 1
    assert "LEEDS:OAT-1L:1" in page.text
    assert audit.read == [("Audrey", "search")]


def test_every_preset_is_a_question_that_can_be_asked(client: TestClient) -> None:
    page = client.get("/audit").text
    presets = [part.split('"')[0] for part in page.split('href="/audit?')[1:] if part.startswith("types=")]

    assert len(presets) >= 6
    for query in presets:
        assert client.get(f"/audit?{query.replace('&amp;', '&')}").status_code == 200, query


def test_a_chain_says_whether_it_is_whole(client: TestClient, audit: MemoryAudit) -> None:
    assert "is what was written" in client.get("/audit/chain", params={"stream": "policy"}).text

    at = next(n for n, entry in enumerate(audit.entries) if entry.stream == "policy")
    audit.entries[at] = audit.entries[at].model_copy(update={"actor": "Mallory"})

    assert "not what was written" in client.get("/audit/chain", params={"stream": "policy"}).text
    assert client.get("/audit/chain", params={"stream": "nothing"}).status_code == 404


def test_an_export_is_signed_over_its_canonical_form(client: TestClient) -> None:
    signed = SignedExport.model_validate(client.get("/audit/export.json", params={"subject": "policy"}).json())
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signed.public_key))
    signature, message = base64.b64decode(signed.signature), canonical(signed.export)

    key.verify(signature, message)
    assert digest(message) == signed.sha256
    assert [line.stream for line in signed.export.lines] == ["policy"]
    changed = signed.export.model_copy(update={"exported_by": "Mallory"})
    with pytest.raises(InvalidSignature):
        key.verify(signature, canonical(changed))


def test_a_table_holds_the_same_entries_and_no_formula(client: TestClient) -> None:
    rows = list(csv.DictReader(io.StringIO(client.get("/audit/export.csv").text)))

    assert [row["seq"] for row in rows] == ["1", "2", "3", "4", "1", "1"]
    assert [csv_safe(cell) for cell in ("=1+1", "@x", "-5", "-5+1", "Ada")] == ["'=1+1", "'@x", "-5", "'-5+1", "Ada"]
    assert [csv_safe(f"{start}cmd()")[0] for start in "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"] == ["'"] * 11


def test_rest_pages_through_everything_once(client: TestClient, audit: MemoryAudit) -> None:
    seen, after = [], None
    while True:
        page = api(client, "/api/v1/ledger", limit=2, **({"after": after} if after else {}))
        seen += [(line["stream"], line["seq"]) for line in page["entries"]]
        after = page["next"]
        if after is None:
            break

    assert sorted(seen) == sorted((entry.stream, entry.seq) for entry in audit.entries)


def test_verification_reads_everything_and_names_breaks(client: TestClient, audit: MemoryAudit) -> None:
    audit.entries[0] = audit.entries[0].model_copy(update={"body": b"{}"})
    headers = {"Authorization": f"Bearer {api_token(KEY, 'Audrey')}", "Idempotency-Key": "once-and-again"}

    told = client.post("/api/v1/ledger/verify", headers=headers).json()

    assert (told["ok"], told["entries"]) == (False, 6)
    assert told["breaks"][0]["stream"] == "LEEDS:OAT-1L:1"


@pytest.mark.parametrize(
    "query", ["first_day=2025-13-01", "first_day=2025-03-02&last_day=2025-03-01", "model=abc", "types=nonsense",
              "item=" + "x" * 201, "subject=%00"],
)  # fmt: skip
def test_a_question_that_cannot_be_asked_says_why(client: TestClient, query: str) -> None:
    answer = client.get(f"/audit?{query}")

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text

"""Auditors see how far the record is certified, prove one entry, make a decision again, take copies, review access."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from connectors.signing import SEED_BYTES, NoteSigner, verify
from console.auth import api_token, sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.record import SIGNED_AT, SIGNER
from workflows.domain.decisions import Decided
from workflows.domain.entry_proofs import key_problems
from workflows.domain.errors import InvalidInput
from workflows.domain.ledger import Break, Verification
from workflows.domain.notary import Waiting, statement_of
from workflows.domain.proofs import Alarm
from workflows.domain.replay import Missing
from workflows.domain.tree import is_included

OAT = "LEEDS:OAT-1L:1"
HEADERS = {"Authorization": f"Bearer {api_token(KEY, 'Audrey')}", "Idempotency-Key": "once-and-again"}


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes()


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Audrey")})
        yield client


def sent(client: TestClient, page: str, action: str, **fields: str) -> Any:
    """Fill in a form of a page."""
    csrf = client.get(page).text.split('name="csrf" value="')[1].split('"')[0]
    return client.post(action, data={"csrf": csrf, **fields})


def test_the_page_says_how_far_the_record_is_certified(client: TestClient, console: ConsoleOverFakes) -> None:
    text = client.get("/audit").text

    assert "5 entries under checkpoint 2; 1 newer" in text
    assert console.record.checkpoints[-1].root in text
    assert console.record.keys[0].verifier_key in text
    assert "/mnt/elsewhere/anchors" in text

    console.record.alarms.append(Alarm(kind="fork", detail="somebody else wrote a leaf", seconds=90))
    text = client.get("/audit").text
    assert "The notary refuses to go on" in text
    assert "somebody else wrote a leaf" in text


def test_a_notary_that_does_not_run_is_told(client: TestClient, console: ConsoleOverFakes) -> None:
    state = console.record.state

    async def late() -> Any:
        return (await state()).model_copy(update={"waiting": Waiting(entries=7, oldest_seconds=4000)})

    console.record.state = late  # type: ignore[method-assign]
    assert "7 entries without a checkpoint, the oldest for 67 min: the notary may not run" in client.get("/audit").text


def test_what_verifying_found_is_told_in_words(client: TestClient, console: ConsoleOverFakes) -> None:
    told = Verification(
        entries=6, streams=3, breaks=(), leaves=5, checkpoints=2, unsealed=1, oldest_unsealed_s=12.0,
        anchored_leaves=5, anchored_checkpoints=2, losses=("Otto accepted it",),
    )  # fmt: skip

    async def verify(actor: object) -> Verification:
        return told

    console.audit.verify = verify  # type: ignore[method-assign]
    text = sent(client, "/audit", "/audit/verify").text
    assert "The ledger is whole" in text
    assert "5 leaves of the notary&#39;s tree and 2 signed checkpoints were recomputed" in text
    assert "5 leaves and 2 checkpoints of the anchors were compared" in text
    assert "Loss: Otto accepted it" in text

    broken = (Break(stream="checkpoints", seq=2, problem="it is no signed note"),
              Break(stream="the tree", seq=4, problem="its hash is none"))  # fmt: skip
    told = told.model_copy(update={"breaks": broken, "anchored_leaves": None})
    text = sent(client, "/audit", "/audit/verify").text
    assert "The ledger is not what was written" in text
    assert "The tree, number 4: its hash is none" in text
    assert "The anchors cannot be seen from here" in text
    answer = client.post("/api/v1/ledger/verify", headers=HEADERS).json()
    assert (answer["ok"], answer["without_leaf"], answer["anchored_leaves"]) == (False, 1, None)


def test_a_key_that_nobody_vouched_for_is_seen(client: TestClient, console: ConsoleOverFakes) -> None:
    first, other = console.record.keys[0], NoteSigner(SIGNER.key.name, b"x" * SEED_BYTES)
    before = console.record.checkpoints[0]
    statement = statement_of(SIGNER.key, other.key, before, actor="Otto", reason="rotation", time=SIGNED_AT)
    joined = first.model_copy(update={
        "key_id": other.key.key_id, "verifier_key": other.key.text, "first_checkpoint": before.number + 1,
        "statement": statement, "old_signature": SIGNER.sign(statement), "new_signature": other.sign(statement),
    })  # fmt: skip

    assert key_problems([first, joined], verify) == []
    for field, value in (("old_signature", other.sign(statement)), ("first_checkpoint", 1), ("statement", None)):
        assert len(key_problems([first, joined.model_copy(update={field: value})], verify)) == 1, field
    assert len(key_problems([joined], verify)) == 1

    console.record.keys.append(joined)
    page = client.get("/audit/proof", params={"stream": OAT, "seq": 1}).text
    assert "Checkpoint 2 is not signed by the key that was in use then" in page
    assert "This proof does not hold" in page


def test_a_chain_has_badges_and_leads_to_proofs(client: TestClient) -> None:
    certified = client.get("/audit/chain", params={"stream": OAT}).text
    assert certified.count(">certified</span>") == 4
    assert certified.count("/audit/proof?") == 4
    waits = client.get("/audit/chain", params={"stream": "policy"}).text
    assert ">not certified yet</span>" in waits
    assert "/audit/proof?" not in waits


def test_a_proof_is_checked_step_by_step_and_can_be_checked_elsewhere(
    client: TestClient, console: ConsoleOverFakes
) -> None:
    page = client.get("/audit/proof", params={"stream": OAT, "seq": 2}).text
    assert "This entry is one of the 5 that the notary signed" in page

    taken = client.get("/audit/proof.json", params={"stream": OAT, "seq": 2}).json()
    path = [bytes.fromhex(one) for one in taken["path"]]
    leaf, root = bytes.fromhex(taken["leaf_hash"]), bytes.fromhex(taken["root"])
    assert is_included(leaf, taken["leaf_index"], taken["tree_size"], path, root)
    assert json.loads(taken["entry"]["body"]) == {"rules": ["value_above_limit"]}
    assert client.get("/api/v1/ledger/proof", params={"stream": OAT, "seq": 2}, headers=HEADERS).json() == taken

    console.audit.entries[1] = console.audit.entries[1].model_copy(update={"actor": "Mallory"})
    page = client.get("/audit/proof", params={"stream": OAT, "seq": 2}).text
    assert "This proof does not hold" in page
    assert "Its content was changed" in page


@pytest.mark.parametrize(("stream", "seq", "status"), [("policy", 1, 409), ("policy", 9, 404), ("none", 1, 404)])
def test_what_cannot_be_proven_is_told(client: TestClient, stream: str, seq: int, status: int) -> None:
    asked: dict[str, str | int] = {"stream": stream, "seq": seq}
    assert client.get("/audit/proof", params=asked).status_code == status
    assert client.get("/api/v1/ledger/proof", params=asked, headers=HEADERS).status_code == status


def test_a_decision_is_made_again_from_the_record(client: TestClient, console: ConsoleOverFakes) -> None:
    page = client.get(f"/decisions/{OAT}").text
    assert "not certified yet" in page or "certified" in page

    text = sent(client, f"/decisions/{OAT}", f"/decisions/{OAT}/replay").text
    assert "<b>Equal.</b>" in text
    assert "features: this release kept no snapshot" in text
    assert console.replays.asked == [(OAT, "Audrey")]

    console.replays.missing.append(Missing(what="model", digest="f" * 64))
    assert "<b>Incomplete.</b>" in sent(client, f"/decisions/{OAT}", f"/decisions/{OAT}/replay").text
    case = console.shop.cases[OAT]
    forged = case.decided.decision.model_copy(update={"result": case.decided.decision.result.model_copy(
        update={"sentence": "order nothing"})})  # fmt: skip
    case.decided = Decided(decision=forged, inputs=case.decided.inputs)
    text = sent(client, f"/decisions/{OAT}", f"/decisions/{OAT}/replay").text
    assert "<b>Different.</b>" in text
    assert '<th scope="row">sentence</th><td>order nothing</td>' in text
    told = client.post(f"/api/v1/decisions/{OAT}/replay", headers=HEADERS).json()
    assert (told["verdict"], told["revisions"][0]["missing"][0]["what"]) == ("different", "model")


def test_a_replay_that_takes_too_long_says_what_to_do(client: TestClient, console: ConsoleOverFakes) -> None:
    console.replays.failure = InvalidInput("it takes longer: `quartermaster audit replay` waits")
    answer = sent(client, f"/decisions/{OAT}", f"/decisions/{OAT}/replay")
    assert answer.status_code == 422
    assert "quartermaster audit replay" in answer.text


def test_packs_and_populations_are_files_that_do_not_stay(client: TestClient, console: ConsoleOverFakes) -> None:
    answers = [
        sent(client, "/audit/population", "/audit/pack", decision=OAT),
        sent(client, "/audit/population", "/audit/pack", since="2025-03-01", until="2025-03-05", models="yes"),
        sent(client, "/audit/population", "/audit/population", what="orders", since="2025-03-01", until="2025-03-05"),
        client.post("/api/v1/ledger/pack", json={"decision": OAT}, headers=HEADERS),
        client.post("/api/v1/ledger/population", headers=HEADERS,
                    json={"what": "orders", "since": "2025-03-01", "until": "2025-03-05", "form": "jsonl"}),
    ]  # fmt: skip

    for answer, made in zip(answers, console.copies.made, strict=True):
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-content-sha256"] == made.sha256
        assert zipfile.ZipFile(io.BytesIO(answer.content)).testzip() is None
        assert not made.path.parent.exists()


@pytest.mark.parametrize(
    ("action", "fields", "says"),
    [("pack", {"since": "2025-03-05", "until": "2025-03-01"}, "ends before it begins"),
     ("pack", {"since": "soon", "until": "2025-03-01"}, "the first day is a day"),
     ("pack", {"since": "2021-03-05", "until": "2025-03-01"}, "quartermaster audit pack"),
     ("population", {"what": "all", "since": "2025-03-01", "until": "2025-03-05"}, "choose what is exported"),
     ("population", {"what": "orders", "since": "2025-03-06", "until": "2025-03-05"}, "lies before the first")],
)  # fmt: skip
def test_a_copy_that_is_not_made_says_why(client: TestClient, action: str, fields: dict[str, str], says: str) -> None:
    answer = sent(client, "/audit/population", f"/audit/{action}", **fields)
    assert answer.status_code == 422
    assert says in answer.text


def test_access_is_reviewed_as_of_a_day(client: TestClient, console: ConsoleOverFakes) -> None:
    page = client.get("/audit/access", params={"on": "2025-03-05"}).text
    assert "approves nothing" in page
    assert "5,000.00 EUR" in page
    assert "Answers that did not count" in page
    assert ("Audrey", "review") in console.reviews.asked

    table = client.get("/audit/access.csv", params={"on": "2025-03-05"}).text.splitlines()
    assert table[0].lstrip("\ufeff").startswith("on,person,state")
    assert len(table) == 4
    told = client.get("/api/v1/ledger/access", params={"on": "2025-03-05"}, headers=HEADERS).json()
    assert [one["person"] for one in told["people"]] == ["Ada", "Grace", "Vera"]
    told = client.get("/api/v1/ledger/controls", params={"until": "2025-03-05"}, headers=HEADERS).json()
    assert told["entries"] == 1


def test_only_auditors_see_it(console: ConsoleOverFakes) -> None:
    with TestClient(console.app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Vera")})
        for page in ("/audit/proof?stream=policy&seq=1", "/audit/population", "/audit/access"):
            assert client.get(page).status_code == 403, page
        text = client.get(f"/decisions/{OAT}").text
        assert "/audit/proof" not in text
        assert "Evidence pack" not in text

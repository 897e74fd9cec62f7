"""The offline verifier recomputes everything itself, names what does not add up, and survives any input."""

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.signing import NoteSigner
from tests.offline import LOG, VERIFY, Book, verifier
from workflows.domain.identity import canonical, order_key
from workflows.domain.ledger import merkle_root
from workflows.domain.orders import lines_digest
from workflows.domain.tree import entry_leaf, inclusion_spans, root_of

verify = verifier()
NEED, ORDER = "LEEDS:ITEM:1", "acme:LEEDS:2026-03-03:1"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def report(book: Book, folder: Path, *more: object, anchored: bool = True) -> dict[str, Any]:
    """What is said of this book."""
    pack = book.write(folder)
    anchor = ["--anchor", str(folder / "anchors")] if anchored else []
    told = folder / "report.json"
    code = verify.main([str(pack), *anchor, "--json", str(told), *map(str, more)])
    found: dict[str, Any] = json.loads(told.read_text())
    assert code == (0 if found["ok"] else 1)
    return found


def codes(book: Book, folder: Path, *more: object, anchored: bool = True) -> set[str]:
    """The codes of all findings."""
    return set(report(book, folder, *more, anchored=anchored)["counts"])


def proposal(book: Book, *, units: int = 12, tier: str = "review", **more: Any) -> str:
    """A proposal with its evidence; its hash."""
    source = book.keep({"release": "1"})
    part = book.keep([1, 2, 3])
    snapshot = book.keep({"row": {"item": "ITEM", "lead_times": {"$ref": part}}, "alternatives": [], "source": source})
    inputs = book.keep({"need": {"need_id": NEED}, "snapshot": snapshot})
    result = {
        "kind": "proposal", "supplier": "acme", "units": units, "unit_cost": "2.5000",
        "value": f"{units * 25 / 10:.4f}", "tier": tier, "waterfall": [{"step": "pack", "units": units}], **more,
    }  # fmt: skip
    decision = {
        "decision_id": NEED, "revision": 1, "result": result, "inputs_digest": inputs,
        "model_digest": book.keep(b"a model"), "policy_digest": book.keep({"version": 1}),
    }  # fmt: skip
    proposal_hash = hashlib.sha256(canonical(decision)).hexdigest()
    book.append(NEED, "decision.proposed", {"decision": decision, "proposal_hash": proposal_hash})
    return proposal_hash


def answered(book: Book, agreed: str, actor: str = "pat", *, kind: str = "verdict.recorded", **more: Any) -> None:
    """Somebody's answer."""
    body = {"command": f"c-{actor}", "meaning": "approve", "proposal_hash": agreed, "units": None, **more}
    book.append(NEED, kind, body, actor=actor)


def ordered(book: Book, agreed: str, *, units: int = 12, key: str | None = None, number: str = "A-1") -> None:
    """Released, prepared, sent and taken by the supplier."""
    book.append(NEED, "decision.released", {"order": ORDER, "units": units, "proposal_hash": agreed, "tier": "review"})
    line = {"line_no": 1, "need_id": NEED, "item": "ITEM", "units": units, "unit_cost": "2.5000"}
    key = key or order_key("acme", "LEEDS", "2026-03-03", 1)
    order = {
        "order_id": ORDER,
        "key": key,
        "supplier": "acme",
        "location": "LEEDS",
        "cycle": "2026-03-03",
        "lines": [line],
    }
    digest = lines_digest([("ITEM", units)])
    book.append(f"order:{ORDER}", "order.prepared", {"key": key, "lines_digest": digest, "order": order})
    book.append(f"order:{ORDER}", "order.sent", {"attempt": 1})
    said = {"answer": "placed", "supplier_number": number, "lines_digest": digest}
    book.append(f"order:{ORDER}", "order.answered", said)


def whole() -> Book:
    """A small flow with nothing wrong."""
    book = Book()
    agreed = proposal(book)
    answered(book, agreed)
    book.sign()
    ordered(book, agreed)
    book.sign()
    return book


def test_a_record_without_fault_has_no_finding(tmp_path: Path) -> None:
    found = report(whole(), tmp_path)

    assert (found["findings"], found["notes"]) == ([], [])
    assert (found["checked"]["entries"], found["checked"]["order_lines_sent"]) == (6, 1)
    assert found["checked"]["evidence_objects"] == 6


def test_the_page_explains_every_code() -> None:
    text, page = VERIFY.read_text(), (VERIFY.parents[1] / "docs" / "audit.md").read_text()
    used = set(re.findall(r'\.add\(\s*"([a-z_]+)"', text)) | set(verify.TAMPERING)
    used |= set(re.findall(r'"(erp_[a-z_]+|evidence_(?:missing|changed)|actor_edited)" (?:if|else|or)', text))

    assert {code for code in used if f"`{code}`" not in page} == set()
    assert len(used) > 50


@given(JSON)
def test_canonical_bytes_are_those_of_rfc_8785(value: Any) -> None:
    assert verify.canonical(value) == rfc8785.dumps(value)
    assert verify.parse_canonical(rfc8785.dumps(value)) == value


@pytest.mark.parametrize(
    "body",
    [b'{"a":1.5}', b'{"a":1e3}', b'{"a":NaN}', b'{"a":1,"a":1}', b'{"b":1,"a":1}', b'{"a": 1}',
     b'{"a":9007199254740992}', b'{"a":-0}', b'{"a":"\\u0041"}',
     b"\xff", b"", b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}"],
    ids=["float", "exponent", "nan", "twice", "unsorted", "blank", "large", "minus",
         "escape", "bytes", "none", "deep", "digits"],
)  # fmt: skip
def test_other_spellings_are_not_canonical(body: bytes) -> None:
    with pytest.raises(verify.NotCanonical):
        verify.parse_canonical(body)


@given(st.integers(1, 70))
def test_the_tree_and_its_paths_are_those_of_the_notary(size: int) -> None:
    hashes = [hashlib.sha256(bytes([n])).hexdigest() for n in range(size)]
    leaves, tree = [entry_leaf(one) for one in hashes], verify.Tree()
    for one in hashes:
        tree.add(verify.leaf_hash(one))
    root = root_of(leaves)
    assert tree.root() == root.hex()
    for index in range(size):
        path = [root_of(leaves[first:end]) for first, end in inclusion_spans(index, size)]
        assert verify.root_by_inclusion(leaves[index], index, size, path) == root.hex()
        assert verify.root_by_inclusion(entry_leaf("f" * 64), index, size, path) != root.hex()
    assert verify.batch_root(hashes) == merkle_root([one.encode() for one in hashes])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"value": "31.0000"}, "value_wrong"),
        ({"waterfall": [{"step": "pack", "units": 11}]}, "waterfall_wrong"),
        ({"supplier": "other"}, "line_unauthorised"),
        ({"tier": "blocked"}, "line_unauthorised"),
        ({"units": "many"}, "body_unreadable"),
    ],
)
def test_arithmetic_and_authority_of_proposals(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    book = Book()
    agreed = _unreadable(book) if change.get("units") == "many" else proposal(book, **change)
    answered(book, agreed)
    ordered(book, agreed)
    book.sign()

    assert code in codes(book, tmp_path)


def _unreadable(book: Book) -> str:
    book.append(NEED, "decision.proposed", {"decision": {"decision_id": NEED}, "proposal_hash": "0" * 64})
    return "0" * 64


def test_nothing_is_sent_that_nobody_approved(tmp_path: Path) -> None:
    book = Book()
    ordered(book, proposal(book))
    book.sign()
    (found,) = report(book, tmp_path)["findings"]

    assert (found["code"], found["decision"]) == ("line_unauthorised", NEED)
    assert "no approval" in found["meaning"]


@pytest.mark.parametrize("voided", ["approval.voided", "verdict.withdrawn"])
def test_an_answer_that_was_taken_back_authorises_nothing(tmp_path: Path, voided: str) -> None:
    book = Book()
    agreed = proposal(book)
    answered(book, agreed)
    book.append(NEED, voided, {"approval": "c-pat"})
    ordered(book, agreed)
    book.sign()

    assert codes(book, tmp_path) == {"line_unauthorised"}


def test_two_signatures_are_of_two_people(tmp_path: Path) -> None:
    book = Book()
    agreed = proposal(book)
    answered(book, agreed, kind="verdict.signed", signatures_needed=2)
    answered(book, agreed, command="c-2", signatures_needed=2)
    ordered(book, agreed)
    book.sign()
    assert codes(book, tmp_path) == {"line_unauthorised"}

    book = Book()
    agreed = proposal(book)
    answered(book, agreed, kind="verdict.signed", signatures_needed=2)
    answered(book, agreed, "dana", signatures_needed=2)
    ordered(book, agreed)
    book.sign()
    assert codes(book, tmp_path) == set()


def test_the_policy_agrees_to_its_own_units_only(tmp_path: Path) -> None:
    book = Book()
    ordered(book, proposal(book, tier="auto"))
    book.sign()
    assert codes(book, tmp_path) == set()

    book = Book()
    ordered(book, proposal(book, tier="auto"), units=18)
    book.sign()
    assert codes(book, tmp_path) == {"line_unauthorised"}


def test_after_expiry_nobody_answers_and_nothing_leaves(tmp_path: Path) -> None:
    book = Book()
    agreed = proposal(book)
    book.append(NEED, "decision.closed", {"state": "expired", "reason": "nobody answered"})
    answered(book, agreed)
    ordered(book, agreed)
    book.sign()

    assert codes(book, tmp_path) == {"answered_after_close", "line_unauthorised"}


def test_an_order_carries_the_key_of_its_identity(tmp_path: Path) -> None:
    book = Book()
    agreed = proposal(book)
    answered(book, agreed)
    ordered(book, agreed, key="0" * 64)
    book.sign()

    assert codes(book, tmp_path) == {"order_key_wrong"}


def test_offsets_and_lists_add_up(tmp_path: Path) -> None:
    book = Book()
    for first, last, accepted in ((0, 4, 2), (5, 9, 1), (12, 13, 1), (12, 15, 3), (14, 15, 0)):
        items = [["urn:x", f"e{number}", "ab"] for number in range(1 if accepted == 2 else accepted)]
        root = merkle_root([b"cd"] if first == 5 else [b"ab"] * len(items))
        said = {"log": "k", "ranges": {"qm.sales/0": [first, last]}, "accepted": accepted,
                "items": book.keep(items), "merkle_root": root}  # fmt: skip
        book.append("intake:k", "events.accepted", said)
    book.sign()
    found = report(book, tmp_path)

    assert set(found["counts"]) == {"offsets_missing", "offsets_twice", "count_wrong", "batch_root_wrong"}
    places = {one["code"]: one["seq"] for one in found["findings"]}
    assert places == {"offsets_missing": 3, "offsets_twice": 4, "count_wrong": 1, "batch_root_wrong": 2}


def test_clocks_are_held_against_the_checkpoints(tmp_path: Path) -> None:
    book = whole()
    book.append("notes", "task.commented", recorded=book.at - timedelta(days=1))
    book.append("later", "task.commented", recorded=book.at + timedelta(days=1))
    book.append("later", "task.commented")
    book.sign()
    found = report(book, tmp_path)

    assert {(one["code"], one["stream"]) for one in found["findings"]} == {
        ("late_insert", "notes"), ("dated_after_checkpoint", "later"), ("clock_backwards", "later"),
    }  # fmt: skip


def test_what_the_tree_has_not_yet_is_noted_and_no_fault(tmp_path: Path) -> None:
    book = whole()
    book.append("fresh", "task.commented", sealed=False)
    found = report(book, tmp_path)

    assert found["findings"] == []
    assert any("1 entries are newer than the newest checkpoint" in note for note in found["notes"])


def test_evidence_is_what_it_was(tmp_path: Path) -> None:
    book = whole()
    model = book.keep(b"a model")
    book.evidence[model] = b"a modem"
    source = book.keep({"release": "1"})
    del book.evidence[source]
    found = {one["code"]: one for one in report(book, tmp_path)["findings"]}

    assert found.keys() == {"evidence_changed", "evidence_missing"}
    assert (found["evidence_changed"]["object"], found["evidence_changed"]["decision"]) == (model, NEED)
    assert (found["evidence_missing"]["object"], found["evidence_missing"]["decision"]) == (source, NEED)


def test_keys_follow_each_other_by_statements_of_both(tmp_path: Path) -> None:
    book = whole()
    book.rotate(NoteSigner(LOG, bytes([1]) * 32))
    book.append("after", "task.commented")
    book.sign()
    assert codes(book, tmp_path) == set()
    first, second = (row["verifier_key"] for row in book.keys)
    for key in (first, second):
        assert codes(book, tmp_path, "--key", key, anchored=False) == set()

    stranger = NoteSigner(LOG, bytes([2]) * 32)
    book.rotate(NoteSigner(LOG, bytes([3]) * 32), old=stranger)
    book.append("after", "task.commented")
    book.sign()
    assert "resigned_with_other_key" in codes(book, tmp_path)


def test_an_anchor_that_was_touched_is_no_witness(tmp_path: Path) -> None:
    book = whole()
    leaf = next(line for line in book.anchor if "leaf" in line)["leaf"]
    leaf[4] = "somebody else"
    assert "anchor_damaged" in codes(book, tmp_path)


def test_half_a_line_in_an_anchor_is_a_crash(tmp_path: Path) -> None:
    book = whole()
    pack = book.write(tmp_path)
    anchor = tmp_path / "anchors" / "anchor-2026-03-03.jsonl"
    anchor.write_bytes(b'{"leaf":[0,"LEE\n' + anchor.read_bytes())
    assert verify.main([str(pack), "--anchor", str(tmp_path / "anchors")]) == 0


def test_the_suppliers_list_is_compared(tmp_path: Path) -> None:
    key = order_key("acme", "LEEDS", "2026-03-03", 1)

    def told(*orders: dict[str, Any]) -> set[str]:
        path = tmp_path / "erp.jsonl"
        path.write_text("".join(json.dumps(order) + "\n" for order in orders))
        return codes(whole(), tmp_path, "--erp", path)

    def order(units: int = 12, item: str = "ITEM", **more: Any) -> dict[str, Any]:
        return {"key": key, "number": "A-1", "lines": [{"item": item, "units": units}], **more}

    assert told(order()) == set()
    assert told(order(13)) == {"erp_quantity_changed"}
    assert told() == {"erp_missing"}
    assert told(order(), order(number="A-2")) == {"erp_duplicate"}
    assert told(order(number="B-1")) == {"erp_number_differs"}
    assert told(order(), order(key="f" * 64)) == {"erp_unknown"}
    assert told(order(item="OTHER")) == {"erp_line_missing", "erp_line_unknown"}


def test_what_writers_were_told_is_there(tmp_path: Path) -> None:
    book = whole()
    known = [[one.stream, one.seq, one.hash] for one in book.entries]
    path = tmp_path / "acknowledged.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in known))
    assert codes(book, tmp_path, "--acknowledged", path) == set()
    known[0][2], known[1][1] = "0" * 64, 99
    path.write_text("".join(json.dumps(one) + "\n" for one in known))
    assert codes(book, tmp_path, "--acknowledged", path) == {"acknowledged_changed", "acknowledged_lost"}


def _nasty(folder: Path) -> dict[str, bytes]:
    """Members that no pack has, or not so."""
    return {
        "../../etc/passwd": b"x", "/absolute": b"x", "evidence/" + "0" * 63: b"x",
        "ledger/entries.jsonl": b"[" * 200_000, "ledger/leaves.jsonl": b"[0]\n",
        "ledger/keys.jsonl": b'{"verifier_key":"a+b+c"}\n', "manifest.json": b"[]",
        "ledger/proofs.jsonl": b"\xff\n", "evidence/index.jsonl": b"{}\n5\n",
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name in _nasty(Path()) if name != "ledger/proofs.jsonl"])
def test_a_pack_that_is_none_is_refused_in_words(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    book = whole()
    book.files[name] = _nasty(tmp_path)[name]

    assert verify.main([str(book.write(tmp_path))]) == 2
    assert capsys.readouterr().err.startswith("UNUSABLE: ")


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04", b"not a zip at all", bytes(100_000)])
def test_no_zip_is_refused_in_words(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "pack.zip"
    path.write_bytes(raw)
    done = subprocess.run([sys.executable, "-I", VERIFY, path], capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr.startswith("UNUSABLE: ")
    assert verify.main([str(tmp_path / "none.zip")]) == 2
    assert verify.main([str(tmp_path)]) == 2


def test_bombs_and_doubles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pack.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("manifest.json", "w") as member:
        for _ in range(80):
            member.write(bytes(1 << 20))
    assert verify.main([str(path)]) == 2
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("manifest.json", "{}")
    assert verify.main([str(path)]) == 2


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_to_a_pack_ends_in_a_traceback(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(whole().write(tmp_path).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.zip"
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw)

    assert verify.main([str(path), "--anchor", str(tmp_path / "anchors")]) in (0, 1, 2)


LINES = st.sampled_from(["entries", "leaves", "checkpoints", "keys"])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES, JSON, st.sampled_from(["stream", "seq", "body", "recorded_at", "note", "hash", "verifier_key", "number"]))
def test_no_content_of_a_pack_ends_in_a_traceback(tmp_path: Path, name: str, value: Any, field: str) -> None:
    book = whole()
    with zipfile.ZipFile(book.write(tmp_path)) as archive:
        rows = [json.loads(line) for line in archive.open(f"ledger/{name}.jsonl")]
    rows[-1] = {**rows[-1], field: value} if isinstance(rows[-1], dict) else [*rows[-1][:-1], value]
    book.files[f"ledger/{name}.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows).encode()

    assert verify.main([str(book.write(tmp_path)), "--anchor", str(tmp_path / "anchors")]) in (0, 1, 2)

"""What a clever superuser tries who has read the verifier: each try is a finding, or is said in words."""

import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.signing import NoteSigner
from tests.offline import LOG, Book
from tests.unit.test_verify import NEED, ORDER, answered, codes, ordered, proposal, report, verify, whole
from workflows.domain.identity import canonical, rfc3339
from workflows.domain.ledger import merkle_root
from workflows.domain.tree import entry_leaf, inclusion_spans, root_of

NEW_LOG = "quartermaster/ba9876543210"


def approved_afterwards() -> Book:
    """An order that nobody had agreed to when it left; its approval says that it was earlier."""
    book = Book()
    agreed = proposal(book)
    before = book.at
    ordered(book, agreed)
    book.sign()
    # A few minutes later, as a superuser may: within the time that a transaction may be open.
    body = {"command": "c", "meaning": "approve", "proposal_hash": agreed, "units": None}
    book.append(NEED, "verdict.recorded", body, actor="pat", recorded=before)
    book.sign()
    return book


def test_an_approval_that_is_written_after_the_sending_does_not_count(tmp_path: Path) -> None:
    found = report(approved_afterwards(), tmp_path)

    assert {"late_insert", "line_unauthorised"} <= set(found["counts"])
    late = next(one for one in found["findings"] if one["code"] == "late_insert")
    assert (late["stream"], late["seq"]) == (NEED, 3)
    assert "no approval" in next(one["meaning"] for one in found["findings"] if one["code"] == "line_unauthorised")


def test_taking_checkpoints_out_makes_nothing_look_older(tmp_path: Path) -> None:
    book = Book()
    agreed = proposal(book)
    before = book.at
    ordered(book, agreed)
    book.sign()
    for _ in range(30):
        book.sign()
    body = {"command": "c", "meaning": "approve", "proposal_hash": agreed, "units": None}
    book.append(NEED, "verdict.recorded", body, actor="pat", recorded=before)
    book.sign()
    kept = [{**book.checkpoints[-1], "number": 1}]
    book.files["ledger/checkpoints.jsonl"] = json.dumps(kept[0]).encode()

    assert {"checkpoint_missing", "late_insert", "line_unauthorised"} <= codes(book, tmp_path)


def test_a_pack_without_checkpoints_of_a_certified_ledger(tmp_path: Path) -> None:
    book = whole()
    book.files["ledger/checkpoints.jsonl"] = b""
    assert "checkpoint_missing" in codes(book, tmp_path)
    key = book.signer.key.text
    assert "checkpoint_missing" in codes(book, tmp_path, "--key", key, anchored=False)


def test_leaves_follow_the_order_of_their_chain(tmp_path: Path) -> None:
    book = Book()
    book.append("notes", "task.commented", sealed=False)
    second = book.append("notes", "task.commented")
    book.sign()
    first = book.entries[0]
    book.leaves.append([1, "notes", 1, first.hash])
    book._frontier.append(entry_leaf(first.hash))
    book.sign()

    assert second.seq == 2
    assert "leaf_order" in codes(book, tmp_path, anchored=False)


def test_the_time_of_an_entry_has_one_spelling(tmp_path: Path) -> None:
    book = whole()
    entry = book.append("notes", "task.commented")
    book.sign()
    assert codes(book, tmp_path) == set()
    # Sorts before every other time of that second, and is the same instant for a lenient reader.
    book.entries[-1] = entry.model_copy(update={"recorded_at": entry.recorded_at.replace("Z", "+00:00")})
    assert "time_unreadable" in codes(book, tmp_path)


def accepted_loss(*, forged: bool = False) -> tuple[Book, list[Any]]:
    """Two entries and their checkpoint are gone; whoever holds the key says so and goes on."""
    book = whole()
    size = len(book.leaves)
    book.append("notes", "task.commented", {"said": "one"}, actor="pat")
    book.append("notes", "task.commented", {"said": "two"}, actor="dana")
    book.sign()
    gone = book.entries[-2:]
    book.forget(size)
    loss = {"leaves": size, "what": ["2 entries are missing"], "signed": None}
    old = NoteSigner(LOG, bytes([7]) * 32) if forged else None
    book.rotate(NoteSigner(NEW_LOG, bytes([9]) * 32), old, loss=loss)
    book.append("after", "task.commented")
    book.sign()
    return book, gone


def test_an_accepted_loss_is_a_finding_that_names_what_is_gone(tmp_path: Path) -> None:
    book, gone = accepted_loss()
    found = report(book, tmp_path)

    assert set(found["counts"]) == {"loss_accepted", "entry_lost"}
    assert [(one["stream"], one["seq"]) for one in found["findings"] if one["code"] == "entry_lost"] == [
        (one.stream, one.seq) for one in gone
    ]
    (declared,) = [one["meaning"] for one in found["findings"] if one["code"] == "loss_accepted"]
    assert "pat declared" in declared
    assert NEW_LOG in declared
    assert set(report(book, tmp_path, anchored=False)["counts"]) == {"loss_accepted"}, "the pack's own keys tell it too"


def test_a_loss_that_the_auditor_knows_of_is_a_note(tmp_path: Path) -> None:
    book, _ = accepted_loss()
    found = report(book, tmp_path, "--known-loss", NEW_LOG)

    assert found["findings"] == []
    assert any(note.startswith("LOSS, known to you: pat declared") and "2 entries" in note for note in found["notes"])
    # Nothing but the loss is forgiven.
    book.entries[0] = book.entries[0].model_copy(update={"actor": "mallory"})
    assert "actor_edited" in codes(book, tmp_path, "--known-loss", NEW_LOG)


def test_a_loss_is_declared_by_the_key_before_or_not_at_all(tmp_path: Path) -> None:
    book, _ = accepted_loss(forged=True)
    found = report(book, tmp_path)

    assert {"resigned_with_other_key", "rolled_back"} <= set(found["tampering"])
    assert "loss_forged" in found["counts"]
    assert "entry_lost" not in found["counts"]
    # His own copy of the anchor says nothing of it, the notary's does not know his key.
    book.anchor = [line for line in book.anchor if NEW_LOG not in str(line)]
    assert "rolled_back" in codes(book, tmp_path, "--known-loss", NEW_LOG)


def test_a_loss_needs_the_signature_of_the_key_it_names(tmp_path: Path) -> None:
    book, _ = accepted_loss()
    for row in (book.keys[-1], next(one for one in book.anchor if "loss" in str(one.get("statement")))):
        row["old_signature"] = row["new_signature"]
    found = report(book, tmp_path)

    assert "loss_forged" in found["counts"]
    assert "entry_lost" not in found["counts"]
    assert "rolled_back" in found["tampering"]


def test_a_key_signs_for_its_time_whatever_its_row_says(tmp_path: Path) -> None:
    book = whole()
    first = book.signer
    book.rotate(NoteSigner(LOG, bytes([1]) * 32))
    book.signer = first  # it was stolen, which is why there is another
    book.append("after", "task.commented")
    book.sign()
    book.keys[-1]["first_checkpoint"] = 1_000_000
    assert "key_not_valid_then" in codes(book, tmp_path)
    book.keys.pop()
    assert "key_not_valid_then" in codes(book, tmp_path)


def test_the_same_name_with_another_key_is_a_stranger(tmp_path: Path) -> None:
    book = whole()
    key = book.signer.key.text
    other = Book(signer=NoteSigner(LOG, bytes([5]) * 32))
    answered(other, proposal(other))
    other.sign()
    assert "resigned_with_other_key" in codes(other, tmp_path, "--key", key, anchored=False)


def test_an_old_pack_is_said_to_be_one(tmp_path: Path) -> None:
    book = whole()
    asked, yesterdays = rfc3339(book.at + timedelta(hours=1)), book.manifest()
    old = Path(book.write(tmp_path).rename(tmp_path / "old.zip"))
    book.at += timedelta(days=1)
    book.append("notes", "task.commented")
    book.sign()
    book.write(tmp_path)
    told = tmp_path / "report.json"
    assert verify.main([str(old), "--anchor", str(tmp_path / "anchors"), "--json", str(told)]) == 0
    assert any("it is an old one" in note for note in json.loads(told.read_text())["notes"])
    arguments = [str(old), "--anchor", str(tmp_path / "anchors"), "--requested", asked, "--json", str(told)]
    assert verify.main(arguments) == 1
    assert set(json.loads(told.read_text())["counts"]) == {"pack_outdated"}
    # Saying so of a pack that has more does not put the anchors out of force.
    book.files["manifest.json"] = canonical(yesterdays)
    book.forget(len(book.leaves) - 1)
    book.checkpoints.append({"number": 3, "size": 99, "root": "", "note": book.anchor[-1]["checkpoint"]})
    assert {"anchor_mismatch", "root_mismatch"} <= codes(book, tmp_path)


def test_an_old_anchor_is_said_to_be_one(tmp_path: Path) -> None:
    book = whole()
    known = list(book.anchor)
    book.at += timedelta(days=1)
    book.append("notes", "task.commented")
    book.sign()
    book.anchor = known
    notes = report(book, tmp_path)["notes"]

    assert any("the anchors end at 2026-03-03" in note and "newest file" in note for note in notes)
    assert any("the notary signed nothing for 14" in note for note in notes)
    book.anchor = [line for line in known if line.get("leaf", [0])[0] != 2]
    assert any("the anchors lack 1 of the first 6 leaves" in note for note in report(book, tmp_path)["notes"])


def test_models_that_are_left_out_are_said(tmp_path: Path) -> None:
    book = whole()
    del book.evidence[book.keep(b"a model")]
    assert codes(book, tmp_path) == {"evidence_missing"}
    book.files["manifest.json"] = canonical({**book.manifest(), "models": False})
    found = report(book, tmp_path)
    assert found["findings"] == []
    assert any("left the models out" in note for note in found["notes"])


def test_names_that_look_alike_do_not_read_alike(tmp_path: Path) -> None:
    book = whole()
    at = next(place for place, one in enumerate(book.entries) if one.type == "verdict.recorded")
    book.entries[at] = book.entries[at].model_copy(update={"actor": "p\u0430t"})
    found = report(book, tmp_path)

    assert found["tampering"] == ["approval_actor_edited"]
    (said,) = [one["meaning"] for one in found["findings"] if one["code"] == "approval_actor_edited"]
    assert "was by pat; it now says 'p\\u0430t'" in said


@pytest.mark.parametrize("again", ["Dana", "\uff44ana"])
def test_one_person_in_two_spellings_is_one_person(tmp_path: Path, again: str) -> None:
    book = Book()
    agreed = proposal(book)
    answered(book, agreed, "dana", kind="verdict.signed", signatures_needed=2)
    answered(book, agreed, again, command="c-2", signatures_needed=2)
    ordered(book, agreed)
    book.sign()
    assert codes(book, tmp_path) == {"line_unauthorised"}


def test_an_order_without_its_answer_is_compared_too(tmp_path: Path) -> None:
    book = whole()
    last = book.entries.pop()
    book.leaves.pop()
    key = json.loads(book.entries[-2].body)["key"]
    path = tmp_path / "erp.jsonl"
    path.write_text(json.dumps({"key": key, "number": "A-1", "lines": [{"item": "ITEM", "units": 99}]}))
    assert last.type == "order.answered"
    assert "erp_quantity_changed" in codes(book, tmp_path, "--erp", path, anchored=False)


def _two_names(raw: bytes) -> bytes:
    return raw.replace(b'{"stream":', b'{"stream":"x","stream":', 1).replace(
        b'{"stream": ', b'{"stream": "x", "stream": ', 1
    )


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = whole()
    with zipfile.ZipFile(book.write(tmp_path)) as archive:
        entries = archive.read("ledger/entries.jsonl")
    book.files["ledger/entries.jsonl"] = _two_names(entries)
    assert verify.main([str(book.write(tmp_path))]) == 2
    assert "another reader may take the other one" in capsys.readouterr().err
    book.files = {"manifest.json": b'{"made_by": "x", ' + canonical(book.manifest())[1:]}
    assert verify.main([str(book.write(tmp_path))]) == 2


@pytest.mark.parametrize("trick", [lambda raw: b"#!/bin/sh\n" + raw, lambda raw: raw[:-2] + b"\x03\x00abc"])
def test_bytes_beside_the_files_of_a_zip_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trick: Callable[[bytes], bytes]
) -> None:
    path = whole().write(tmp_path)
    path.write_bytes(trick(path.read_bytes()))
    assert verify.main([str(path)]) == 2
    assert "bytes that belong to none of its files" in capsys.readouterr().err


def one_decision(book: Book, *, chains: tuple[str, ...] | None = None, size: int | None = None) -> Book:
    """The pack of a decision by hand; `size`: proven by the checkpoint of this size."""
    streams = chains if chains is not None else (NEED, f"order:{ORDER}")
    checkpoint = next(one for one in book.checkpoints[::-1] if size in (None, one["size"]))
    leaves = [entry_leaf(own) for *_, own in book.leaves[: checkpoint["size"]]]
    proofs = [
        {"index": index, "stream": stream, "seq": seq, "hash": own, "size": len(leaves),
         "path": [root_of(leaves[first:end]).hex() for first, end in inclusion_spans(index, len(leaves))]}
        for index, stream, seq, own in book.leaves[: len(leaves)]
    ]  # fmt: skip
    there = {(one.stream, one.seq) for one in book.entries}
    proofs = [one for one in proofs if (one["stream"], one["seq"]) in there]
    scope = {"kind": "decision", "decision": NEED, "whole": list(streams)}
    span = {"size": len(leaves), "first": 0, "end": 0}
    book.files |= {
        "ledger/proofs.jsonl": "".join(json.dumps(one) + "\n" for one in proofs).encode(),
        "ledger/leaves.jsonl": b"", "ledger/checkpoints.jsonl": json.dumps(checkpoint).encode(),
        "manifest.json": canonical({**book.manifest(), "scope": scope, "leaves": span}),
    }  # fmt: skip
    return book


def test_one_decision_proven_by_paths(tmp_path: Path) -> None:
    found = report(one_decision(whole()), tmp_path)
    assert (found["findings"], found["notes"]) == ([], [])
    assert found["checked"]["order_lines_sent"] == 1
    # The anchor goes on after the pack was made, also with entries of this very chain.
    book = one_decision(whole())
    book.append(NEED, "outcome.measured", {"cost": "1"})
    book.entries.pop()
    book.sign()
    assert codes(book, tmp_path) == set()


def test_one_decision_proven_by_an_old_checkpoint(tmp_path: Path) -> None:
    book = whole()
    book.sign()
    book.entries = [one for one in book.entries if one.seq <= 2 and one.stream == NEED]
    one_decision(book, chains=(NEED,), size=2)

    assert {"tree_short", "dropped_tail"} <= codes(book, tmp_path)


def test_one_decision_whose_pack_calls_no_chain_whole(tmp_path: Path) -> None:
    book = whole()
    book.append(NEED, "verdict.withdrawn", {"approval": "c-pat"})
    book.sign()
    book.entries = [one for one in book.entries if one.type != "verdict.recorded"]
    found = codes(one_decision(book, chains=()), tmp_path)
    assert "chain_missing" in found
    assert "chain_missing" in codes(one_decision(book, chains=(NEED,)), tmp_path), "its order's"
    assert {"chain_gap", "dropped_middle"} <= codes(one_decision(book), tmp_path)


def test_one_decision_with_a_forged_path(tmp_path: Path) -> None:
    book = one_decision(whole())
    rows = [json.loads(line) for line in book.files["ledger/proofs.jsonl"].splitlines()]
    rows[0]["path"][0] = "00" * 32
    book.files["ledger/proofs.jsonl"] = "".join(json.dumps(one) + "\n" for one in rows).encode()
    assert codes(book, tmp_path) == {"inclusion_wrong"}
    rows[0] = {**rows[1], "stream": rows[0]["stream"], "seq": rows[0]["seq"]}
    book.files["ledger/proofs.jsonl"] = "".join(json.dumps(one) + "\n" for one in rows).encode()
    assert "leaf_mismatch" in codes(book, tmp_path)
    book.files["ledger/proofs.jsonl"] = book.files["ledger/checkpoints.jsonl"] = b""
    assert {"checkpoint_missing", "tree_short"} <= codes(book, tmp_path)


def test_one_decision_with_an_approval_written_afterwards(tmp_path: Path) -> None:
    assert {"late_insert", "line_unauthorised"} <= codes(one_decision(approved_afterwards()), tmp_path)


def test_a_period_brings_the_decisions_of_its_orders(tmp_path: Path) -> None:
    book = whole()
    size = len(book.leaves)
    first = next(index for index, stream, *_ in book.leaves if stream.startswith("order:"))
    start = rfc3339(book.at - timedelta(days=1))
    scope = {"kind": "period", "since": start, "until": rfc3339(book.at + timedelta(days=1))}

    def packed(first: int) -> dict[str, bytes]:
        span = {"size": size, "first": first, "end": size}
        return {"manifest.json": canonical({**book.manifest(), "scope": scope, "leaves": span})}

    book.files = packed(0)
    assert codes(book, tmp_path) == set()
    book.entries = [one for one in book.entries if one.stream != NEED]
    book.files = packed(first)
    found = report(book, tmp_path)
    assert {"period_incomplete", "line_unauthorised"} <= set(found["counts"])


def test_an_entry_cannot_be_moved_to_another_chain(tmp_path: Path) -> None:
    book = whole()
    moved = book.entries.pop(1)
    book.entries.append(moved.model_copy(update={"stream": "LEEDS:OTHER:1", "seq": 1}))
    found = report(book, tmp_path)

    assert "dropped_middle" in found["tampering"]
    assert {(NEED, 2)} <= {(one["stream"], one["seq"]) for one in found["findings"] if one["tampering"]}
    assert "LEEDS:OTHER:1" in {one["stream"] for one in found["findings"]}


def test_what_was_written_before_there_was_a_notary_may_be_old(tmp_path: Path) -> None:
    book = Book()
    old = book.at - timedelta(days=30)
    for number in range(4):
        book.append(f"old:{number}", "task.commented", recorded=old)
        if number == 1:
            book.sign()  # so many that the first round does not get through
    book.append("notary", "notary.key_installed")
    book.sign()
    assert codes(book, tmp_path) == set()
    book.append("notes", "task.commented", recorded=old)
    book.sign()
    assert codes(book, tmp_path) == {"late_insert"}


def test_a_list_behind_a_batch_cannot_be_left_out(tmp_path: Path) -> None:
    book = whole()
    items = book.keep([["urn:x", "e", "ab"]])
    said = {"log": "k", "ranges": {"qm.sales/0": [0, 0]}, "accepted": 1, "items": items,
            "merkle_root": merkle_root([b"ab"])}  # fmt: skip
    book.append("intake:k", "events.accepted", said)
    book.append("installation", "policy.adopted", {"digest": "x", "policy": {"evidence_sha256": book.keep({"v": 1})}})
    book.append("person:p-0", "person.changed", {"roles": {"evidence_sha256": book.keep({"r": 1})}})
    book.sign()
    assert codes(book, tmp_path) == set()
    for digest in (items, book.keep({"v": 1}), book.keep({"r": 1})):
        kept = book.evidence.pop(digest)
        found = report(book, tmp_path)
        assert [one["object"] for one in found["findings"] if one["code"] == "evidence_missing"] == [digest]
        book.evidence[digest] = kept

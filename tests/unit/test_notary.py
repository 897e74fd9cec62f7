"""A checkpoint is a note that others can read: names, keys and signatures are those of C2SP; nothing else passes."""

import base64
import errno
import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.anchors import RECENT, FileAnchor, UrlAnchor
from connectors.notary_folder import NotaryFolder
from connectors.signing import NoteSigner, verify
from workflows.domain.certifying import clock_warning, problem_of
from workflows.domain.errors import InvalidInput, Unavailable
from workflows.domain.ledger import GENESIS, Entry, chain_hash
from workflows.domain.notary import (
    Checkpoint,
    InstalledKey,
    NotaryRefuses,
    SignedCheckpoint,
    State,
    VerifierKey,
    read_note,
    statement_of,
)

AT = datetime(2026, 3, 3, 5, 0, 0, 123_456, tzinfo=UTC)
NAME = "quartermaster/0123456789ab"


def signer(seed: int = 7, name: str = NAME) -> NoteSigner:
    return NoteSigner(name, bytes([seed]) * 32)


def checkpoint(size: int = 3) -> Checkpoint:
    return Checkpoint(origin=NAME, size=size, root="ab" * 32, time=AT, ledger_time=AT + timedelta(seconds=1))


def test_a_verifier_key_is_the_published_example() -> None:
    # The example key of golang.org/x/mod/sumdb/note, which C2SP's signed-note took its format from.
    text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    key = VerifierKey.parse(text)
    assert (key.name, key.key_id, key.text) == ("PeterNeumann", "c74f20a3", text)
    note = (
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    )  # fmt: skip
    signed = base64.b64decode(
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    )
    assert signed[:4] == key.hash
    assert verify(key.public, signed[4:], note.encode())
    assert not verify(key.public, signed[4:], note.encode() + b"x")


def test_a_note_has_its_lines_in_order() -> None:
    note = signer().note(checkpoint())
    lines = note.split("\n")
    assert lines[0] == NAME
    assert lines[1] == "3"
    assert lines[2] == "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="
    assert lines[3:6] == ["2026-03-03T05:00:00.123456Z", "2026-03-03T05:00:01.123456Z", ""]
    assert lines[6].startswith(f"\u2014 {NAME} ")
    assert lines[7:] == [""]


def test_a_key_hash_is_of_name_and_key() -> None:
    key = signer().key
    assert key.hash == hashlib.sha256(NAME.encode() + b"\n\x01" + key.public).digest()[:4]
    assert key.text.split("+")[:2] == [NAME, key.hash.hex()]


def test_a_note_is_read_back_and_only_its_key_signed_it() -> None:
    note = read_note(signer().note(checkpoint()))
    assert note.checkpoint == checkpoint()
    assert note.signed_by(signer().key, verify)
    assert not note.signed_by(signer(8).key, verify)
    assert not note.signed_by(VerifierKey(name="somebody", public=signer().key.public), verify)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_note_that_was_changed_anywhere_is_not_signed(data: st.DataObject) -> None:
    text = signer().note(checkpoint())
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("0aZ+/\n ").filter(lambda letter: letter != text[at]))
    try:
        found = read_note(text[:at] + other + text[at + 1 :])
    except InvalidInput:
        return
    # Base64 has spare bits at its end, and white space may say the same: then what is signed is the same too.
    assert not found.signed_by(signer().key, verify) or found.checkpoint == checkpoint()


@pytest.mark.parametrize(
    "text", ["", "\n\n", "a\n1\nxx\n\n", "a\n-1\nqg==\nx\ny\n\n\u2014 a qg==\n", "a\n1\nqg==\nx\ny\n\n- a b c\n"]
)
def test_what_is_no_note_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="no signed checkpoint"):
        read_note(text)


@pytest.mark.parametrize("text", ["", "a+b", "name+00000000+AQ==", "name+00000000+" + "A" * 44, "+aa+bb"])
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="verifier key"):
        VerifierKey.parse(text)


def test_a_private_key_is_kept_whole_and_shown_by_no_error() -> None:
    text = signer().private_text()
    assert NoteSigner.parse(text).key == signer().key
    for damaged in (text.replace("0123", "9999"), text[:-6] + "\n", "PRIVATE+KEY+x+y+z", "rubbish", ""):
        with pytest.raises(InvalidInput) as refused:
            NoteSigner.parse(damaged)
        assert text.strip().split("+")[-1] not in str(refused.value)


def test_a_statement_names_both_keys_and_the_last_checkpoint() -> None:
    before = SignedCheckpoint(number=4, size=9, root="cd" * 32, signed_at=AT, key_id="x", note="n")
    old, new = signer().key, signer(8).key
    told = json.loads(statement_of(old, new, before, actor="p-1", reason="yearly", time=AT))
    assert (told["old_key"], told["new_key"], told["first_checkpoint"], told["size"]) == (old.text, new.text, 5, 9)
    assert "loss" not in told
    with_loss = statement_of(old, new, None, actor="p-1", reason="fire", time=AT, loss={"leaves": 2, "what": []})
    key = InstalledKey(key_id="x", verifier_key=new.text, first_checkpoint=1, installed_at=AT, statement=with_loss)
    assert key.begins_a_log()
    assert key.actor() == "p-1"


def made(seq: int, prev_hash: str, body: bytes = b"{}") -> Entry:
    draft = Entry(
        stream="s", seq=seq, type="t", actor="a", occurred_at="o", recorded_at="r", body=body,
        body_sha256=hashlib.sha256(body).hexdigest(), prev_hash=prev_hash, hash=GENESIS,
    )  # fmt: skip
    return draft.model_copy(update={"hash": chain_hash(draft)})


def test_only_an_entry_that_is_whole_and_follows_is_certified() -> None:
    first = made(1, GENESIS)
    second = made(2, first.hash)
    assert problem_of(first, None) is None
    assert problem_of(second, first.hash) is None
    for changed, before, words in [
        (second.model_copy(update={"body": b"x"}), first.hash, "its body"),
        (second.model_copy(update={"actor": "me"}), first.hash, "its hash"),
        (second, None, "entry 1 of its chain is missing"),
        (second, "ab" * 32, "does not follow"),
        (made(1, first.hash), None, "names one before it"),
    ]:
        assert words in (problem_of(changed, before) or "")


def test_a_clock_is_believed_forwards_and_near_the_databases() -> None:
    last = SignedCheckpoint(number=4, size=9, root="cd" * 32, signed_at=AT, key_id="x", note="n")
    assert clock_warning(AT, AT, last) is None
    assert clock_warning(AT + timedelta(seconds=59), AT, None) is None
    assert "earlier" in (clock_warning(AT - timedelta(microseconds=1), AT, last) or "")
    assert "-120 s" in (clock_warning(AT - timedelta(minutes=2), AT, None) or "")


def leaf(index: int) -> dict[str, object]:
    return {"leaf": [index, "s", index + 1, "t", "a", "o", "r", "b", "h"]}


def test_an_anchor_knows_where_it_stands_over_many_days(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "far")
    assert anchor.standing().empty
    anchor.append([leaf(0), leaf(1), {"checkpoint": "one"}], date(2026, 3, 3))
    anchor.append([{"checkpoint": "two"}], date(2026, 3, 4))
    again = FileAnchor(tmp_path / "far").standing()
    assert (again.next_leaf, again.notes, again.empty) == (2, ("one", "two"), False)
    assert [one[0] for one in again.recent] == [0, 1]
    # A clock that went back writes on into the newest file.
    anchor.append([{"checkpoint": "three"}], date(2026, 3, 1))
    assert sorted(path.name for path in (tmp_path / "far").iterdir()) == [
        "anchor-2026-03-03.jsonl", "anchor-2026-03-04.jsonl",
    ]  # fmt: skip
    assert FileAnchor(tmp_path / "far").standing().notes == ("one", "two", "three")


def test_an_accepted_loss_begins_anew_in_the_anchor(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path)
    anchor.append([leaf(0), leaf(1), leaf(2), {"checkpoint": "one"}], date(2026, 3, 3))
    anchor.append([{"key": "k", "statement": json.dumps({"loss": {"leaves": 1}})}], date(2026, 3, 4))
    standing = FileAnchor(tmp_path).standing()
    assert (standing.next_leaf, standing.notes, standing.recent) == (1, (), ())


def test_of_a_long_day_the_newest_leaves_are_known_and_half_lines_among_them_are_not(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path)
    anchor.append([*map(leaf, range(RECENT + 50)), {"checkpoint": "one"}], date(2026, 3, 3))
    with (tmp_path / "anchor-2026-03-03.jsonl").open("ab") as file:
        file.write(b'{"leaf":[10050,"s"')
    standing = FileAnchor(tmp_path).standing()
    assert (standing.next_leaf, standing.notes) == (RECENT + 50, ("one",))
    assert [one[0] for one in standing.recent] == list(range(50, RECENT + 50))


def test_a_key_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    folder = NotaryFolder(tmp_path / "notary" / "notary.key")
    assert folder.key() is None
    folder.keep_key(signer())
    found = folder.key()
    assert found is not None
    assert found.key == signer().key
    assert folder.key_file.stat().st_mode & 0o777 == 0o600
    assert folder.key_file.parent.stat().st_mode & 0o777 == 0o700
    folder.key_file.chmod(0o640)
    with pytest.raises(NotaryRefuses, match="others may read"):
        folder.key()


def test_a_half_written_file_of_the_folder_changes_nothing(tmp_path: Path) -> None:
    folder = NotaryFolder(tmp_path / "notary.key")
    state = State(origin=NAME, number=1, size=2, root="ab" * 32, note="n")
    folder.keep_state(state)
    (tmp_path / "notary.json.new").write_text("{")
    assert folder.state() == state
    folder.keep_state(state.model_copy(update={"number": 2}))
    assert folder.state() == state.model_copy(update={"number": 2})
    (tmp_path / "rotation.asked.json").write_text("{")
    assert folder.asked() is None
    assert not (tmp_path / "rotation.asked.json").exists()


@pytest.mark.parametrize("garbage", [b"", b"{}", b"[]", b"\xff\x00", b'{"private":"PRIVATE+KEY+x","key":{}}'])
def test_a_damaged_key_that_is_being_installed_is_refused_and_said(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "rotation.json").write_bytes(garbage)
    with pytest.raises(NotaryRefuses, match="restore it from its backup"):
        NotaryFolder(tmp_path / "notary.key").rotation()


def test_a_full_disk_is_an_outage_and_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = NotaryFolder(tmp_path / "notary.key")
    state = State(origin=NAME, number=1, size=2, root="ab" * 32, note="n")
    folder.keep_state(state)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            folder.keep_state(state.model_copy(update={"number": 2}))
    assert folder.state() == state
    folder.keep_state(state.model_copy(update={"number": 3}))
    assert folder.state() == state.model_copy(update={"number": 3})


class Keeper(http.server.BaseHTTPRequestHandler):
    """Takes notes, after it has failed so often."""

    failures = 0
    taken: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if type(self).failures > 0:
            type(self).failures -= 1
            self.send_response(503)
        else:
            type(self).taken.append(body)
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def keeper() -> Iterator[tuple[type[Keeper], str]]:
    handler = type("Handler", (Keeper,), {"taken": [], "failures": 0})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield handler, f"http://127.0.0.1:{server.server_address[1]}/notes"
    finally:
        server.shutdown()
        server.server_close()


def test_a_note_is_posted_again_until_it_is_taken(keeper: tuple[type[Keeper], str]) -> None:
    handler, url = keeper
    handler.failures = 2
    UrlAnchor(url).post("a note\n")
    assert handler.taken == [b"a note\n"]
    handler.failures = 9
    with pytest.raises(Unavailable, match="answered 503"):
        UrlAnchor(url).post("a note\n", attempts=1)
    with pytest.raises(Unavailable, match="did not answer"):
        UrlAnchor("http://127.0.0.1:9/").post("a note\n", attempts=1)

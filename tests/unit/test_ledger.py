"""Chains and trees: hashes have no second reading, and the tree is that of RFC 9162."""

import hashlib
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.domain.ledger import GENESIS, Entry, chain_hash, merkle_root, verify_stream


def chain(*bodies: bytes, stream: str = "s") -> list[Entry]:
    """What the database would store."""
    entries: list[Entry] = []
    for number, body in enumerate(bodies, start=1):
        draft = Entry(
            stream=stream, seq=number, type="t", actor="a", occurred_at="o", recorded_at="r", body=body,
            body_sha256=hashlib.sha256(body).hexdigest(), prev_hash=entries[-1].hash if entries else GENESIS,
            hash=GENESIS,
        )  # fmt: skip
        entries.append(draft.model_copy(update={"hash": chain_hash(draft)}))
    return entries


def test_an_untouched_chain_has_no_break() -> None:
    assert verify_stream([]) == []
    assert verify_stream(chain(b"1", b"2", b"3")) == []


def test_a_hash_stays_what_it_was() -> None:
    assert chain(b"{}")[0].hash == "3bd785fef1b15841b1e0a6f99306d4236d185ccb5ff0d6455a6f871f45567ac6"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=8), min_size=1, max_size=8), st.data())
def test_any_change_of_any_field_is_found(bodies: list[bytes], data: st.DataObject) -> None:
    entries = chain(*bodies)
    where = data.draw(st.integers(0, len(entries) - 1))
    field = data.draw(
        st.sampled_from(["stream", "seq", "type", "actor", "occurred_at", "recorded_at", "body", "prev_hash", "hash"])
    )
    old = getattr(entries[where], field)
    new: Any = old + 1 if isinstance(old, int) else old + b"x" if isinstance(old, bytes) else f"{old[:-1]}~"
    entries[where] = entries[where].model_copy(update={field: new})
    assert verify_stream(entries)


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 9), st.data())
def test_a_missing_entry_is_named_and_only_it(length: int, data: st.DataObject) -> None:
    entries = chain(*[bytes([n]) for n in range(length)])
    gone = data.draw(st.integers(0, length - 2))
    del entries[gone]
    numbering = [found for found in verify_stream(entries) if "missing" in found.problem]
    assert [(found.seq, found.problem) for found in numbering] == [(gone + 2, f"entry {gone + 1} is missing")]


def test_an_entry_that_is_there_twice_is_named() -> None:
    first, second = chain(b"1", b"2")
    assert "entry 2 is there twice" in {found.problem for found in verify_stream([first, second, second])}


def test_entries_of_another_stream_cannot_be_slipped_in() -> None:
    mine, other = chain(b"1", b"2"), chain(b"1", b"x", stream="other")
    assert verify_stream([mine[0], other[1].model_copy(update={"stream": "s"})])


def test_fields_cannot_flow_into_each_other() -> None:
    (one,) = chain(b"1")
    left = one.model_copy(update={"type": "ab", "actor": "c"})
    right = one.model_copy(update={"type": "a", "actor": "bc"})
    assert chain_hash(left) != chain_hash(right)


def rfc_9162(leaves: Sequence[bytes]) -> bytes:
    """The definition, by recursion: split at the largest power of two below the size."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + rfc_9162(leaves[:split]) + rfc_9162(leaves[split:])).digest()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=6), max_size=40))
def test_the_root_is_that_of_rfc_9162(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == rfc_9162(leaves).hex()

"""Of a message that could not be read its claimed type is told where it is a name, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.domain.claims import claimed_type
from workflows.domain.events import MAX_EVENT_BYTES


@pytest.mark.parametrize("name", ["quartermaster.sale.recorded", "com.example.Sale-v2", "a"])
def test_a_name_is_told_whatever_else_is_wrong(name: str) -> None:
    assert claimed_type(f'{{"type": "{name}", "data": 1e999999999, "n": {"9" * 5_000}}}'.encode()) == name


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\xff", b"[]", b"3", b"{", b'{"type": 3}', b'{"type": null}', b'{"type": ""}', b'{"kind": "a"}',
        b'{"type": "ada@example.org"}', b'{"type": "a b"}', b'{"type": "a\\u0000"}', b'{"type": "\\ud800"}',
        b'{"type": "' + b"a" * 101 + b'"}', b"[" * 60_000, b'{"type": "a"}' + b" " * MAX_EVENT_BYTES,
    ],
)  # fmt: skip
def test_nothing_else_is_told(raw: bytes) -> None:
    assert claimed_type(raw) is None


@given(st.binary(max_size=200))
def test_no_bytes_break_it(raw: bytes) -> None:
    assert claimed_type(raw) is None or claimed_type(raw)

"""Identity is a function of the business: equal things have equal bytes on any machine, different things do not."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from workflows.domain.identity import (
    Code,
    Payload,
    canonical,
    canonical_texts,
    digest,
    need_id,
    order_id,
    order_key,
    plain,
    rfc3339,
)
from workflows.domain.orders import lines_digest

CODES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | TEXT
    | st.decimals(allow_nan=False, allow_infinity=False, places=6)
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(TEXT, VALUES, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any], chance: Any) -> None:
    keys = list(value)
    chance.shuffle(keys)
    assert canonical({key: value[key] for key in keys}) == canonical(value)
    assert json.loads(canonical(value)) == plain(value)


@pytest.mark.parametrize("value", [1.5, float("nan"), {"a": [1, {"b": 0.1}]}, b"bytes", object()])
def test_floats_and_bytes_have_no_canonical_form(value: object) -> None:
    with pytest.raises(TypeError):
        canonical(value)


def test_canonical_bytes_are_those_of_rfc_8785() -> None:
    value = {"\u20ac": 1, "\r": 2, "1": 3, "\U0001f600": 4, "ö": 5, "\ufb33": 6, "a": [None, True, 2**53, -(2**53 - 1)]}
    assert canonical(value).decode() == (
        '{"\\r":2,"1":3,"a":[null,true,"9007199254740992",-9007199254740991],"ö":5,"€":1,"\U0001f600":4,"\ufb33":6}'
    )


def test_decimals_keep_their_digits_and_are_never_exponents() -> None:
    assert canonical([Decimal("1E+3"), Decimal("0.10"), Decimal("-0.000001")]) == b'["1000","0.10","-0.000001"]'


@settings(max_examples=50, deadline=None)
@given(st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)), st.integers(-840, 840))  # noqa: DTZ001 - zoned below
def test_equal_instants_have_one_spelling(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=UTC)
    elsewhere = aware.astimezone(timezone(timedelta(minutes=minutes)))
    assert rfc3339(elsewhere) == rfc3339(aware)
    assert datetime.fromisoformat(rfc3339(aware)) == aware
    assert len(rfc3339(aware)) == len("2025-03-03T05:00:00.000000Z")


@settings(max_examples=100, deadline=None)
@given(*[st.tuples(CODES, CODES, CODES, st.integers(1, 99))] * 2)
def test_different_orders_have_different_ids_and_keys(
    one: tuple[str, str, str, int], other: tuple[str, str, str, int]
) -> None:
    assert (order_id(*one) == order_id(*other)) == (one == other)
    assert (order_key(*one) == order_key(*other)) == (one == other)


@settings(max_examples=50, deadline=None)
@given(CODES, CODES, st.integers(1, 10**6))
def test_a_needs_id_tells_where_and_what(location: str, item: str, number: int) -> None:
    assert need_id(location, item, number).split(":") == [location, item, str(number)]


def test_ids_and_keys_stay_what_they_were() -> None:
    assert order_id("acme", "LEEDS", "2025-03-03", 1) == "acme:LEEDS:2025-03-03:1"
    assert (
        order_key("acme", "LEEDS", "2025-03-03", 1)
        == "170a3738fc2e136f756f55c7a73dcec4c0388746227efb91f5a2aa8eaf7ae24a"
    )
    assert lines_digest([("B", 2), ("A", 1)]) == lines_digest([("A", 1), ("B", 2)])
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("code", ["", "-a", ".a", "a b", "a/b", "a:b", "a\n", "é", "x" * 65])
def test_codes_are_safe_in_urls_keys_and_ids(code: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Code).validate_python(code)


def test_payloads_are_frozen_and_ignore_what_they_do_not_know() -> None:
    class Sample(Payload):
        units: int = 3

    sample = Sample.model_validate({"units": 4, "later": True})
    assert sample == Sample(units=4)
    with pytest.raises(ValidationError):
        sample.units = 5  # type: ignore[misc]


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4), max_size=6))
def test_rows_of_texts_have_the_same_bytes_the_quick_way(rows: list[list[str]]) -> None:
    assert canonical_texts(rows) == canonical(rows)


def test_the_quick_way_escapes_as_the_other_does() -> None:
    rows = [["".join(map(chr, range(0x250))), '\u2028\u2029/\\"\x7f', "🚚\uffff"]]
    assert canonical_texts(rows) == canonical(rows)

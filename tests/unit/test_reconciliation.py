"""The comparison with a supplier's list as a rule: every kind of difference, and nothing where both agree."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.erp.order_list import entry
from workflows.domain.order_lists import ListedLine, ListedOrder, ListedState, readable
from workflows.domain.orders import OrderState
from workflows.domain.reconciliation import Difference, DifferenceKind, OurLine, OurOrder, compare

KEY = "a" * 64
OURS = OurOrder(
    key=KEY, order_id="acme:LEEDS:2025-03-03:1", state=OrderState.PLACED, supplier_number="A-1", currency="EUR",
    lines=(OurLine(item="MILK", units=12, unit_cost=Decimal("0.8")),),
)  # fmt: skip
THEIRS = ListedOrder(
    key=KEY, supplier_number="A-1", currency="EUR",
    lines=(ListedLine(item="MILK", units=12, unit_cost=Decimal("0.80")),),
)  # fmt: skip


def ours(**changes: Any) -> OurOrder:
    return OURS.model_copy(update=changes)


def theirs(**changes: Any) -> ListedOrder:
    return THEIRS.model_copy(update=changes)


def line(item: str = "MILK", units: int = 12, unit_cost: str | None = "0.8") -> ListedLine:
    return ListedLine(item=item, units=units, unit_cost=None if unit_cost is None else Decimal(unit_cost))


@pytest.mark.parametrize(
    ("mine", "listed"),
    [
        (OURS, [THEIRS]),
        (ours(state=OrderState.CLOSED), [THEIRS]),
        (OURS, [THEIRS, theirs(state=ListedState.CANCELLED, supplier_number="A-0")]),
        (OURS, [theirs(lines=(line(units=4), line(units=8)))]),
        (OURS, [theirs(lines=(line(unit_cost=None),), currency="")]),
        (OURS, [THEIRS, theirs(state=ListedState.DRAFT)]),
        (ours(state=OrderState.COLLECTING), []),
        (ours(state=OrderState.SENDING), []),
        (ours(state=OrderState.REFUSED), [theirs(state=ListedState.CANCELLED)]),
        (None, [theirs(state=ListedState.DRAFT)]),
        (None, []),
    ],
)
def test_where_both_agree_nothing_is_told(mine: OurOrder | None, listed: list[ListedOrder]) -> None:
    assert compare("acme", mine, listed) == []


@pytest.mark.parametrize(
    ("mine", "listed", "kind", "words"),
    [
        (OURS, [], "missing", "we hold it as placed, and there it is not"),
        (OURS, [theirs(state=ListedState.CANCELLED)], "missing", "there it is cancelled"),
        (OURS, [theirs(state=ListedState.DRAFT)], "missing", "there it is not"),
        (OURS, [THEIRS, theirs(supplier_number="A-2")], "duplicate", "it is there 2 times"),
        (ours(state=OrderState.IN_DOUBT, in_doubt=True), [THEIRS, THEIRS], "duplicate", "2 times"),
        (OURS, [theirs(supplier_number="B-1")], "mismatch", "their number is B-1, ours is A-1"),
        (OURS, [theirs(currency="USD")], "mismatch", "their currency is USD"),
        (OURS, [theirs(lines=(line(units=24),))], "mismatch", "MILK: 24 units for 19.2 there, 12 units for 9.6 here"),
        (OURS, [theirs(lines=(line(unit_cost="0.81"),))], "mismatch", "12 units for 9.72 there"),
        (OURS, [theirs(lines=(line(), line("TEA")))], "mismatch", "TEA: 12 units for 9.6 there, none here"),
        (OURS, [theirs(lines=())], "mismatch", "MILK: none there"),
        (OURS, [theirs(unreadable="units: not a number")], "mismatch", "cannot be read: units: not a number"),
        (ours(state=OrderState.EMPTY), [THEIRS], "not_ordered", "it is there, and we hold it as empty"),
        (ours(state=OrderState.REFUSED), [THEIRS], "not_ordered", "we hold it as refused"),
        (ours(state=OrderState.IN_DOUBT, in_doubt=True), [], "in_doubt", "their list does not have it"),
        (ours(state=OrderState.IN_DOUBT, in_doubt=True), [THEIRS], "in_doubt", "their list has it as A-1"),
        (None, [THEIRS], "unknown_origin", "under a key that none of our orders has"),
        (None, [theirs(key="")], "unknown_origin", "without a key of ours"),
    ],
)
def test_each_difference_is_told_in_words_and_open(
    mine: OurOrder | None, listed: list[ListedOrder], kind: str, words: str
) -> None:
    (found,) = compare("acme", mine, listed)
    assert found.kind is DifferenceKind(kind)
    assert words in found.says
    assert found.explained is None


@pytest.mark.parametrize(
    ("mine", "listed"),
    [
        (ours(moving=True), []),
        (ours(moving=True, state=OrderState.SENDING), [THEIRS]),
        (ours(moving=True, state=OrderState.IN_DOUBT, in_doubt=True), []),
    ],
)
def test_what_moves_while_the_list_is_read_is_explained(mine: OurOrder, listed: list[ListedOrder]) -> None:
    (found,) = compare("acme", mine, listed)
    assert found.explained is not None


@pytest.mark.parametrize("listed", [[THEIRS, THEIRS], [theirs(lines=(line(units=24),))]])
def test_no_motion_explains_two_orders_or_another_quantity(listed: list[ListedOrder]) -> None:
    assert [one.explained for one in compare("acme", ours(moving=True), listed)] == [None]


def test_the_same_difference_has_the_same_name_in_every_report_and_any_change_another() -> None:
    def name(found: list[Difference]) -> str:
        return found[0].difference_id

    again = name(compare("acme", OURS, []))
    assert again == name(compare("acme", ours(moving=True), []))
    others = {name(compare("bolt", OURS, [])), name(compare("acme", OURS, [THEIRS, THEIRS])),
              name(compare("acme", ours(state=OrderState.RECEIVED), []))}  # fmt: skip
    assert len(others | {again}) == 4


def test_words_of_somebody_else_are_bounded_and_readable() -> None:
    assert readable("a\x00b\ud800c\x1b[2Jd", 50) == "a?b?c?[2Jd"
    assert len(compare("acme", OURS, [theirs(supplier_number="9" * 200)])[0].says) <= 500


GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("key", "supplier_number", "state", "currency", "lines", "ordered_at", "unreadable")
ENTRIES = GARBAGE | st.fixed_dictionaries({}, optional={name: GARBAGE | st.just(KEY) for name in FIELDS})


@given(ENTRIES)
def test_any_entry_becomes_one_that_can_be_compared(document: object) -> None:
    found = entry(document)
    assert found.key in {"", KEY}
    for mine in (OURS, None):
        for one in compare("acme", mine, [found]):
            one.says.encode()
            one.supplier_number.encode()
            assert "\x00" not in one.says + one.supplier_number
    assert ListedOrder.model_validate_json(found.model_dump_json()) == found


def test_a_good_entry_is_read_whole() -> None:
    document = {
        "key": KEY, "supplier": "acme", "location": "LEEDS", "supplier_number": "A-1", "state": "confirmed",
        "currency": "EUR", "ordered_at": "2025-03-03T06:00:00Z",
        "lines": [{"item": "MILK", "units": 12, "unit_cost": "0.80"}],
    }  # fmt: skip
    assert entry(document).model_copy(update={"ordered_at": None}) == THEIRS
    assert entry({**document, "state": "draft", "supplier_number": None}).state is ListedState.DRAFT
    assert entry({**document, "lines": "none"}).unreadable
    assert entry({**document, "lines": [{"item": "MILK", "units": -1}]}).unreadable == (
        "lines.0.units: Input should be greater than or equal to 0"
    )

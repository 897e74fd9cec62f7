"""What counts as demand is a readable rule; what people say about days comes last, in any order."""

import itertools
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from workflows.domain.demand import (
    Adjustment,
    Cancelled,
    DemandDefinition,
    KnownDay,
    Layer,
    PartialDay,
    effective_units,
    layers,
    outliers_cut,
    promoted_days,
)
from workflows.domain.shelves import Silence

FIRST = date(2025, 1, 1)
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
PLAIN = DemandDefinition()


def day(n: int) -> date:
    """The n-th day, from 0."""
    return FIRST + timedelta(days=n)


def said(
    first: int, last: int | None = None, *, units: int | None = None, layer: Layer = Layer.ADJUSTMENT, at: int = 0,
    name: str = "a1",
) -> Adjustment:  # fmt: skip
    """Somebody speaks about days."""
    return Adjustment(
        adjustment_id=name, item="A", location="L", first_day=day(first), last_day=day(first if last is None else last),
        layer=layer, units=units, reason="because", author="pat", recorded_at=NOON + timedelta(minutes=at),
    )  # fmt: skip


def test_no_record_is_a_zero_no_stock_is_missing_and_more_back_than_sold_is_no_demand() -> None:
    known = [KnownDay(day(0), 4), KnownDay(day(2), 0, in_stock=False), KnownDay(day(3), -2)]
    assert effective_units(known, day(5), PLAIN) == [4, 0, None, 0, 0]


@pytest.mark.parametrize(("exposure", "effective"), [(499, None), (500, 14), (700, 10), (1000, 7), (None, None)])
def test_a_day_in_stock_for_half_of_its_hours_or_more_is_scaled_up(exposure: int | None, effective: int | None) -> None:
    known = [KnownDay(day(0), 7, in_stock=False, exposure_permille=exposure)]
    assert effective_units(known, day(1), PLAIN) == [effective]
    missing = DemandDefinition(version=2, partial_days=PartialDay.MISSING)
    assert effective_units(known, day(1), missing) == [None]


def test_a_persons_word_comes_last_also_about_days_without_stock() -> None:
    known = [KnownDay(day(0), 4), KnownDay(day(1), 0, in_stock=False), KnownDay(day(2), 900)]
    words = [
        said(1, units=6),
        said(2, units=9, layer=Layer.OUTLIER, name="a2"),
        said(0, layer=Layer.CENSORED, name="a3"),
    ]
    assert effective_units(known, day(4), PLAIN, words) == [None, 6, 9, 0]
    listed = layers(known, day(4), PLAIN, words)
    assert [one.sold_units for one in listed] == [4, 0, 900, 0], "what was sold stays to be seen"
    assert [one.adjustment.adjustment_id if one.adjustment else None for one in listed] == ["a3", "a1", "a2", None]


def test_a_newer_word_replaces_an_older_one_and_promotions_say_nothing_about_demand() -> None:
    known = [KnownDay(day(0), 4, promotion=True)]
    words = [said(0, units=6), said(0, units=7, at=1, name="a2"), said(0, 3, layer=Layer.PROMOTION, at=2, name="a3")]
    assert effective_units(known, day(1), PLAIN, words) == [7]
    assert promoted_days(known, words) == [(day(0), day(0)), (day(0), day(3))], "the announced days may lie ahead"


SPOKEN = st.builds(
    lambda first, span, layer, units, at, name: said(
        first, first + span, layer=layer, units=units if layer in (Layer.ADJUSTMENT, Layer.OUTLIER) else None, at=at,
        name=f"a{name}",
    ),
    st.integers(-3, 12), st.integers(0, 5), st.sampled_from([one for one in Layer if one is not Layer.SALES]),
    st.none() | st.integers(0, 50), st.integers(0, 3), st.integers(0, 99),
)  # fmt: skip
KNOWN = st.lists(
    st.builds(
        KnownDay, st.integers(0, 9).map(day), st.integers(-20, 1_000_000_000), st.booleans(), st.booleans(),
        st.none() | st.integers(0, 1000),
    ),
    min_size=1, max_size=8, unique_by=lambda one: one.day,
).map(lambda days: sorted(days, key=lambda one: one.day))  # fmt: skip
DEFINITIONS = st.builds(
    DemandDefinition, version=st.just(2), outlier_factor=st.none() | st.integers(2, 9),
    partial_days=st.sampled_from(PartialDay),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(KNOWN, st.lists(SPOKEN, max_size=6, unique_by=lambda one: one.adjustment_id), DEFINITIONS, st.randoms())
def test_effective_demand_is_never_negative_and_the_order_of_words_never_matters(
    known: list[KnownDay], words: list[Adjustment], definition: DemandDefinition, chance: Random
) -> None:
    end = day(10)
    effective = effective_units(known, end, definition, words)
    assert len(effective) == (end - known[0].day).days
    assert all(units is None or units >= 0 for units in effective)
    shuffled = list(words)
    chance.shuffle(shuffled)
    assert effective_units(known, end, definition, shuffled) == effective
    without = [one for one in words if one.layer is not Layer.PROMOTION]
    assert effective_units(known, end, definition, without) == effective, "promotions commute with everything"
    assert [one.effective_units for one in layers(known, end, definition, words)] == effective


def test_layers_of_different_days_commute() -> None:
    known = [KnownDay(day(n), 5) for n in range(4)]
    words = [said(0, units=1, name="a1"), said(1, layer=Layer.PHANTOM_STOCK, name="a2"), said(2, units=3, name="a3")]
    results = {tuple(effective_units(known, day(4), PLAIN, order)) for order in itertools.permutations(words)}
    assert results == {(1, None, 3, 5)}


def test_outliers_are_cut_by_earlier_days_alone_so_a_cut_never_changes_later() -> None:
    units = [10] * 20 + [500] + [10] * 20
    cut = outliers_cut(units, frozenset(), 4)
    assert cut == [10] * 20 + [40] + [10] * 20
    for end in range(len(units)):
        assert outliers_cut(units[:end], frozenset(), 4) == cut[:end]
    assert outliers_cut([5, 500], frozenset(), 2) == [5, 500], "with few sale days nobody knows what is usual"


def test_days_without_stock_do_not_say_what_is_usual() -> None:
    units = [10] * 10 + [1_000] * 10 + [35]
    assert outliers_cut(units, frozenset(range(10, 20)), 3)[-1] == 30


def test_a_definition_is_named_by_its_content_and_keeps_its_name_when_rules_are_added() -> None:
    assert PLAIN.model_dump(mode="json") == {"version": 1}
    one = DemandDefinition(version=2, counted_reasons=("Write-off", "transfer "))
    other = DemandDefinition(version=2, counted_reasons=("transfer", "write-off"))
    assert one.digest == other.digest != PLAIN.digest
    assert DemandDefinition.model_validate_json('{"version": 2, "sale_cap_units": 9}').sale_cap_units == 9
    with pytest.raises(ValidationError, match="Extra inputs"):
        DemandDefinition.model_validate({"version": 2, "sale_cap": 9})


def test_a_definition_reads_as_one_line() -> None:
    assert PLAIN.words == (
        "version 1: sales, less those cancelled or returned; days without stock are scaled up if in stock for half of "
        "the day or more, else unknown"
    )
    full = DemandDefinition(
        version=3, cancelled_sales=Cancelled.STAYS, counted_reasons=("transfer",), sale_cap_units=1200,
        outlier_factor=6, partial_days=PartialDay.MISSING,
    )  # fmt: skip
    assert full.words == (
        "version 3: sales, at most 1,200 units of one sale, cancelled ones too, and stock taken off for transfer, "
        "a day cut at 6 times the average sale day; days without stock are unknown, not zero"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layer": Layer.SALES}, "sales are facts"),
        ({"layer": Layer.PROMOTION, "units": 3}, "takes no units"),
        ({"layer": Layer.CENSORED, "units": 3}, "takes no units"),
        ({"last_day": day(-1)}, "the last day is the first one or"),
        ({"reason": "  "}, "reason"),
        ({"units": -1}, "units"),
    ],
)
def test_words_that_make_no_sense_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Adjustment.model_validate({**said(0, units=1).model_dump(), **change})


def silence(days: int, **change: int) -> Silence:
    """45 sale days of 90, 2 units each, then silence."""
    usual = {"base_days": 90, "base_sale_days": 45, "base_units": 90, "on_hand_units": 12, **change}
    return Silence(item="A", location="L", silent_since=FIRST, silent_days=days, **usual)


def test_a_shelf_is_suspicious_when_its_silence_is_next_to_impossible() -> None:
    assert silence(9).chance_ppm == 2156, "(46/91)^9"
    assert not silence(9).suspicious
    assert silence(11).chance_ppm == 551
    assert silence(11).suspicious
    assert silence(11).usual_units == Decimal("11.000")
    assert not silence(11, on_hand_units=0).suspicious, "an empty shelf is silent by right"
    assert not silence(60, base_sale_days=7).suspicious, "who sells rarely may be silent"
    assert not silence(30, base_units=10).suspicious, "fewer than five units are not worth the walk"
    assert silence(200, base_days=0, base_sale_days=0, base_units=0).chance_ppm == 1_000_000

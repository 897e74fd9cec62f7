"""A day's rhythm is learned in whole numbers, and says little until it has seen much."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.domain.rhythm import DayRhythm, TodaysForecast

MIDNIGHT = datetime(2025, 3, 3, tzinfo=UTC)
SHOP = tuple(0 if hour < 8 or hour >= 20 else 100 for hour in range(24))


def test_without_any_sale_the_day_is_even() -> None:
    assert [DayRhythm().elapsed_permille(MIDNIGHT + timedelta(hours=hour)) for hour in (0, 6, 12, 18)] == [
        0, 250, 500, 750,
    ]  # fmt: skip


def test_a_shop_that_opens_at_eight_has_sold_little_by_then() -> None:
    seen = DayRhythm(own_sales=SHOP, all_sales=SHOP)
    morning, noon, evening = (seen.elapsed_permille(MIDNIGHT + timedelta(hours=hour)) for hour in (8, 14, 20))
    assert morning < 10
    assert 480 < noon < 520
    assert evening > 990


def test_a_new_location_does_as_all_others_do() -> None:
    new = DayRhythm(all_sales=SHOP)
    assert new.elapsed_permille(MIDNIGHT + timedelta(hours=8)) < 20
    early = tuple(50 if hour in (4, 5) else 0 for hour in range(24))
    half = DayRhythm(own_sales=early, all_sales=SHOP).elapsed_permille(MIDNIGHT + timedelta(hours=8))
    assert 300 < half < 400, "a hundred sales of its own weigh a third"


def test_the_share_is_of_the_utc_day_whatever_the_offset() -> None:
    berlin = datetime(2025, 3, 3, 13, 0, tzinfo=timezone(timedelta(hours=1)))
    assert DayRhythm().elapsed_permille(berlin) == 500


@given(
    own=st.lists(st.integers(0, 5_000), min_size=24, max_size=24),
    others=st.lists(st.integers(0, 5_000), min_size=24, max_size=24),
)
def test_a_day_only_goes_on(own: list[int], others: list[int]) -> None:
    everybody = tuple(a + b for a, b in zip(own, others, strict=True))
    seen = DayRhythm(own_sales=tuple(own), all_sales=everybody)
    shares = [seen.elapsed_permille(MIDNIGHT + timedelta(minutes=minute)) for minute in range(0, 1_440, 20)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] <= 1_000


def test_clumping_is_what_was_seen_once_enough_was_seen() -> None:
    assert DayRhythm().clump_permille == 250
    assert DayRhythm(same_sale_pairs=90_000, same_day_pairs=100_000).clump_permille == pytest.approx(897, abs=2)
    assert DayRhythm(same_sale_pairs=0, same_day_pairs=100_000).clump_permille < 5


def test_sales_beyond_their_share_raise_the_rest_and_a_quiet_day_lowers_it() -> None:
    day = TodaysForecast(p10_milli=5_000, p50_milli=10_000, p90_milli=17_000)
    usual = day.expected_rest_milli(5, 500)
    assert usual == pytest.approx(5_300, abs=300)
    assert day.expected_rest_milli(15, 500) > usual + 3_000
    assert day.expected_rest_milli(0, 500) < usual - 1_500
    assert day.expected_rest_milli(5, 1_000) == 0


def test_without_knowing_anything_a_poisson_day_keeps_its_rate() -> None:
    poisson = TodaysForecast(p10_milli=10_000, p50_milli=10_000, p90_milli=10_000)
    assert [poisson.expected_rest_milli(sold, 500) for sold in (0, 5, 20)] == [5_000] * 3


def test_a_sale_of_what_was_never_expected_goes_on_at_its_rate() -> None:
    nothing = TodaysForecast(p10_milli=0, p50_milli=0, p90_milli=0)
    assert nothing.expected_rest_milli(0, 500) == 0
    assert nothing.expected_rest_milli(6, 750) == 2_000

"""The static reorder point beside what happened: the levels of the simulator's baseline, each day counted once."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from activities.learning.order_points import static_level
from workflows.domain.static_replay import Delivery, Line, Place, PlaceDay, Standing, order_up_to, replay
from workflows.domain.studies import Period

MONDAY = date(2025, 3, 3)
END = date(2025, 7, 1)
STEADY = {MONDAY - timedelta(days=back): 10 for back in range(1, 61)}
"""Ten a day for two months: no deviation, so the level is 10 x (lead time + review)."""


def day(after: int) -> date:
    """So many days after Monday."""
    return MONDAY + timedelta(days=after)


def standing(at: int = 0, until: int = 4, **more: Any) -> Standing:
    """A decision: three days of lead time, review each day, single units, 0.1 to hold, 2 to miss, 5 a line."""
    told: dict[str, Any] = {
        "supplier": "acme", "lead_days": 3, "review_days": 1, "pack_units": 1, "minimum_units": 0,
        "holding": Decimal("0.1"), "shortage": Decimal(2), "line_cost": Decimal(5), "medians": {},
        "usual": Decimal(9), **more,
    }  # fmt: skip
    return Standing(day=day(at), until=day(until), **told)


def place(**more: Any) -> Place:
    """Ten sold each day from a stock of a hundred."""
    days = {day(n): PlaceDay(sold=10, closing=90 - 10 * n) for n in range(8)}
    told: dict[str, Any] = {"decisions": (standing(),), "opening": 100, "days": days, "demand": STEADY, **more}
    return Place(**told)


@pytest.mark.parametrize("lead", [0, 3, 16])
def test_the_level_is_the_one_of_the_simulators_baseline(lead: int) -> None:
    chance = np.random.default_rng(11)
    for _ in range(30):
        units = chance.poisson(chance.gamma(1.0, 4.0), 400).astype(float)
        units[chance.random(400) < 0.1] = np.nan
        demand = {MONDAY - timedelta(days=400 - n): int(one) for n, one in enumerate(units) if not np.isnan(one)}
        theirs = int(static_level(units[None, :], np.array([lead]), Period.DAY)[0])
        assert order_up_to(demand, MONDAY, lead + 1) == theirs


def test_too_little_history_has_no_level_and_is_not_compared() -> None:
    short = {MONDAY - timedelta(days=back): 10 for back in range(1, 28)}
    assert order_up_to(short, MONDAY, 4) is None
    assert replay(place(demand=short), MONDAY, END) == []


def test_both_worlds_by_hand() -> None:
    """Level 40: nothing is ordered while 100, 90, 80 and 70 are there."""
    found = replay(place(), MONDAY, END)
    assert [one.day for one in found] == [day(n) for n in range(4)]
    for n, one in enumerate(found):
        assert one.static == one.happened
        assert one.static.holding == Decimal("0.1") * (90 - 10 * n)
        assert one.static.shortage == one.static.ordering == 0


def test_it_orders_what_is_missing_and_runs_out_before_that_arrives() -> None:
    """From 20: 20 are ordered at once and 10 on each of the next two days; the first come on the fourth day."""
    days = {day(n): PlaceDay(sold=10, closing=(10, 0, 50, 40)[n]) for n in range(4)}
    came, lines = (Delivery(day(2), day(0), 60),), (Line(day(0), 0),)
    found = replay(place(opening=20, days=days, deliveries=came, lines=lines), MONDAY, END)
    assert [one.static.ordering for one in found] == [5, 5, 5, 0], "what was lost on the third day is not missed twice"
    assert [one.static.shortage for one in found] == [0, 0, 20, 0]
    assert [one.static.holding for one in found] == [1, 0, 0, 1]
    assert [one.happened.ordering for one in found] == [5, 0, 0, 0]
    assert [one.happened.shortage for one in found] == [0, 0, 0, 0]


def test_overlapping_horizons_count_each_day_once() -> None:
    one = replay(place(), MONDAY, END)
    decisions = (standing(0, 4), standing(1, 4), standing(2, 6, holding=Decimal("0.2")))
    more = replay(place(decisions=decisions), MONDAY, END)
    assert [seen.day for seen in more] == [day(n) for n in range(6)]
    assert more[:2] == one[:2]
    assert more[2].static.holding == Decimal("0.2") * 70, "prices are those of the newest decision"


def test_a_gap_is_lived_through_and_not_counted() -> None:
    found = replay(place(decisions=(standing(0, 2), standing(5, 7))), MONDAY, END)
    assert [one.day for one in found] == [day(n) for n in (0, 1, 5, 6)]
    assert found[2].static.holding == Decimal("0.1") * (100 - 60 + 0), "what was sold meanwhile is gone"


def test_an_empty_shelf_hides_demand_from_neither_world() -> None:
    """Three of nine (the forecast's median) were sold; the static world has them all."""
    days = {day(0): PlaceDay(sold=3, closing=0, empty=True)}
    wide = replace(standing(0, 1), medians={day(0): Decimal("9.5")})
    (one,) = replay(place(decisions=(wide,), days=days, opening=3), MONDAY, END)
    assert (one.wanted, one.imputed, one.censored) == (Decimal("9.5"), Decimal("6.5"), True)
    assert one.happened.shortage == one.static.shortage == Decimal("6.5") * 2
    days = {day(0): PlaceDay(sold=20, closing=0, empty=True)}
    (one,) = replay(place(decisions=(standing(0, 1),), days=days, opening=20), MONDAY, END)
    assert one.imputed == 0, "what was sold was wanted"


def test_what_was_under_way_comes_in_both_worlds_and_new_orders_in_one() -> None:
    days = {day(n): PlaceDay(sold=0, closing=(5, 35, 35, 85)[n]) for n in range(4)}
    came = (Delivery(day(1), day(-2), 30), Delivery(day(3), day(0), 50))
    found = replay(place(opening=5, days=days, deliveries=came, demand=STEADY), MONDAY, END)
    assert [one.happened.holding for one in found] == [Decimal(units) / 10 for units in (5, 35, 35, 85)]
    assert [one.static.holding for one in found] == [Decimal(units) / 10 for units in (5, 35, 35, 40)]
    assert [one.static.ordering for one in found] == [5, 0, 0, 0], "five are missing to forty"


def test_shrinkage_happens_in_both_worlds() -> None:
    days = {day(0): PlaceDay(sold=10, closing=90), day(1): PlaceDay(sold=10, closing=50), day(2): PlaceDay(closing=50)}
    found = replay(place(days=days, decisions=(standing(0, 3),)), MONDAY, END)
    assert [one.static.holding for one in found] == [9, 5, 5]


def test_packs_minimum_review_period_and_real_lead_times_bind_it() -> None:
    bound = standing(0, 8, review_days=4, pack_units=6, minimum_units=20)
    days = {day(n): PlaceDay(sold=10, closing=95 - 10 * n) for n in range(8)}
    took = {"acme": [(day(0), 5), (day(6), 1)]}
    found = replay(place(decisions=(bound,), days=days, opening=105, lead_times=took), MONDAY, END)
    # Level 70: nothing at 105; at 65 five are missing, so the minimum in whole packs is ordered: 24, there next week.
    assert [one.static.ordering for one in found] == [0, 0, 0, 0, 5, 0, 0, 0]
    assert found[5].static.holding == Decimal("0.1") * (105 - 60 + 24), (
        "the next real delivery took a day, as this does"
    )


def test_a_stretch_cuts_what_reaches_beyond_it() -> None:
    found = replay(place(decisions=(standing(-2, 9),)), MONDAY, day(3))
    assert [one.day for one in found] == [day(0), day(1), day(2)]

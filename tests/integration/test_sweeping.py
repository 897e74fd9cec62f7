"""An hour that closes looks at what moved in it, at watch levels that the day's sales have moved, and at no more."""

from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.postgres import rhythm, sweeping
from connectors.postgres.pool import transaction
from tests.storeroom import LOCATION, MORNING, HandScoring, Storeroom, catalog, clock, counted, sold
from workflows.domain.rhythm import DayRhythm
from workflows.domain.scores import DayForecast, Scores, ScoringRow

MIDNIGHT = datetime(2025, 3, 3, tzinfo=UTC)
SHOP = [0] * 8 + [100] * 12 + [0] * 4


class WeekScoring(HandScoring):
    """Says what it expects of each of the next seven days."""

    def _one(self, row: ScoringRow) -> Scores:
        scores = super()._one(row)
        (day,) = scores.days
        days = (row.last_day + timedelta(days=ahead) for ahead in range(1, 8))
        low, high = day.p50 / 2, day.p50 * 3 / 2
        week = tuple(DayForecast(day=one, p10=low, p50=day.p50, p90=high) for one in days)
        return scores.model_copy(update={"days": week})


async def opened(storeroom: Storeroom, items: int = 3, *, daily: float = 10) -> int:
    """A location whose rhythm is known, with every item assessed at midnight; their watch level."""
    await storeroom.stock(catalog(items))
    storeroom.scoring = WeekScoring(daily=daily)
    storeroom.connection.execute("INSERT INTO day_rhythm VALUES (%s, %s, 0, 0)", [LOCATION, SHOP])
    names = [f"ITEM-{n:03}" for n in range(1, items + 1)]
    start = MIDNIGHT - timedelta(hours=1)
    storeroom.take(*[counted(500, item=name, at=start) for name in names], clock(MIDNIGHT))
    await storeroom.assess()
    storeroom.take(clock(at(7)))
    return int(storeroom.position()["watch_level_units"])


def at(hour: int, minute: int = 0) -> datetime:
    return MIDNIGHT + timedelta(hours=hour, minutes=minute)


def restock(storeroom: Storeroom, units: int, *, item: str = "ITEM-001", sold_units: int, hour: int = 9) -> None:
    """After these sales exactly `units` are there; the rest by hand, so that nothing is due before the hour is over."""
    connection = storeroom.connection
    storeroom.take(counted(900, item=item, at=at(8)), sold(sold_units, item=item, at=at(hour, 10)))
    connection.execute(
        "UPDATE position SET counted_units = counted_units + %s - on_hand_units WHERE item = %s", [units, item]
    )


async def test_a_busy_day_raises_the_level_and_a_quiet_one_does_not(storeroom: Storeroom) -> None:
    level = await opened(storeroom)
    restock(storeroom, level + 3, sold_units=30)
    restock(storeroom, level + 3, item="ITEM-002", sold_units=1)

    assert storeroom.take(clock(at(10))).needs == 1
    assert storeroom.rows("SELECT item, cause FROM need WHERE state = 'open'") == [
        {"item": "ITEM-001", "cause": "sweep"}
    ]


async def test_a_day_that_is_nearly_over_needs_no_stock_for_itself(storeroom: Storeroom) -> None:
    level = await opened(storeroom)
    restock(storeroom, level - 4, sold_units=9, hour=19)
    restock(storeroom, level - 14, item="ITEM-002", sold_units=9, hour=19)

    storeroom.take(clock(at(20)))

    assert [row["item"] for row in storeroom.rows("SELECT item FROM need WHERE state = 'open'")] == ["ITEM-002"]


async def test_an_hour_in_which_nothing_moved_looks_at_nothing(storeroom: Storeroom) -> None:
    level = await opened(storeroom)
    restock(storeroom, level + 3, sold_units=30)
    assert storeroom.take(clock(at(9, 59))).needs == 0, "the hour is not over"
    assert storeroom.take(clock(at(10, 1))).needs == 1
    await storeroom.assess()
    storeroom.connection.execute("UPDATE position SET watch_level_units = 100000")
    assert storeroom.take(clock(at(15))).needs == 0, "far below its level, but nothing has moved since"


async def test_the_sweep_reads_what_moved_and_not_what_is_kept(storeroom: Storeroom) -> None:
    level = await opened(storeroom)
    restock(storeroom, level + 3, sold_units=30)
    connection = storeroom.connection
    connection.execute(
        """INSERT INTO position (location, item, counted_units, watch_level_units, last_assessed_at)
           SELECT %s, 'KEPT-' || n, 1, 100, %s FROM generate_series(1, 20000) AS n""",
        [LOCATION, at(0)],
    )
    connection.execute(
        """INSERT INTO movement (source, event_id, location, item, kind, occurred_at, demand_day, demand_units)
           SELECT 'past', n::text, %s, 'KEPT-' || n, 'sale', %s - n * interval '1 minute', %s, 1
           FROM generate_series(1, 20000) AS n""",
        [LOCATION, at(0), MIDNIGHT.date() - timedelta(days=1)],
    )
    connection.execute("ANALYZE")

    with transaction(connection) as cursor:
        cursor.execute(
            "EXPLAIN (ANALYZE, FORMAT JSON) " + sweeping._MOVED,
            {"location": LOCATION, "since": at(9), "until": at(10), "today": MIDNIGHT.date()},
        )
        plan = cursor.fetchall()[0]["QUERY PLAN"][0]["Plan"]
    assert max(_rows(plan)) < 200, "some node read what had not moved"


def _rows(node: dict[str, Any]) -> list[float]:
    removed = node.get("Rows Removed by Filter", 0)
    own = (node["Actual Rows"] + removed) * node["Actual Loops"]
    return [own, *(rows for child in node.get("Plans", ()) for rows in _rows(child))]


async def test_at_most_one_need_is_open_and_one_hour_asks_once(storeroom: Storeroom) -> None:
    level = await opened(storeroom, 1)
    restock(storeroom, level + 3, sold_units=30)
    storeroom.take(clock(at(10)))
    assert storeroom.take(sold(5, at=at(10, 20)), clock(at(11))).needs == 0, "one is open"


async def test_a_closed_day_teaches_at_which_hours_it_sold(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    storeroom.take(counted(500), clock(MORNING))
    for _ in range(30):
        storeroom.take(sold(2, at=at(9, 5)), sold(2, at=at(15, 5)))
    storeroom.take(clock(at(24)))
    with transaction(storeroom.connection) as cursor:
        cursor.execute(rhythm.SELECT)
        seen = rhythm.of_location(cursor.fetchall(), LOCATION)
    assert (seen.own_sales[9], seen.own_sales[15], sum(seen.own_sales)) == (30, 30, 60)
    assert (seen.same_sale_pairs, seen.same_day_pairs) == (60 * 2, 120 * 119)
    assert not seen.known, "sixty sales are no rhythm yet"
    storeroom.take(clock(at(48)))
    assert storeroom.one("SELECT sales[10] AS nine FROM day_rhythm") == {"nine": 28}, "what is older fades"


async def test_scoring_is_told_how_much_of_the_day_is_done(storeroom: Storeroom) -> None:
    await opened(storeroom)
    told: list[ScoringRow] = []
    score = storeroom.scoring.score

    def listen(rows: Any, model: bytes, *, explain: bool = False) -> list[Scores]:
        told.extend(rows)
        return score(rows, model, explain=explain)

    storeroom.scoring.score = listen  # type: ignore[method-assign]
    storeroom.take(sold(480, at=at(13, 50)), clock(at(14)))
    await storeroom.assess()
    row = told[0]
    assert row.sold_today_units == 480
    seen = DayRhythm(own_sales=tuple(SHOP), all_sales=tuple(SHOP), same_sale_pairs=0, same_day_pairs=0)
    assert row.day_elapsed_permille == seen.elapsed_permille(at(14))
    assert row.day_clump_permille == 250

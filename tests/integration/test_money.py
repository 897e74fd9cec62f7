"""Money on a real database: the cost avoided made again from the raw rows by other arithmetic, and what it rests on."""

import math
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import stdev

from activities.outcomes import ROUND
from connectors.postgres.money import ComparedOutcomes, PostgresMoney, half_year_after
from connectors.postgres.places import places_of
from tests.storeroom import MORNING, Storeroom, catalog, clock, counted, received, sold
from workflows.domain.attention import Attention
from workflows.domain.money import CORE_HOUR, GIGABYTE_MONTH, KEPT_MONTHS
from workflows.domain.outcomes import measure
from workflows.domain.policies import Policy

NO_WAIT = timedelta(0)
ITEMS = 12
LEAD, REVIEW, PACK, MINIMUM = 3, 1, 6, 12
DAYS = 12
FIRST = MORNING.date()


def usual(item: int, back: int) -> int:
    """Demand of a day before the engine ran."""
    return (item * 3 + back * 5) % 11 + 2


async def lived(storeroom: Storeroom) -> None:
    """Twelve days of a dozen items: sales every day, orders that people approve, deliveries after four days."""
    await storeroom.stock(catalog(ITEMS, lead_time_days=LEAD), Policy(new_item_asks=False))
    storeroom.connection.execute("UPDATE supplier SET cost_per_order = 6")
    names = [f"ITEM-{n:03}" for n in range(1, ITEMS + 1)]
    with storeroom.connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO recorded_demand (location, item, day, units) VALUES ('LEEDS', %s, %s, %s)",
            [
                (name, FIRST - timedelta(days=back), usual(n, back))
                for n, name in enumerate(names)
                for back in range(1, 121)
            ],
        )  # fmt: skip
    storeroom.take(*[counted(10 + 7 * n, item=name) for n, name in enumerate(names)], clock())
    coming: dict[datetime, list[tuple[str, str, int]]] = defaultdict(list)
    for after in range(DAYS):
        now = MORNING + timedelta(days=after)
        for order_id, item, units in coming.pop(now, []):
            storeroom.take(received(units, order_id, item=item, at=now + timedelta(hours=1)))
        await storeroom.assess()
        for row in storeroom.rows("SELECT decision_id FROM task WHERE state = 'open'"):
            await storeroom.answer(row["decision_id"])
        orders = set()
        for row in storeroom.rows("SELECT decision_id FROM replenishment WHERE state = 'proposed'"):
            released = await storeroom.orders.release(row["decision_id"], storeroom.hash_of(row["decision_id"]))
            orders.add(released.order_id or "")
        for order_id in sorted(orders):
            order = await storeroom.place(order_id)
            assert order is not None
            storeroom.connection.execute(
                "UPDATE purchase_order SET ordered_at = %s WHERE order_id = %s", [now, order_id]
            )
            coming[now + timedelta(days=4)] += [(order_id, line.item, line.units) for line in order.lines]
        for n, name in enumerate(names):
            on_hand = storeroom.one("SELECT on_hand_units AS n FROM position WHERE item = %s", name)["n"]
            units = min(usual(n, -after), on_hand)
            if units:
                storeroom.take(sold(units, item=name, at=now + timedelta(hours=6)))
        storeroom.take(clock(now + timedelta(days=1)))


async def measured(storeroom: Storeroom) -> int:
    """Close what is due."""
    due = await storeroom.outcomes.due(ROUND)
    return await storeroom.outcomes.record([measure(facts) for facts in due])


def avoided_again(storeroom: Storeroom) -> tuple[dict[str, float], int, int]:
    """(difference by item, days, censored days), from the raw rows with floats and plain loops."""
    differences: dict[str, float] = {}
    days = censored = 0
    lines_per_order = storeroom.one(
        "SELECT count(*)::float / count(DISTINCT order_id) AS n FROM order_line JOIN purchase_order USING (order_id) "
        "WHERE state IN ('placed', 'received', 'closed')"
    )["n"]
    for n in range(ITEMS):
        item = f"ITEM-{n + 1:03}"
        decisions = storeroom.rows(
            """SELECT d.decided_at::date AS day, d.horizon_end, convert_from(e.body, 'UTF8')::json AS inputs
               FROM decision d JOIN outcome USING (decision_id) JOIN evidence e ON e.sha256 = d.inputs_sha256
               WHERE d.item = %s ORDER BY d.decided_at""",
            item,
        )  # fmt: skip
        if not decisions:
            continue
        covered = {d["day"] + timedelta(days=k) for d in decisions for k in range((d["horizon_end"] - d["day"]).days)}
        moves = storeroom.rows("SELECT * FROM movement WHERE item = %s ORDER BY occurred_at", item)
        empty = {r["day"] for r in storeroom.rows("SELECT day FROM stockout_day WHERE item = %s", item)}
        ordered = storeroom.rows(
            """SELECT o.ordered_at::date AS day FROM order_line l JOIN purchase_order o USING (order_id)
               WHERE l.item = %s AND o.state IN ('placed', 'received', 'closed')""",
            item,
        )  # fmt: skip
        stock = float(10 + 7 * n)
        arriving: dict[date, float] = {}
        total = 0.0
        day = min(covered)
        while day <= max(covered):
            newest = [d for d in decisions if d["day"] <= day][-1]["inputs"]
            decided = [d for d in decisions if d["day"] <= day][-1]["day"]
            stock += arriving.pop(day, 0.0)
            year = [usual(n, back) for back in range(1, 121)]
            sold_on: dict[date, int] = defaultdict(int)
            for move in moves:
                if move["kind"] == "sale":
                    sold_on[move["occurred_at"].astimezone(UTC).date()] -= move["on_hand_delta"]
            year += [
                sold_on[FIRST + timedelta(days=k)]
                for k in range((decided - FIRST).days)
                if FIRST + timedelta(days=k) not in empty
            ]
            mean = sum(year) / len(year)
            level = math.ceil(mean * (LEAD + REVIEW) + 1.65 * stdev(year) * math.sqrt(LEAD + REVIEW) - 1e-9)
            missing = level - stock - sum(arriving.values())
            lines = 0
            if missing > 0:
                units = math.ceil(max(missing, MINIMUM) / PACK) * PACK
                came = storeroom.rows(
                    "SELECT ordered_on AS day, received_on - ordered_on AS took FROM observed_lead_time ORDER BY 1"
                )
                later = [r["took"] for r in came if r["day"] >= day] or [r["took"] for r in came][-1:] or [LEAD]
                arriving[day + timedelta(days=later[0])] = arriving.get(day + timedelta(days=later[0]), 0) + units
                lines = 1
            medians = {one["day"]: float(one["p50"]) for one in newest["scores"]["days"]}
            spread = float(newest["scores"]["demand_p50"]) / newest["scores"]["protection_days"]
            wanted = float(sold_on[day])
            if day in empty:
                wanted = max(wanted, medians.get(day.isoformat(), spread))
            served = min(stock, wanted)
            stock -= served
            closing = moves[0]["counted_units"] + sum(
                m["on_hand_delta"] for m in moves if m["occurred_at"].astimezone(UTC).date() <= day
            )
            holding, shortage = float(newest["holding_per_unit_day"]), float(newest["shortage_per_unit"])
            line = 6 / lines_per_order
            if day in covered:
                days += 1
                censored += day in empty
                static = holding * stock + shortage * (wanted - served) + line * lines
                real = holding * closing + shortage * (wanted - sold_on[day])
                total += static - real - line * sum(one["day"] == day for one in ordered)
            day += timedelta(days=1)
        differences[item] = total
    return differences, days, censored


async def test_the_cost_avoided_is_the_same_by_other_arithmetic(storeroom: Storeroom) -> None:
    await lived(storeroom)
    assert await measured(storeroom) > ITEMS
    money = PostgresMoney(storeroom.database)
    assert (await money.report()).avoided.uncounted > 0
    assert await money.compare(settled=NO_WAIT) == ITEMS
    found = (await money.report()).avoided
    again, days, censored = avoided_again(storeroom)
    assert found.places == len(again) == ITEMS
    assert (found.days, found.censored_days, found.uncounted) == (days, censored, 0)
    assert censored > 0, "the story has empty shelves"
    assert abs(float(found.avoided) - sum(again.values())) < 1e-6
    half = 1.96 * math.sqrt(ITEMS) * stdev(again.values())
    assert found.low is not None
    assert found.high is not None
    assert abs(float(found.low) - (sum(again.values()) - half)) < 0.01
    assert abs(float(found.high) - (sum(again.values()) + half)) < 0.01
    assert found.decisions == storeroom.one("SELECT count(*) AS n FROM outcome")["n"]
    assert any(week.avoided for week in found.weeks)


async def test_comparing_again_counts_nothing_twice(storeroom: Storeroom) -> None:
    await lived(storeroom)
    await measured(storeroom)
    money = PostgresMoney(storeroom.database)
    await money.compare(settled=NO_WAIT)
    once = (await money.report()).avoided
    assert await money.compare(settled=NO_WAIT) == 0
    storeroom.connection.execute("UPDATE outcome SET compared_at = NULL")
    assert await money.compare(settled=NO_WAIT) == ITEMS
    assert (await money.report()).avoided == once
    covered = storeroom.one(
        """SELECT count(*) AS n FROM (SELECT DISTINCT location, item, day::date FROM decision JOIN outcome
           USING (decision_id), generate_series(decided_at::date, horizon_end - 1, interval '1 day') AS day) d"""
    )
    assert once.days == covered["n"]


async def test_a_stretch_begins_with_the_stock_that_was_there(storeroom: Storeroom) -> None:
    """On its fourth day, say: what was counted before, and everything that moved since."""
    await lived(storeroom)
    await measured(storeroom)
    begin = FIRST + timedelta(days=3)
    async with storeroom.database.transaction() as cursor:
        found = await places_of(cursor, [("LEEDS", "ITEM-008")], begin, date(2025, 7, 1))
    moves = storeroom.rows("SELECT * FROM movement WHERE item = 'ITEM-008' AND occurred_at::date < %s", begin)
    assert len(moves) > 2
    assert found["LEEDS", "ITEM-008"].opening == sum((m["counted_units"] or 0) + m["on_hand_delta"] for m in moves)


async def test_the_worker_compares_what_settled_and_leaves_the_newest(storeroom: Storeroom) -> None:
    await lived(storeroom)
    money = PostgresMoney(storeroom.database)
    outcomes = ComparedOutcomes(storeroom.outcomes, money)
    due = await outcomes.due(ROUND)
    early = [facts for facts in due if facts.decision_id.endswith(":1")]
    assert await outcomes.record([measure(facts) for facts in early]) == len(early)
    assert (await money.report()).avoided.uncounted == len(early), "all closed at one instant: none settled yet"
    storeroom.connection.execute("UPDATE outcome SET measured_at = measured_at - interval '4 days'")
    rest = [facts for facts in due if not facts.decision_id.endswith(":1")]
    assert await outcomes.record([measure(facts) for facts in rest]) == len(rest)
    report = await money.report()
    assert report.avoided.places == ITEMS
    assert report.avoided.uncounted == 0, "comparing an item compares all that was measured of it"


async def test_the_cost_of_a_decision_is_what_was_measured(storeroom: Storeroom) -> None:
    await lived(storeroom)
    storeroom.connection.execute("UPDATE need_batch SET started_at = created_at, finished_at = created_at + '90 s'")
    found = (await PostgresMoney(storeroom.database, threads=2).report()).cost
    batches = storeroom.one("SELECT count(*) AS n FROM need_batch")["n"]
    decisions = storeroom.one("SELECT count(DISTINCT decision_id) AS n FROM decision")["n"]
    verdicts = storeroom.one("SELECT count(*) AS n FROM approval WHERE actor = 'pat'")["n"]
    assert verdicts > 0
    assert (found.decisions, found.verdicts) == (decisions, verdicts)
    assert found.compute_seconds == 90 * batches + 2 * 1, "the storeroom's model took a second, on two threads"
    assert found.storage_bytes > 1_000_000
    parts = (
        found.compute_seconds / 3600 * CORE_HOUR + Decimal(found.storage_bytes) / 10**9 * GIGABYTE_MONTH * KEPT_MONTHS
        + verdicts * Attention().review_cost
    )  # fmt: skip
    assert found.per_decision is not None
    assert abs(found.per_decision - parts / decisions) < Decimal("0.000005")


async def test_an_empty_installation_has_no_figures(storeroom: Storeroom) -> None:
    report = await PostgresMoney(storeroom.database).report()
    assert report.cost.per_decision is None
    assert (report.avoided.weeks, report.avoided.low) == ((), None)


def test_half_years_follow_each_other() -> None:
    assert half_year_after(date(2025, 1, 1)) == date(2025, 7, 1)
    assert half_year_after(date(2025, 7, 1)) == date(2026, 1, 1)

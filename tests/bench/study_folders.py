"""Study folders made from public files, as docs/benchmarks.md describes them.

    python -m tests.bench.study_folders carparts PATH/carparts.csv FOLDER
    python -m tests.bench.study_folders online-retail PATH/online_retail.csv.gz FOLDER
    python -m tests.bench.study_folders demo-world SEED FOLDER

carparts: one row per part and month, NA left empty; demand only, for `evaluate`. The file says neither year nor day;
its 51 months are counted from January 1998, as in Hyndman et al., Forecasting with Exponential Smoothing (2008).

online-retail: net sales per article and week, all customers together as one location; weeks begin on Monday, and of the
last the file has Monday to Friday (the shop is closed on Saturdays). Cancellations are taken off the day of the sale
that they cancel. Articles with at least 26 weeks from their first sale to the start. Invented, as the file has none of
it: lead time 2 weeks, holding 0.2 and shortage 1 per unit, lost sales. The last 13 weeks are the test.

demo-world: the 500 recorded days of the demo world of that seed, 120 items at three locations, with its empty shelves,
prices, packs and promised lead times of the first supplier; lost sales. The last 28 days are the test.
"""

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from connectors.feeds.online_retail import OnlineRetail
from connectors.feeds.world import DemoWorld
from connectors.feeds.world_demand import HISTORY_DAYS
from workflows.domain.positions import movement_of
from workflows.domain.studies import Period

FIRST_MONTH = date(1998, 1, 1)
TEST_WEEKS = 13
LEAST_WEEKS = 26
LOCATION = "all"
WORLD_ITEMS, WORLD_TEST_DAYS = 120, 28
TERMS = ("item", "location", "unit_cost", "price", "lead_time_periods", "minimum_order", "pack", "category")
INVENTED = {"lead_time_periods": 2, "holding_per_unit_period": 0.2, "shortage_per_unit": 1}


def write_folder(folder: Path, demand: Iterable[tuple[str, str, date, object]], rules: dict[str, Any] | None) -> Path:
    """A folder with demand.csv and, if given, rules.json."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "demand.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("item", "location", "date", "quantity"))
        writer.writerows(demand)
    if rules:
        (folder / "rules.json").write_text(json.dumps(rules, indent=2))
    return folder


def carparts(source: Path, folder: Path) -> Path:
    """The folder of carparts.csv."""
    with source.open(newline="") as file:
        header, *rows = csv.reader(file)
    months = [Period.MONTH.after(FIRST_MONTH, number) for number in range(len(rows))]
    demand = (
        (part, LOCATION, month, "" if row[column] == "NA" else row[column])
        for column, part in enumerate(header[1:], start=1)
        for month, row in zip(months, rows, strict=True)
    )
    return write_folder(folder, demand, {"period": "month"})


def online_retail(source: Path, folder: Path, test_weeks: int = TEST_WEEKS) -> Path:
    """The folder of online_retail.csv.gz."""
    # Its last day comes as events, all days before as history; both take a cancellation off the day of its sale.
    feed = OnlineRetail(source, days=1)
    sales = [(row.item, row.day, row.units) for row in feed.recorded_demand()]
    for movement in filter(None, map(movement_of, feed.day(feed.last_day, {}))):
        if movement.demand_day:
            sales.append((movement.item, movement.demand_day, movement.demand_units))
    sold: Counter[tuple[str, date]] = Counter()
    for item, day, units in sales:
        sold[item, day - timedelta(days=day.weekday())] += units
    last = max(week for _, week in sold)
    start = last - timedelta(weeks=test_weeks)
    begun: dict[str, date] = {}
    for item, week in sorted(sold, key=lambda each: each[1]):
        begun.setdefault(item, week)
    kept = {item for item, week in begun.items() if (start - week).days // 7 + 1 >= LEAST_WEEKS}
    demand = ((item, LOCATION, week, units) for (item, week), units in sorted(sold.items()) if item in kept)
    rules = {
        "period": "week", "unmet": "lost", "start": start.isoformat(), "rounds": test_weeks, "defaults": INVENTED,
    }  # fmt: skip
    return write_folder(folder, demand, rules)


def demo_world(
    seed: int, folder: Path, items: int = WORLD_ITEMS, test_days: int = WORLD_TEST_DAYS, past_days: int = HISTORY_DAYS
) -> Path:
    """The folder of the demo world's past, or of its newest days."""
    world = DemoWorld(seed, items=items)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "demand.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("item", "location", "date", "quantity", "in_stock"))
        told, last = set(), world.first_day - timedelta(days=1)
        for one in world.recorded_demand():
            if one.day < world.first_day - timedelta(days=past_days):
                continue
            writer.writerow((one.item, one.location, one.day, one.units, "true" if one.in_stock else "false"))
            told.add((one.item, one.location, one.day == last))
        # Days without a row sold nothing, and so the last one may have none: the study would end before it.
        ended = sorted({(item, place) for item, place, _ in told if (item, place, True) not in told})
        writer.writerows((item, place, last, 0, "true") for item, place in ended)
    articles = {article.item: article for article in world.catalog.items}
    with (folder / "items.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(TERMS)
        for source in world.catalog.sourcing:
            article = articles[source.item]
            if source.rank == 1:
                writer.writerow((
                    source.item, source.location, source.unit_cost, article.price, source.lead_time_days,
                    source.minimum_order_units, source.pack_units, article.category,
                ))  # fmt: skip
    start = world.first_day - timedelta(days=test_days + 1)
    rules = {"period": "day", "unmet": "lost", "start": start.isoformat(), "rounds": test_days}
    (folder / "rules.json").write_text(json.dumps(rules, indent=2))
    return folder


def main(which: str, given: str, wanted: str) -> Path:
    """The folder that the command line asks for."""
    if which == "demo-world":
        return demo_world(int(given), Path(wanted))
    return {"carparts": carparts, "online-retail": online_retail}[which](Path(given), Path(wanted))


if __name__ == "__main__":
    print(main(*sys.argv[1:]))

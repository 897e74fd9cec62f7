"""A folder becomes a study: demand, terms, state and rules, on one grid of periods and one lattice of quantities."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from connectors.studies.demand import Cells, DemandRows, Key, numbered, period_of, read_demand
from connectors.studies.items import ItemRows, State, read_items, read_rules, read_state
from connectors.studies.table import find
from workflows.domain.errors import InvalidInput
from workflows.domain.studies import MISSING, THOUSANDTHS, Study, StudyRules, StudySeries, Terms, Unmet


def read_study(folder: Path | str) -> Study:
    """Read `demand.csv` and, where they are, `items.csv`, `state.csv` and `rules.json` (each also as `.gz`).

    Without rules the period follows from the dates. An item that is not in demand.csv is counted in the notes and left
    out: nothing is known of its demand. An item that state.csv does not list has no stock.

    Raises:
        InvalidInput: says file, line and what to do.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder; a study is a folder with at least demand.csv")
    demand_path = find(folder, "demand.csv")
    if demand_path is None:
        raise InvalidInput(f"{folder} has no demand.csv (item,location,date,quantity[,in_stock])")
    rules_path, items_path, state_path = (find(folder, name) for name in ("rules.json", "items.csv", "state.csv"))
    rules = read_rules(rules_path) if rules_path else None
    defaults = rules.defaults if rules else Terms()
    items = read_items(items_path, defaults) if items_path else ItemRows()
    states = read_state(state_path) if state_path else None
    demand = read_demand(demand_path)
    _reject_backlog_of_lost(rules, states)
    period = rules.period if rules else period_of(demand)
    grid = numbered(demand, period, demand_path.name)
    book = _Book(grid, max(grid.values()) + 1, 1 if _whole(demand, items, states, defaults) else THOUSANDTHS)
    series = tuple(
        book.series(key, cells, items, None if states is None else states.get(key, State(0, ())), defaults)
        for key, cells in sorted(demand.cells.items())
    )
    return Study(
        period=period, first_day=demand.first_day, periods=book.periods, scale=book.scale, series=series,
        category_names=items.category_names, rules=rules, notes=_notes(demand, items, states),
    )  # fmt: skip


def _reject_backlog_of_lost(rules: StudyRules | None, states: dict[Key, State] | None) -> None:
    if states and (rules is None or rules.unmet is Unmet.LOST):
        negative = next((key for key, state in states.items() if state.on_hand < 0), None)
        if negative:
            raise InvalidInput(
                f"state.csv: on_hand of item {negative[0]} at {negative[1]} is negative, which only "
                '"unmet": "backlog" in rules.json allows'
            )


def _whole(demand: DemandRows, items: ItemRows, states: dict[Key, State] | None, defaults: Terms) -> bool:
    """Whether every quantity of the folder is a whole number of units."""
    ordering = {id(terms): terms for terms in (defaults, *items.terms.values())}.values()
    rules = chain.from_iterable((terms.minimum_order or 0, terms.pack or 0) for terms in ordering)
    if any(value % 1 for value in rules):
        return False
    stocks: Iterable[int] = (
        chain.from_iterable((state.on_hand, *state.arrivals) for state in states.values()) if states else ()
    )
    if any(value % THOUSANDTHS for value in stocks):
        return False
    return not any(
        value % THOUSANDTHS for cells in demand.cells.values() for value in cells.thousandths.values() if value
    )


def _notes(demand: DemandRows, items: ItemRows, states: dict[Key, State] | None) -> dict[str, int]:
    counted = {
        "returns_clipped": demand.returns,
        "quantities_missing": demand.empty,
        "periods_censored": sum(len(cells.censored) for cells in demand.cells.values()),
        "demand_columns_unused": demand.unused_columns,
        "items_without_demand": len(items.terms.keys() - demand.cells.keys()),
        "demand_without_item": len(demand.cells.keys() - items.terms.keys()) if items.terms else 0,
        "demand_without_state": 0 if states is None else len(demand.cells.keys() - states.keys()),
    }
    return {name: count for name, count in counted.items() if count}


@dataclass(frozen=True)
class _Book:
    """The grid and the lattice that all series share."""

    grid: dict[int, int]
    periods: int
    scale: int

    def lattice(self, thousandths: int) -> int:
        """Thousandths in lattice units; exact, as the lattice was chosen for it."""
        return thousandths * self.scale // THOUSANDTHS

    def series(self, key: Key, cells: Cells, items: ItemRows, state: State | None, defaults: Terms) -> StudySeries:
        """One item at one location, from its first row that says anything."""
        said = {self.grid[day]: value for day, value in cells.thousandths.items() if value is not None}
        first = min(said, default=self.periods)
        sold = min((period for period, value in said.items() if value), default=self.periods)
        # No row: a zero since the first sale; before it the item may not have been there.
        filled = [MISSING] * (min(sold, self.periods) - first) + [0] * (self.periods - max(first, sold))
        for day, value in cells.thousandths.items():
            period = self.grid[day]
            if period >= first:
                filled[period - first] = MISSING if value is None else self.lattice(value)
        no_categories = ("",) * len(items.category_names)
        return StudySeries(
            item=key[0], location=key[1], first=first, quantities=array("q", filled),
            censored=frozenset(period for day in cells.censored if (period := self.grid[day]) >= first),
            terms=items.terms.get(key, defaults), categories=items.categories.get(key, no_categories),
            on_hand=None if state is None else self.lattice(state.on_hand),
            arrivals=() if state is None else tuple(self.lattice(units) for units in state.arrivals),
        )  # fmt: skip

"""A trial is a study as arrays: what is known at the first review, what will be demanded, and what stock costs.

One row is one item at one location; all quantities are whole numbers of lattice units (`workflows.domain.studies`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from activities.learning.order_points import static_level
from activities.learning.windows import Flags, Floats, Ints
from workflows.domain.errors import InvalidInput
from workflows.domain.studies import MISSING, Period, SettledTerms, Study, Terms, Unmet, settled


@dataclass(frozen=True)
class Economics:
    """What stock costs and how it is bought, one value a row."""

    holding: Floats
    """Per lattice unit left at the end of a period."""
    shortage: Floats
    """Per lattice unit not served; under backlog per period that it waits."""
    order_cost: Floats
    """Per order line."""
    lead: Ints
    """Periods: an order placed at the end of t is usable from the start of t + lead + 1."""
    minimum: Ints
    """The least lattice units of an order; at least 1."""
    pack: Ints
    """Orders are whole multiples of this many lattice units; at least 1."""
    unmet: Unmet = Unmet.LOST
    target_fill_rate: float | None = None
    cover: Ints | None = None
    """Periods that one order should last beyond its lead time, at least 1; None: what its cost and its pack say."""
    scale: int = 1
    """Lattice units in a unit: how small the amounts of money above can be."""

    @property
    def free(self) -> Flags:
        """Rows that may order any quantity at no cost per order."""
        free: Flags = (self.order_cost == 0) & (self.pack == 1) & (self.minimum <= 1)
        return free

    @property
    def critical_ratio(self) -> Floats:
        """Shortage over shortage plus holding; the target fill rate where a shortage costs nothing, else 0."""
        both = self.shortage + self.holding
        ratio = np.divide(self.shortage, both, out=np.zeros_like(both), where=both > 0)
        if self.target_fill_rate is not None:
            ratio = np.where(self.shortage > 0, ratio, self.target_fill_rate)
        return np.asarray(ratio, dtype=np.float64)

    def admissible(self, wanted: Floats | Ints) -> Ints:
        """The least order that brings what is wanted: up to whole packs and the minimum; 0 where nothing is wanted."""
        whole = np.ceil(np.asarray(wanted, dtype=np.float64) - 1e-9).astype(np.int64)
        packs = -(-np.maximum(whole, self.minimum) // self.pack)
        return np.where(whole > 0, packs * self.pack, 0)


@dataclass(frozen=True)
class Facts:
    """What is always known of the rows."""

    item: tuple[str, ...]
    location: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    """Each category column's value by row."""
    period: Period
    first_day: date
    """Of the first column of the past."""
    scale: int
    """Lattice units in a unit."""
    terms: tuple[Terms, ...] = ()
    """As the folder gives them: unit cost and price among them."""


@dataclass(frozen=True)
class Trial:
    """What is simulated."""

    economics: Economics
    past: Floats
    """[rows, periods known at the first review]: demand; NaN where it was not listed, not in stock, or not recorded."""
    demand: Ints
    """[rows, rounds]: what is wanted in each costed period; MISSING where nobody knows: it costs nobody anything."""
    on_hand: Ints
    """At the first review; negative is backlog."""
    arrivals: Ints
    """[rows, periods]: what becomes usable at the start of the 1st, 2nd, ... period after the first review."""
    facts: Facts
    sold: Floats | None = None
    """As `past`, with what was sold of a censored demand where that was recorded; `past` if nothing was censored."""

    @property
    def rounds(self) -> int:
        """Costed periods."""
        return int(self.demand.shape[1])

    def __len__(self) -> int:
        return len(self.demand)

    def take(self, rows: Ints | Flags) -> "Trial":
        """These rows only."""
        index = np.arange(len(self))[rows]
        picked = {name: tuple(values[i] for i in index) for name, values in self.facts.categories.items()}
        facts = replace(
            self.facts, item=_picked(self.facts.item, index), location=_picked(self.facts.location, index),
            categories=picked, terms=tuple(self.facts.terms[i] for i in index) if self.facts.terms else (),
        )  # fmt: skip
        sold = None if self.sold is None else self.sold[index]
        return replace(
            self, economics=economics_of_rows(self.economics, index), past=self.past[index], sold=sold,
            demand=self.demand[index], on_hand=self.on_hand[index], arrivals=self.arrivals[index], facts=facts,
        )  # fmt: skip


def _picked(values: tuple[str, ...], index: Ints) -> tuple[str, ...]:
    return tuple(values[i] for i in index) if values else ()


def economics_of_rows(economics: Economics, rows: Ints | Flags) -> Economics:
    """The economics of these rows only."""
    each = ("holding", "shortage", "order_cost", "lead", "minimum", "pack")
    cover = None if economics.cover is None else economics.cover[rows]
    return replace(economics, cover=cover, **{name: getattr(economics, name)[rows] for name in each})


def observed(study: Study) -> tuple[Floats, Floats]:
    """Two arrays [series, periods] in lattice units: demand, NaN where it was not wholly observed; and what was sold,
    NaN only where nothing was recorded."""
    sold = np.full((len(study.series), study.periods), np.nan)
    for row, one in enumerate(study.series):
        sold[row, one.first :] = one.quantities
    sold[sold == MISSING] = np.nan
    demand = sold
    if any(one.censored for one in study.series):
        demand = sold.copy()
        for row, one in enumerate(study.series):
            demand[row, sorted(one.censored)] = np.nan
    return demand, sold


def facts_of(study: Study) -> Facts:
    """What is always known of the study's series."""
    by_column = zip(*(one.categories for one in study.series), strict=True) if study.category_names else ()
    return Facts(
        item=tuple(one.item for one in study.series), location=tuple(one.location for one in study.series),
        categories=dict(zip(study.category_names, by_column, strict=True)), period=study.period,
        first_day=study.first_day, scale=study.scale, terms=tuple(one.terms for one in study.series),
    )  # fmt: skip


def economics_of(study: Study) -> Economics:
    """The terms of the study's series as arrays.

    Raises:
        InvalidInput: a series lacks a term that a simulation needs; says which.
    """
    rules = study.schedule()[0]
    cache: dict[int, SettledTerms] = {}  # by identity: items of one folder share few terms, and hashing them is slow
    found = []
    for one in study.series:
        known = cache.get(id(one.terms))
        if known is None:
            try:
                known = cache[id(one.terms)] = settled(one.terms, study.period, rules.target_fill_rate)
            except InvalidInput as error:
                raise InvalidInput(
                    f"item {one.item} at {one.location} has {error}: give it in items.csv or, for all, "
                    "among the defaults of rules.json"
                ) from None
        found.append(known)

    def lattice(name: str) -> Ints:
        units = np.array([float(getattr(each, name)) for each in found])
        return np.maximum(np.ceil(units * study.scale - 1e-9).astype(np.int64), 1)

    return Economics(
        holding=np.array([float(each.holding) for each in found]) / study.scale,
        shortage=np.array([float(each.shortage) for each in found]) / study.scale,
        order_cost=np.array([float(each.order_cost) for each in found]),
        lead=np.array([each.lead_periods for each in found], dtype=np.int64),
        minimum=lattice("minimum_order"), pack=lattice("pack"),
        unmet=rules.unmet, target_fill_rate=rules.target_fill_rate, scale=study.scale,
    )  # fmt: skip


def trial_of(study: Study) -> Trial:
    """The trial that the study's rules ask for; a folder without state starts at the static order-up-to level.

    Raises:
        InvalidInput: the rules or the terms do not suffice for a simulation.
    """
    _, known, rounds = study.schedule()
    economics = economics_of(study)
    demand, sold = observed(study)
    past = demand[:, :known]
    wanted = demand[:, known : known + rounds]
    level = static_level(past, economics.lead, study.period)
    on_hand = np.array([one.on_hand if one.on_hand is not None else MISSING for one in study.series], dtype=np.int64)
    stated = np.array([one.on_hand is not None for one in study.series], dtype=np.bool_)
    most = max((len(one.arrivals) for one in study.series), default=0)
    arrivals = np.zeros((len(study.series), most), dtype=np.int64)
    for row, one in enumerate(study.series):
        arrivals[row, : len(one.arrivals)] = one.arrivals
    return Trial(
        economics=economics, past=past, sold=sold[:, :known], facts=facts_of(study), arrivals=arrivals,
        demand=np.where(np.isnan(wanted), MISSING, wanted).astype(np.int64),
        on_hand=np.where(stated, on_hand, level),
    )  # fmt: skip

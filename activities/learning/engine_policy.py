"""The engine as a policy of the simulator: the forecaster, the projection and the order rule that production uses.

What production takes from a catalog and a calendar, a study gives as terms and periods; from there on the code is the
same, and a test holds the two to the last digit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from activities.learning import risk
from activities.learning.forecasting import forecast
from activities.learning.model_file import Model
from activities.learning.ordering import (
    TEN_THOUSAND,
    EconomicsOfRows,
    TermsOfRows,
    order_quantities,
    short_if_waiting,
    targets,
    worth_waiting,
)
from activities.learning.scenarios import demand_scenarios
from activities.learning.simulation import View
from activities.learning.study_panel import last_day, panel_of, tables_of
from activities.learning.training import train_panel
from activities.learning.trial import Economics, economics_of_rows
from activities.learning.windows import Floats, Ints, Panel
from workflows.domain.studies import Unmet

ENGINE = "engine"
MICRO = 1_000_000
ROWS_AT_ONCE, CELLS_AT_ONCE = 512, 4_000_000
"""Rows and scenario cells of one pass: they bound memory, for many rows and for long lead times."""
NOBODY: Mapping[str, str] = MappingProxyType({})
RETRAIN_EVERY = {"day": 28, "week": 13, "month": 6}
"""Rounds after which a long trial trains anew, as production would have long before."""


@dataclass(frozen=True)
class Parameters:
    """What was chosen on the validation stretch: per segment, in hundredths, the scale of the factor c of
    tau = 1 - c h/(p + h); 100 is the documented factor itself (`risk.LOST_SALES_FACTORS`)."""

    scale: int
    by_segment: dict[str, int]
    shortage_per_holding: float | None = None
    """With a target fill rate: what a unit short is taken to cost, in units of holding; None: the study's own costs."""
    aims: Ints | None = None
    """Per row tau in ten-thousandths where a policy sets it, 0 where the costs do; None: the costs do everywhere."""

    def scales(self, segments: tuple[str, ...]) -> Ints:
        """One per row."""
        return np.array([self.by_segment.get(name, self.scale) for name in segments], dtype=np.int64)


def usual_parameters(economics: Economics) -> Parameters:
    """Where there is no stretch to choose on: the constants of the order rule."""
    share = economics.target_fill_rate
    return Parameters(risk.USUAL_SCALE, {}, None if share is None else float(risk.LOST_SALES_FACTORS[-1]) / (1 - share))


def cycle_periods(economics: Economics, mean: Floats, ahead: int) -> Ints:
    """R: periods that one order should last: as long as its economic quantity lasts, in whole periods.

    EOQ = sqrt(2 K lambda / h) (Harris 1913). One where an order costs nothing: then a large pack or minimum is no wish
    to cover more, and is weighed when a quantity is chosen. Where the terms say how long (production's review periods),
    that.
    """
    if economics.cover is not None:
        return np.clip(economics.cover, 1, np.maximum(1, ahead - economics.lead))
    rate = np.maximum(mean, 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        economic = np.sqrt(2 * economics.order_cost * rate / np.maximum(economics.holding, 1e-12))
    most = np.maximum(1, ahead - economics.lead)
    return np.clip(np.floor(np.where(economics.order_cost > 0, economic, 0.0) / rate), 1, most).astype(np.int64)


@dataclass(frozen=True)
class Outlook:
    """What one review knows of every row, before anybody says how sure an order should be."""

    segment: tuple[str, ...]
    requirement: Ints
    """[rows, scenarios] over lead time and cycle."""
    waiting: Ints
    """[rows, scenarios] with one period of review: what is missing if this review orders nothing."""
    cycle: Ints


def outlook(model: Model, panel: Panel, view: View, *, copies: int = 1) -> Outlook:
    """Projects the view's stock through the futures that the model sees from the end of the panel.

    With `copies` the view holds the panel's rows that many times, one block after the other: alternatives that share
    their forecasts.
    """
    count, lead, backlog = len(panel.keys), view.economics.lead, view.economics.unmet is Unmet.BACKLOG
    requirement = np.empty((len(view), risk.SCENARIOS), dtype=np.int64)
    waiting = np.empty_like(requirement)
    cycle = np.ones(len(view), dtype=np.int64)
    segment = [""] * count
    # However long the lead time: a projection that ends before the order arrives would never ask for one.
    reach = np.maximum(np.minimum(lead + _longest_cycle(view), risk.PERIODS), lead + 1)
    reach = reach.reshape(copies, count).max(axis=0)
    tables = tables_of(panel.keys, last_day(view.facts, view.history.shape[1]))
    for rows in _chunks(reach):
        demand, names, mean = futures(model, panel, rows, tables[rows], reach[rows])
        for row, name in zip(rows, names, strict=True):
            segment[row] = name
        for copy in range(copies):
            own = rows + copy * count
            economics = economics_of_rows(view.economics, own)
            cycle[own] = np.minimum(
                cycle_periods(economics, mean, risk.PERIODS), np.maximum(1, reach[rows] - lead[own])
            )
            projected = risk.project(
                demand, _arrivals(view.pipeline[own], demand.shape[1]), view.on_hand[own],
                np.repeat(lead[own][:, None], risk.SCENARIOS, axis=1), cycle[own], backlog=backlog,
            )  # fmt: skip
            requirement[own], waiting[own] = projected.requirement, projected.waiting
    return Outlook(tuple(segment) * copies, requirement, waiting, cycle)


def futures(
    model: Model, panel: Panel, rows: Ints, tables: Ints, periods: Ints
) -> tuple[Ints, tuple[str, ...], Floats]:
    """Scenarios [rows, periods, scenarios] of these rows' demand, their segments, and their mean demand per period.

    Beyond what the cadence projects, its last year repeats; its last weeks where it projects no year.
    """
    longest, ahead = int(periods.max()), model.cadence.ahead
    said = forecast(model, panel.windows(panel.last, rows), np.minimum(periods, ahead))
    demand = demand_scenarios(said, tables)
    # Each row's own periods: what is not asked of it is zero here, and its neighbours may reach further.
    own = np.minimum(periods, min(longest, model.cadence.short))
    mean = risk.cumulated(demand, own).sum(axis=1) / (own * risk.SCENARIOS)
    if longest > demand.shape[1]:
        known = demand.shape[1]
        again = model.cadence.season if known >= model.cadence.season else min(known, model.cadence.short)
        demand = demand[:, np.concatenate([np.arange(known), known - again + np.arange(longest - known) % again])]
    return demand, said.segment, mean


def _arrivals(pipeline: Ints, periods: int) -> Ints:
    arrivals = np.zeros((len(pipeline), periods), dtype=np.int64)
    coming = min(periods, pipeline.shape[1])
    arrivals[:, :coming] = pipeline[:, :coming]
    return np.repeat(arrivals[:, :, None], risk.SCENARIOS, axis=2)


def _chunks(periods: Ints) -> list[Ints]:
    """Rows to look at together: few enough for memory, of similar length."""
    order = np.argsort(periods, kind="stable")
    parts, begin = [], 0
    while begin < len(order):
        longest = int(periods[order[min(len(order), begin + ROWS_AT_ONCE) - 1]])
        size = int(np.clip(CELLS_AT_ONCE // (longest * risk.SCENARIOS), 1, ROWS_AT_ONCE))
        parts.append(np.sort(order[begin : begin + size]))
        begin += size
    return parts


def _longest_cycle(view: View) -> Ints:
    """Periods to forecast beyond the lead time: the cycle that the last year suggests, with room to spare."""
    if view.economics.cover is not None:
        return view.economics.cover
    recent = view.history[:, -view.facts.period.a_year :]
    known = ~np.isnan(recent)
    mean = np.where(known, recent, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    rough = cycle_periods(view.economics, mean, risk.PERIODS)
    return np.where(rough > 1, np.minimum(2 * rough, risk.PERIODS), 1)


def orders(seen: Outlook, economics: Economics, parameters: Parameters) -> Ints:
    """Lattice units to order: the cheapest admissible quantity near tau, unless it is better ordered a period later.

    The two steps of `domain.deciding.decide`: rules 5 to 7, then what waiting loses against what it saves.
    """
    # Millionths per whole unit, as production has them: a thousandth of a unit may cost less than one to hold.
    whole = MICRO * economics.scale
    holding = np.rint(economics.holding * seen.cycle * whole).astype(np.int64)
    holding_once = np.rint(economics.holding * whole).astype(np.int64)
    shortage = np.rint(economics.shortage * whole).astype(np.int64)
    if parameters.shortage_per_holding is not None:
        shortage = np.rint(economics.holding * parameters.shortage_per_holding * whole).astype(np.int64)
    backlog = economics.unmet is Unmet.BACKLOG
    protected = economics.lead + seen.cycle
    tau = targets(shortage, holding, protected, backlog=backlog, scale=parameters.scales(seen.segment))
    if parameters.aims is not None:
        tau = np.where(parameters.aims > 0, parameters.aims, tau)
    terms = TermsOfRows.free(len(tau))
    terms = replace(terms, minimum=economics.minimum, pack=economics.pack)
    money = EconomicsOfRows(shortage, holding, np.rint(economics.order_cost * whole).astype(np.int64))
    units = order_quantities(seen.requirement, tau, terms, money)
    safe = worth_waiting(short_if_waiting(seen.waiting), units, replace(money, holding=holding_once))
    if parameters.aims is not None:
        # A policy that says how sure an order should be says what risk of waiting is accepted, too. A recorded risk has
        # four decimals, half to even (`domain.scores.probability`), and is compared as recorded.
        risk_of_waiting = np.rint((seen.waiting > 0).sum(axis=1) * TEN_THOUSAND / seen.waiting.shape[1])
        safe = np.where(parameters.aims > 0, risk_of_waiting <= TEN_THOUSAND - tau, safe)
    return np.where(safe, 0, units)


def orders_of_copies(seen: Outlook, economics: Economics, tried: Sequence[Parameters]) -> Ints:
    """As `orders`, where the rows are one block after the other for each of the parameters tried."""
    count = len(seen.segment) // len(tried)
    parts = []
    for number, parameters in enumerate(tried):
        rows = np.arange(number * count, (number + 1) * count)
        own = replace(
            seen, segment=seen.segment[number * count : (number + 1) * count], requirement=seen.requirement[rows],
            waiting=seen.waiting[rows], cycle=seen.cycle[rows],
        )  # fmt: skip
        parts.append(orders(own, economics_of_rows(economics, rows), parameters))
    return np.concatenate(parts)


def spoken_for(model: Model, speakers: Mapping[str, str]) -> Model:
    """The model with these forecasters speaking for these segments."""
    scores = tuple(
        score.model_copy(update={"chosen": speakers.get(score.segment, score.chosen)})
        for score in model.manifest.segments
    )
    return replace(model, manifest=model.manifest.model_copy(update={"segments": scores}))


class EnginePolicy:
    """Forecasts at every review from what is known then; trains anew in long trials.

    `speakers`: who speaks for a segment because its orders cost least on the validation stretch; a model that is
    trained later keeps to that as it keeps to the parameters.
    """

    name = ENGINE

    def __init__(
        self, model: Model, parameters: Parameters, *, seed: int, nthread: int, speakers: Mapping[str, str] = NOBODY
    ) -> None:
        self.parameters = parameters
        self._speakers = speakers
        self._model = spoken_for(model, speakers)
        self._seed = seed
        self._nthread = nthread

    def order(self, view: View) -> Ints:
        """Lattice units for each row."""
        return orders(self.outlook(view), view.economics, self.parameters)

    def outlook(self, view: View, copies: int = 1) -> Outlook:
        """What this review knows of every row. With `copies` the view holds its facts' rows that many times, one block
        after the other; what the first block could observe is what all are forecast from."""
        count = len(view) // copies
        panel = panel_of(view.history[:count], view.facts, view.sold[:count])
        if view.round and view.round % RETRAIN_EVERY[self._model.cadence.name] == 0:
            model = train_panel(
                panel, horizon=self._model.manifest.horizon, seed=self._seed, nthread=self._nthread,
                report=lambda *_: None,
            )  # fmt: skip
            self._model = spoken_for(model, self._speakers)
        return outlook(self._model, panel, view, copies=copies)

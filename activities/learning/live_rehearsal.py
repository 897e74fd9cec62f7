"""The live business as a rehearsal: a sample of its series with their own prices, packs and lead times, day by day.

The learner asks it how sure orders should be (science 2.3) and whether a candidate's orders are dearer than the
champion's (science 6.3, gate c).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

import numpy as np

from activities.learning.engine_policy import Parameters, usual_parameters
from activities.learning.evaluation import loss_ratio, ratio_bounds
from activities.learning.model_file import Model
from activities.learning.rehearsing import Rehearsed, Report, chosen_scales
from activities.learning.risk import USUAL_SCALE
from activities.learning.simulation import View
from activities.learning.trial import Economics, Facts
from activities.learning.windows import Floats, Ints, Panel
from workflows.domain.models import CostComparison, StockTerms, TrainingSeries
from workflows.domain.studies import Period

SAMPLE = 300
"""Series that are rehearsed, spread over all: more would cost a training more than they tell."""
LEAST_SERIES = 30
DAYS = 28
"""Newest known days that are rehearsed."""
LEAST_ACTED_DAYS = 4
"""Days of the stretch that a series' orders must be able to reach: with fewer it says nothing about them."""

Terms = Mapping[str, StockTerms]
"""By `location:item`."""


def terms_of(series: Sequence[TrainingSeries]) -> dict[str, StockTerms]:
    """The terms of the series that have some."""
    return {f"{one.location}:{one.item}": one.terms for one in series if one.terms is not None}


def live_rehearsal(model: Model, panel: Panel, terms: Terms, days: int, report: Report) -> Rehearsed | None:
    """The panel's last `days` days, played with a model that has not seen them; None where too few series can tell."""
    known = panel.periods - days
    if known < 1:
        return None
    able = np.array(
        [row for row, key in enumerate(panel.keys) if key in terms and terms[key].lead_days + LEAST_ACTED_DAYS < days],
        dtype=np.int64,
    )
    # Nothing is wanted of a series that was not known before the stretch, and nothing can be lost on it.
    able = able[~np.isnan(panel.units[able, :known]).all(axis=1)] if len(able) else able
    if len(able) < LEAST_SERIES:
        return None
    rows = able[np.unique(np.linspace(0, len(able) - 1, SAMPLE).astype(np.int64))]
    own = panel.take(rows)
    return Rehearsed(
        model, _view(own, [terms[key] for key in own.keys]), days, report,
        lambda periods: own.through(own.first + periods - 1),
    )  # fmt: skip


def _view(panel: Panel, terms: Sequence[StockTerms]) -> View:
    """All that the panel knows. Where stock was short, nobody knows what was wanted: such days cost nobody anything."""
    places = [key.split(":", 1) for key in panel.keys]
    economics = Economics(
        holding=_money([one.holding_per_unit_day for one in terms]),
        shortage=_money([one.shortage_per_unit for one in terms]), order_cost=np.zeros(len(terms)),
        lead=_whole([one.lead_days for one in terms]),
        minimum=_whole([max(1, one.minimum_order_units) for one in terms]),
        pack=_whole([one.pack_units for one in terms]), cover=_whole([one.review_days for one in terms]),
    )  # fmt: skip
    facts = Facts(
        tuple(item for _, item in places), tuple(location for location, _ in places), {"category": panel.category},
        Period.DAY, date.fromordinal(panel.first), 1,
    )  # fmt: skip
    nothing = np.zeros((len(terms), int(economics.lead.max()) + 1), dtype=np.int64)
    return View(0, panel.units, panel.units, nothing[:, 0], nothing, economics, facts, 0)


def _money(values: Sequence[Decimal]) -> Floats:
    return np.array([float(value) for value in values])


def _whole(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def rehearsed_scales(model: Model, panel: Panel, terms: Terms, report: Report) -> dict[str, int]:
    """Per segment the scale of tau's factor, in hundredths, that the newest days ask for; only those that are not the
    documented factor's own. The model must not have seen the panel's last `DAYS` days."""
    rehearsed = live_rehearsal(model, panel, terms, DAYS, report)
    if rehearsed is None:
        return {}
    chosen, _ = chosen_scales(rehearsed, usual_parameters(rehearsed.view.economics))
    by_segment = {name: chosen.by_segment.get(name, chosen.scale) for name in sorted(model.segment_names)}
    return {name: scale for name, scale in by_segment.items() if scale != USUAL_SCALE}


def compared_costs(candidate: Model, champion: Model, panel: Panel, terms: Terms, days: int) -> CostComparison | None:
    """What both models' orders cost on the panel's last `days` days, which neither has seen, from the same stock.

    Each orders as sure as its own training found best. None where too few series can tell, or nothing cost anything.
    """
    costs = []
    for model in (candidate, champion):
        rehearsed = live_rehearsal(model, panel, terms, min(days, DAYS), lambda *_: None)
        if rehearsed is None:
            return None
        played = rehearsed.costs([Parameters(USUAL_SCALE, model.manifest.tau_scales)])
        costs.append(played[0].sum(axis=1))
    ours, theirs = costs
    if theirs.sum() <= 0:
        return None
    lower, upper = ratio_bounds(ours, theirs)
    return CostComparison(
        series=len(ours), days=min(days, DAYS), ratio=_four(loss_ratio(ours, theirs)), ratio_lower=_four(lower),
        ratio_upper=_four(upper), candidate_cost=_four(float(ours.sum())), champion_cost=_four(float(theirs.sum())),
    )  # fmt: skip


def _four(value: float) -> Decimal:
    return Decimal(repr(min(value, 9_999_999.0))).quantize(Decimal("0.0001"))

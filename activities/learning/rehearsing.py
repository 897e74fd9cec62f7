"""A rehearsal plays parameters on the newest known stretch, before they decide anything: how sure orders should be.

One scalar per segment (science 2.2: tau calibrated by the simulator). Costs are concentrated in few series, so a choice
must beat the usual one by more than its own noise. Studies and the learner choose alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from activities.learning.engine_policy import ENGINE, Parameters, orders_of_copies, outlook
from activities.learning.forecasting import segments_of
from activities.learning.model_file import Model
from activities.learning.risk import USUAL_SCALE
from activities.learning.simulation import Run, View, rehearsal, simulate
from activities.learning.study_panel import panel_of
from activities.learning.windows import Flags, Floats, Ints, Panel

SCALES = (75, 80, 90, 100, 110, 120, 135)
"""Tried scales of the factor c in tau = 1 - c h/(p + h), in hundredths: a narrow band around the documented factor,
because one stretch's bias is not the next one's."""
SHRINKAGE = 0.5
"""Half of the way from the usual factor to the best one is gone: a step as small as science 2.2 asks for."""
MIN_SERIES = 30
"""A segment with fewer series follows the choice for all."""
SIGNIFICANT = 1.5
"""Standard errors of the paired difference by which a choice must be better than the one it replaces."""
BLOCK = 4
"""Periods of a block: costs of neighbouring periods move together (science 4.3)."""

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Rehearsed:
    """The newest known stretch, ready to be played with a model that has not seen it."""

    model: Model
    view: View
    rounds: int
    report: Report
    panel: Callable[[int], Panel] | None = None
    """What is known after so many periods of the view's history, where more is than the view can say: promotions,
    holidays and other drivers."""

    def known(self, periods: int) -> Panel:
        """What the engine knows after so many periods of the history."""
        if self.panel:
            return self.panel(periods)
        return panel_of(self.view.history[:, :periods], self.view.facts, self.view.sold[:, :periods])

    def play(self, tried: Sequence[Parameters]) -> Run:
        """All parameters beside each other, on copies of the rows that share their forecasts."""
        trial = rehearsal(self.view, self.rounds)
        trial = trial.take(np.tile(np.arange(len(trial)), len(tried)))
        return simulate(
            trial, lambda _: _Alternatives(self, tried),
            lambda done, of: self.report("choosing", done, of),
        )  # fmt: skip

    def acted(self, copies: int) -> Flags:
        """[rows, rounds]: what is ordered reaches the shelves only after the lead time; before, all are the same."""
        return np.arange(self.rounds)[None, :] > np.tile(self.view.economics.lead, copies)[:, None]

    def costs(self, tried: Sequence[Parameters]) -> Floats:
        """[parameters, series, rounds]."""
        run = self.play(tried)
        costs: Floats = np.where(self.acted(len(tried)), run.costs, 0.0)
        return costs.reshape(len(tried), len(self.view), self.rounds)

    def segments(self) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
        """Each row's segment at the start of the stretch."""
        panel = self.known(self.view.history.shape[1] - self.rounds)
        return np.array(segments_of(panel.windows(panel.last), self.model.segment_names), dtype=np.str_)


class _Alternatives:
    """The forecasts see the whole known history, as every copy's own would but for what its empty shelves hid."""

    name = ENGINE

    def __init__(self, rehearsed: Rehearsed, tried: Sequence[Parameters]) -> None:
        self._rehearsed = rehearsed
        self._tried = tried

    def order(self, view: View) -> Ints:
        panel = self._rehearsed.known(view.history.shape[1])
        own = replace(view, facts=self._rehearsed.view.facts)
        seen = outlook(self._rehearsed.model, panel, own, copies=len(self._tried))
        return orders_of_copies(seen, view.economics, self._tried)


def chosen_scales(rehearsed: Rehearsed, usual: Parameters) -> tuple[Parameters, dict[int, float]]:
    """The parameters with the scales that the stretch asks for, and the stretch's total cost by scale."""
    costs = rehearsed.costs([replace(usual, scale=scale) for scale in SCALES])
    overall = better(costs, SCALES.index(usual.scale))
    segments, by_segment = rehearsed.segments(), {}
    for name in sorted(set(segments)):
        mine = segments == name
        if mine.sum() >= MIN_SERIES:
            best = better(costs[:, mine], overall)
            if best != overall:
                by_segment[str(name)] = _shrunk(SCALES[best])
    totals = costs.sum(axis=(1, 2)).tolist()
    return replace(usual, scale=_shrunk(SCALES[overall]), by_segment=by_segment), dict(zip(SCALES, totals, strict=True))


def _shrunk(scale: int) -> int:
    return round(USUAL_SCALE + (scale - USUAL_SCALE) * SHRINKAGE)


def better(costs: Floats, start: int, *, worthwhile: float = 0.0) -> int:
    """The cheapest alternative [alternatives, series, rounds], if it beats `start` by more than its noise; else that.

    The noise of a sum over series and blocks of time that both hang together (Cameron, Gelbach & Miller 2011).
    """
    best = int(costs.sum(axis=(1, 2)).argmin())
    gain = costs[start] - costs[best]
    blocks = np.stack(
        [gain[:, begin : begin + BLOCK].sum(axis=1) for begin in range(0, gain.shape[1], BLOCK)], axis=1
    )  # fmt: skip
    centred = blocks - blocks.mean()
    variance = (centred.sum(axis=1) ** 2).sum() + (centred.sum(axis=0) ** 2).sum() - (centred**2).sum()
    enough = max(SIGNIFICANT * float(np.sqrt(max(variance, 0.0))), worthwhile * float(costs[start].sum()))
    return best if float(gain.sum()) > enough else start

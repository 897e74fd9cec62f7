"""Prophet per series, as its own quick start uses it: a baseline for orders and for forecasts, never the engine's way.

Fitted on at most two processes; a series that Prophet cannot fit is answered by the quantiles of its own past. The seed
of the samples is fixed by the series' place, so the same folder gives the same figures on the same machine.
"""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date

import numpy as np

from activities.learning.seasonal import quiet
from activities.learning.simulation import View, Watch
from activities.learning.windows import Floats, Ints
from workflows.domain.studies import Period

PROPHET = "prophet"
SAMPLES = 200
SEED = 20_240_408
PROCESSES = 2
CHUNK = 8
"""Series that a process is handed at a time."""
ALONE_UP_TO = 16
"""So few are fitted here: starting processes that import Prophet takes longer."""
FEWEST = 2
"""Observed periods; Prophet wants as many."""


@dataclass(frozen=True)
class Question:
    """What is asked of one series' future."""

    history: Floats
    """[periods]: NaN where not observed; Prophet skips those."""
    begins: Ints
    ends: Ints
    """Demand is summed over periods begins[i] up to, not including, ends[i]; 0 is the period after the history."""
    levels: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class Calendar:
    """The first days of all periods of history and future."""

    days: tuple[date, ...]

    @classmethod
    def of(cls, period: Period, first_day: date, periods: int) -> "Calendar":
        """So many periods from `first_day`."""
        return cls(tuple(period.after(first_day, number) for number in range(periods)))


def answers(questions: Sequence[Question], calendar: Calendar, watch: Watch | None = None) -> list[Floats]:
    """For each question an array [sums, levels]: Prophet's quantiles of the summed demand, not below 0."""
    chunks = [(questions[begin : begin + CHUNK], calendar) for begin in range(0, len(questions), CHUNK)]
    found: list[Floats] = []
    for answered in _map(chunks, len(questions)):
        found.extend(answered)
        if watch:
            watch(len(found), len(questions))
    return found


Chunk = tuple[Sequence[Question], Calendar]


def _map(chunks: Sequence[Chunk], questions: int) -> Iterator[list[Floats]]:
    processes = min(PROCESSES, os.cpu_count() or 1)
    if questions <= ALONE_UP_TO or processes == 1:
        yield from map(_answered, chunks)
        return
    # Spawned, not forked: whoever calls may hold threads, and a fork of those can hang.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_answered, chunks)


def _answered(chunk: Chunk) -> list[Floats]:
    questions, calendar = chunk
    before = np.random.get_state()  # Prophet draws from the global generator, and from no other
    try:
        with quiet():
            return [_answer(question, calendar) for question in questions]
    finally:
        np.random.set_state(before)


def _answer(question: Question, calendar: Calendar) -> Floats:
    """[sums, levels] of one series."""
    drawn = _samples(question, calendar)
    until = np.concatenate([np.zeros((1, drawn.shape[1])), np.cumsum(drawn, axis=0)])
    sums = until[question.ends] - until[question.begins]
    # Rounded: of a series of zeros Prophet says 1e-10, and an order for that is a whole unit.
    return np.asarray(np.round(np.maximum(np.quantile(sums, question.levels, axis=1).T, 0.0), 6), dtype=np.float64)


def _samples(question: Question, calendar: Calendar) -> Floats:
    """[periods ahead, samples] of demand."""
    # Imported here: only the processes that fit need Prophet, and importing it takes a second.
    import pandas as pd
    from prophet import Prophet

    known = question.history
    ahead = int(question.ends.max(initial=0))
    seen = ~np.isnan(known)
    np.random.seed(question.seed)
    if np.count_nonzero(seen) >= FEWEST:
        days = np.array(calendar.days, dtype="datetime64[ns]")
        try:
            model = Prophet(uncertainty_samples=SAMPLES)
            model.fit(pd.DataFrame({"ds": days[: len(known)][seen], "y": known[seen]}), seed=question.seed)
            future = pd.DataFrame({"ds": days[len(known) : len(known) + ahead]})
            drawn = np.asarray(model.predictive_samples(future)["yhat"], dtype=np.float64)
            if np.isfinite(drawn).all():
                return drawn
        except (ValueError, RuntimeError):
            pass  # what Stan and Prophet raise when a fit fails; the series' own past answers
    past = known[seen] if seen.any() else np.zeros(1)
    return np.random.choice(past, (ahead, SAMPLES))


class ProphetPolicy:
    """Fitted once, at the first review. At each review it orders up to Prophet's quantile, at shortage over shortage
    plus holding, of the demand from then until the order after this one can arrive."""

    name = PROPHET

    def __init__(self, view: View, watch: Watch | None = None) -> None:
        economics, rounds = view.economics, view.remaining
        calendar = Calendar.of(
            view.facts.period, view.facts.first_day, view.history.shape[1] + rounds + int(economics.lead.max(initial=0))
        )
        begins = np.arange(rounds)
        levels = economics.critical_ratio
        questions = [
            Question(view.history[row], begins, begins + lead + 1, (float(levels[row]),), SEED + row)
            for row, lead in enumerate(economics.lead.tolist())
        ]
        found = answers(questions, calendar, watch)
        self._levels = np.concatenate([each.T for each in found]) if found else np.zeros((0, rounds))

    def order(self, view: View) -> Ints:
        """What is missing to this review's level."""
        return view.economics.admissible(self._levels[:, view.round] - view.position)


def prophet_forecast(
    history: Floats,
    period: Period,
    first_day: date,
    horizon: int,
    levels: tuple[float, ...],
    watch: Watch | None = None,
) -> Floats:
    """Quantiles [rows, horizon, levels] of each period's demand from a history [rows, periods]."""
    calendar = Calendar.of(period, first_day, history.shape[1] + horizon)
    begins = np.arange(horizon)
    questions = [Question(past, begins, begins + 1, levels, SEED + row) for row, past in enumerate(history)]
    found = answers(questions, calendar, watch)
    return np.stack(found) if found else np.zeros((0, horizon, len(levels)))

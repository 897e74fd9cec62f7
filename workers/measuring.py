"""Measures beside the work, never in it: a scoring that times itself, and gauges read from the database."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from connectors.postgres.gauges import Gauges, Reading
from workers.telemetry import Instruments
from workflows.domain.errors import Unavailable
from workflows.domain.histories import room
from workflows.domain.scores import Scored, Scores, ScoringRow, WrittenScoring

log = logging.getLogger(__name__)

GAUGES_EVERY_SECONDS = 15.0


class MeasuredScoring:
    """The `WrittenScoring` port with a stopwatch."""

    def __init__(self, scoring: WrittenScoring, instruments: Instruments) -> None:
        self._scoring = scoring
        self._instruments = instruments

    def score(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scores]:
        """Score, count the rows by forecaster, and note how long the batch took."""
        return [one.scores for one in self.score_written(rows, model, explain=explain)]

    def score_written(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scored]:
        """The same, each with its canonical JSON."""
        began = time.perf_counter()
        scored = self._scoring.score_written(rows, model, explain=explain)
        self._instruments.scoring_duration.record(time.perf_counter() - began, {"explained": explain})
        for forecaster, count in Counter(one.scores.forecaster for one in scored).items():
            self._instruments.scores.add(count, {"model": forecaster})
        return scored


async def watch(gauges: Gauges, instruments: Instruments, stop: asyncio.Event) -> None:
    """Read the gauges now and then until told to stop; a database that is away is no reason to end."""
    seen: dict[tuple[str, str], int] = {}
    while not stop.is_set():
        try:
            reading = await asyncio.to_thread(gauges.read)
        except Unavailable as outage:
            log.debug("no gauges: %s", outage)
        else:
            tell(reading, instruments, seen)
        try:
            await asyncio.wait_for(stop.wait(), timeout=GAUGES_EVERY_SECONDS)
        except TimeoutError:
            continue


def tell(reading: Reading, instruments: Instruments, seen: dict[tuple[str, str], int]) -> None:
    """Pass a reading on; `seen` holds the totals that were passed on before, for counters take increments."""
    for key, total in reading.decisions.items():
        instruments.decisions.add(max(0, total - seen.get(key, 0)), {"kind": key[0], "tier": key[1] or "none"})
        seen[key] = total
    for state, count in reading.orders.items():
        instruments.orders.set(count, {"state": state})
    for state, seconds in reading.answered:
        instruments.wait_for_people.record(max(0.0, seconds), {"meaning": state})
    if reading.histories is not None:
        ago, retention = (timedelta(seconds=value) for value in reading.histories)
        left = room(ago, retention)
        instruments.histories_room.set(left.seconds)
        if left.alarm:
            log.warning("closed workflows are not kept: Temporal removes the oldest in %d s", left.seconds)
    if reading.model_age_days is not None:
        instruments.model_age.set(reading.model_age_days)

"""Monitoring in memory: the days, readings and alarms that Postgres would keep, by the same rules."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from workflows.domain.errors import Unavailable
from workflows.domain.monitoring import (
    DEFINITIONS,
    RETRAINING_REST,
    RETRAINS,
    DriftAlarm,
    DriftReading,
    DriftView,
    Recorded,
    WatchedOutcome,
    alarm_id,
)


class MemoryMonitoring:
    """`Monitoring`: `today` is the newest closed business day, which the test moves."""

    def __init__(self, today: date | None = None) -> None:
        self.today = today
        self.days: list[date] = []
        self.readings: list[DriftReading] = []
        self.alarms: list[DriftAlarm] = []
        self.retrained: dict[str, date] = {}

    async def due(self) -> tuple[date, str] | None:
        return None if self.today is None or self.today in self.days else (self.today, "model")

    async def outcomes(self, day: date) -> list[WatchedOutcome]:
        return []

    async def record(self, day: date, model_digest: str, readings: Sequence[DriftReading]) -> Recorded:
        if day in self.days:
            return Recorded()
        self.days.append(day)
        self.readings = list(readings)
        loud = {(one.segment, one.statistic): one for one in readings if one.alarm}
        is_open = {(one.segment, one.statistic) for one in self.alarms if one.ended_on is None}
        over = [one for one in self.alarms if one.ended_on is None and (one.segment, one.statistic) not in loud]
        for one in over:
            self.alarms[self.alarms.index(one)] = one.model_copy(update={"ended_on": day})
        new = [reading for key, reading in loud.items() if key not in is_open]
        for read in new:
            key = alarm_id(read.segment, read.statistic, day)
            fields = {"segment": read.segment, "statistic": read.statistic, "kind": read.kind, "detail": read.detail}
            self.alarms.append(DriftAlarm.model_validate({"alarm_id": key, "started_on": day, **fields}))
        return Recorded(raised=len(new), ended=len(over))

    async def retraining_owed(self) -> DriftAlarm | None:
        if self.days and any(on > self.days[-1] - RETRAINING_REST for on in self.retrained.values()):
            return None
        owed = [one for one in self.alarms if one.ended_on is None and one.kind in RETRAINS and not one.retraining_id]
        return min(owed, key=lambda one: (one.started_on, one.alarm_id), default=None)

    async def retraining_started(self, alarm_id: str, retraining_id: str) -> None:
        for place, one in enumerate(self.alarms):
            if one.alarm_id == alarm_id and one.retraining_id is None:
                self.alarms[place] = one.model_copy(update={"retraining_id": retraining_id})
                self.retrained[alarm_id] = self.days[-1]

    async def view(self) -> DriftView:
        return DriftView(day=self.today, readings=tuple(self.readings), alarms=tuple(self.alarms))


class MemoryShelves:
    """`ShelfWatch`: `closed` holds the newest closed day of each location; each day finds one shelf."""

    def __init__(self) -> None:
        self.closed: dict[str, date] = {}
        self.watched: list[tuple[str, date]] = []
        self.breaks_at: tuple[str, date] | None = None
        """The storage is away once, for this one."""

    async def due(self) -> list[tuple[str, date]]:
        return [one for one in sorted(self.closed.items()) if one not in self.watched]

    async def watch(self, location: str, day: date) -> tuple[int, int]:
        if self.breaks_at == (location, day):
            self.breaks_at = None
            raise Unavailable("the database did not answer")
        self.watched.append((location, day))
        return 0, 1


class ToldWatching:
    """`Watching`: reads what the test says."""

    def __init__(self) -> None:
        self.loud: dict[str, str] = {}
        """Statistic -> segment of each alarm."""

    def read(self, outcomes: Sequence[WatchedOutcome], day: date, model_digest: str) -> list[DriftReading]:
        return [reading_of(statistic, segment) for statistic, segment in self.loud.items()] + [
            reading_of("psi_forecast_level", "calm", alarm=False)
        ]


def reading_of(statistic: str, segment: str = "smooth", *, alarm: bool = True) -> DriftReading:
    """A reading of a statistic, by default a loud one."""
    return DriftReading(
        segment=segment, statistic=statistic, kind=DEFINITIONS[statistic][0], value=Decimal(9 if alarm else 1),
        threshold=Decimal(5), observations=200, alarm=alarm, detail=f"{statistic} is {9 if alarm else 1}, on 200",
    )  # fmt: skip

"""Forecasts when somebody asks: facts from PostgreSQL, numbers from the champion, in a thread; one at a time."""

import asyncio
from datetime import date, timedelta

from connectors.postgres.demand_views import PostgresDemandViews
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.forecasts import (
    LONGEST_DAYS,
    ForecastAnswer,
    ForecastFacts,
    ForecastRequest,
    Forecasts,
    ForecastSeries,
)
from workflows.domain.identity import canonical, digest
from workflows.domain.ports import Models, ModelStore


class LiveForecasts(Forecasts):
    """The `Forecasts` port of console and REST."""

    def __init__(self, facts: PostgresDemandViews, models: Models, store: ModelStore) -> None:
        self._facts = facts
        self._models = models
        self._store = store
        # A console that is asked often stays a console: one forecast at a time has a processor.
        self._turn = asyncio.Lock()

    async def forecast(self, request: ForecastRequest) -> ForecastAnswer:
        """See the port.

        Raises:
            ModelUnusable: the champion's bytes are missing or damaged.
        """
        champion = await self._models.champion()
        if champion is None:
            raise NotFound("There is no model yet; `quartermaster model train` makes one.")
        facts = await self._facts.facts(request)
        first, last = days_of(request, facts.data_through)
        if not facts.series:
            raise NotFound("No demand of these items at these locations was ever recorded.")
        model = await asyncio.to_thread(self._store.get, champion.digest)
        async with self._turn:
            series = await asyncio.to_thread(_asked, facts, model, first, last, request)
        return ForecastAnswer(
            model_digest=champion.digest, data_through=facts.data_through, first_day=first, last_day=last,
            demand_definition=facts.demand_definition, series=series, unknown=facts.unknown,
        )  # fmt: skip

    async def answer_once(self, request: ForecastRequest, command_id: str, actor: str) -> ForecastAnswer:
        asked = digest(request)
        kept = await self._facts.answer_of(actor, command_id, asked)
        if kept is None:
            answer = await self.forecast(request)
            await self._facts.keep_answer(actor, command_id, asked, canonical(answer))
            # Of two at once the first one's answer is both's.
            kept = await self._facts.answer_of(actor, command_id, asked) or canonical(answer)
        return ForecastAnswer.model_validate_json(kept)


def days_of(request: ForecastRequest, data_through: date) -> tuple[date, date]:
    """The first and the last day asked for.

    Raises:
        InvalidInput: they are not among the `LONGEST_DAYS` after the last known day.
    """
    earliest, latest = data_through + timedelta(days=1), data_through + timedelta(days=LONGEST_DAYS)
    if request.first_day is None or request.last_day is None:
        return earliest, data_through + timedelta(days=request.horizon_days or LONGEST_DAYS)
    if request.first_day < earliest or request.last_day > latest:
        raise InvalidInput(
            f"Demand is known through {data_through}: days from {earliest} to {latest} can be forecast, not "
            f"{request.first_day} to {request.last_day}."
        )
    return request.first_day, request.last_day


def _asked(
    facts: ForecastFacts, model: bytes, first: date, last: date, request: ForecastRequest
) -> tuple[ForecastSeries, ...]:
    # Imported here: the numeric libraries take seconds to load, and most consoles are never asked.
    from activities.learning.requested import requested

    return requested(facts.series, model, last_day=facts.data_through, first=first, last=last, levels=request.quantiles)

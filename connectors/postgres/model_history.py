"""Reads a model version's life from the ledger, and how its forecasts turned out from the outcomes."""

from collections import defaultdict
from decimal import Decimal

from connectors.postgres import ledger
from connectors.postgres.pool import Database
from workflows.domain.ledger import EntryType
from workflows.domain.model_history import OUTCOMES, ModelEvent, TurnedOut
from workflows.domain.outcomes import Outcome

# From the version's newest decisions, because they have an index; an outcome follows within weeks or never.
_OUTCOMES = """
SELECT o.body, i.category FROM (
    SELECT DISTINCT decision_id, item FROM (
        SELECT decision_id, item FROM decision WHERE model_digest = %(digest)s ORDER BY decided_at DESC LIMIT %(looked)s
    ) AS newest
) AS d JOIN outcome o USING (decision_id) JOIN item i USING (item)
ORDER BY o.measured_at DESC LIMIT %(limit)s
"""
LOOKED_AT = 20 * OUTCOMES
"""Decisions among which outcomes are looked for: the newest have none yet."""


class PostgresModelHistory:
    """The `ModelHistory` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def events(self, digest: str) -> list[ModelEvent]:
        return [
            ModelEvent.model_validate({"type": EntryType(one.type), "actor": one.actor, "at": one.recorded_at,
                                       "seq": one.seq})
            for one in await ledger.timeline(self._database, f"model:{digest}")
        ]  # fmt: skip

    async def turned_out(self, digest: str) -> list[TurnedOut]:
        async with self._database.reading() as cursor:
            await cursor.execute(_OUTCOMES, {"digest": digest, "looked": LOOKED_AT, "limit": OUTCOMES})
            rows = await cursor.fetchall()
        by_category = defaultdict[str, list[Outcome]](list)
        for row in rows:
            by_category[row["category"]].append(Outcome.model_validate_json(bytes(row["body"])))
        found = [_counted(category, outcomes) for category, outcomes in by_category.items()]
        return sorted(found, key=lambda one: (-one.outcomes, one.category))


def _counted(category: str, outcomes: list[Outcome]) -> TurnedOut:
    facts = [one.facts for one in outcomes]
    return TurnedOut(
        category=category, outcomes=len(facts),
        at_or_below_p10=sum(one.demand_units <= one.forecast_p10 for one in facts),
        at_or_below_p50=sum(one.demand_units <= one.forecast_p50 for one in facts),
        at_or_below_p90=sum(one.demand_units <= one.forecast_p90 for one in facts),
        demand_units=sum(one.demand_units for one in facts),
        median_units=sum((one.forecast_p50 for one in facts), Decimal(0)),
        stocked_out=sum(one.stocked_out for one in outcomes),
    )  # fmt: skip

"""Reads decisions of the past: a list by page, and the cases that resemble one; never more rows than it says."""

import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from psycopg.rows import DictRow

from connectors.postgres.pool import Database
from workflows.domain.decisions import Decision, Proposal
from workflows.domain.errors import NotFound
from workflows.domain.outcomes import Outcome
from workflows.domain.paging import PlaceAnswered
from workflows.domain.past_decisions import (
    LOOKED_AT,
    SIMILAR,
    DecisionFilters,
    DecisionPage,
    DecisionRow,
    SimilarDecision,
)

SCANNED = 20_000
"""Decisions that one page looks through; a page of a rare kind may end early, and the next goes on from there."""

_NEWEST = "NOT EXISTS (SELECT 1 FROM decision n WHERE n.decision_id = d.decision_id AND n.revision > d.revision)"

# What is looked through is bounded before anything is filtered; only what is shown is read and joined.
_PAGE = f"""
WITH looked AS MATERIALIZED (
    SELECT decision_id, revision, location, item, kind, decided_at FROM decision
    WHERE (%(begin)s::timestamptz IS NULL OR decided_at >= %(begin)s)
      AND (%(end)s::timestamptz IS NULL OR decided_at < %(end)s)
      AND (%(at)s::timestamptz IS NULL OR (decided_at, decision_id) < (%(at)s, %(id)s)) {{position}}
    ORDER BY decided_at DESC, decision_id DESC LIMIT %(scanned)s
), wanted AS MATERIALIZED (
    SELECT d.* FROM looked d LEFT JOIN replenishment r USING (decision_id)
    WHERE (%(item)s::text IS NULL OR d.item = %(item)s)
      AND (%(location)s::text IS NULL OR d.location = %(location)s)
      AND (%(kind)s::text IS NULL OR d.kind = %(kind)s)
      AND (%(tier)s::text IS NULL OR (d.kind = 'proposal' AND r.tier = %(tier)s))
      AND {_NEWEST}
    ORDER BY d.decided_at DESC, d.decision_id DESC LIMIT %(limit)s
)
SELECT w.decision_id, w.decided_at AS placed_at, f.body, f.proposal_hash, w.location, w.item, i.name AS item_name,
       i.category
FROM wanted w JOIN decision f USING (decision_id, revision) JOIN item i ON i.item = w.item
ORDER BY w.decided_at DESC, w.decision_id DESC
"""  # noqa: S608 - no value of a caller is in it

_END = f"""
WITH looked AS (
    SELECT decision_id, decided_at FROM decision
    WHERE (%(begin)s::timestamptz IS NULL OR decided_at >= %(begin)s)
      AND (%(end)s::timestamptz IS NULL OR decided_at < %(end)s)
      AND (%(at)s::timestamptz IS NULL OR (decided_at, decision_id) < (%(at)s, %(id)s)) {{position}}
    ORDER BY decided_at DESC, decision_id DESC LIMIT {SCANNED}
)
SELECT count(*) AS looked, min(decided_at) AS decided_at,
       (SELECT decision_id FROM looked ORDER BY decided_at, decision_id LIMIT 1) AS decision_id FROM looked
"""  # noqa: S608 - the same

_POSITION = "AND location = %(location)s AND item = %(item)s"

_SIMILAR = f"""
WITH near AS (
    (SELECT d.*, TRUE AS same_item FROM decision d
     WHERE d.location = %(location)s AND d.item = %(item)s AND d.decided_at < %(at)s
     ORDER BY d.decided_at DESC LIMIT {LOOKED_AT})
    UNION ALL
    (SELECT d.*, FALSE FROM (SELECT * FROM decision WHERE location = %(location)s AND horizon_end <= %(horizon)s
                             ORDER BY horizon_end DESC LIMIT {LOOKED_AT}) d
     JOIN item i USING (item) WHERE i.category = %(category)s AND d.item <> %(item)s AND d.decided_at < %(at)s)
), chosen AS MATERIALIZED (
    SELECT d.decision_id, d.revision, d.location, d.item, d.same_item, d.decided_at, d.body, d.proposal_hash FROM near d
    WHERE d.kind = %(kind)s AND d.decision_id <> %(id)s AND {_NEWEST}
    ORDER BY d.same_item DESC, d.decided_at DESC, d.decision_id DESC LIMIT %(limit)s
)
SELECT c.*, i.name AS item_name, i.category, t.state AS task_state, a.meaning, a.actor AS answered_by,
       a.units AS answered_units, a.reason AS answer_reason, o.body AS outcome
FROM chosen c JOIN item i USING (item) LEFT JOIN task t USING (decision_id)
LEFT JOIN approval a ON a.decision_id = c.decision_id AND a.complete AND a.voided_at IS NULL
LEFT JOIN outcome o ON o.decision_id = c.decision_id
ORDER BY c.same_item DESC, c.decided_at DESC, c.decision_id DESC
"""  # noqa: S608 - the same


class PostgresPastDecisions:
    """The `PastDecisions` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, filters: DecisionFilters, *, limit: int = 100, after: str | None = None) -> DecisionPage:
        place = PlaceAnswered.of(after) if after else None
        known = {
            **filters.model_dump(mode="json"), "begin": _midnight(filters.first_day),
            "end": _midnight(filters.last_day, 1), "at": place.answered_at if place else None,
            "id": place.decision_id if place else None, "limit": min(limit, 500), "scanned": SCANNED,
        }  # fmt: skip
        position = _POSITION if filters.item and filters.location else ""
        async with self._database.reading() as cursor:
            await cursor.execute(_PAGE.format(position=position), known)
            rows = await cursor.fetchall()
            if len(rows) == known["limit"]:
                following: str | None = PlaceAnswered(rows[-1]["placed_at"], rows[-1]["decision_id"]).token()
            else:
                await cursor.execute(_END.format(position=position), known)
                end = await cursor.fetchone()
                more = end is not None and end["looked"] == SCANNED
                following = PlaceAnswered(end["decided_at"], end["decision_id"]).token() if end and more else None
        return DecisionPage(rows=tuple(DecisionRow(**_row(row)) for row in rows), after=following)

    async def similar(self, decision_id: str, limit: int = SIMILAR) -> list[SimilarDecision]:
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT d.decided_at AS at, d.kind, d.location, d.item, i.category, d.horizon_end AS horizon
                   FROM decision d JOIN item i USING (item) WHERE d.decision_id = %s
                   ORDER BY d.revision DESC LIMIT 1""",
                [decision_id],
            )
            found = await cursor.fetchone()
            if found is None:
                raise NotFound(f"there is no decision {decision_id}")
            await cursor.execute(_SIMILAR, {**found, "id": decision_id, "limit": min(limit, 50)})
            return [_similar(row) for row in await cursor.fetchall()]


def _midnight(day: date | None, later: int = 0) -> datetime | None:
    if day is None or (later and day == date.max):
        return None
    return datetime.combine(day + timedelta(days=later), time(), UTC)


def _row(row: DictRow) -> dict[str, Any]:
    decision = Decision.model_validate_json(bytes(row["body"]))
    result = decision.result
    told: dict[str, Any] = {
        "decision_id": decision.decision_id, "revision": decision.revision, "location": row["location"],
        "item": row["item"], "item_name": row["item_name"], "category": row["category"],
        "decided_at": decision.decided_at, "kind": result.kind, "sentence": result.sentence,
        "proposal_hash": row["proposal_hash"],
    }  # fmt: skip
    if isinstance(result, Proposal):
        return {**told, "tier": result.tier, "supplier": result.supplier, "units": result.units,
                "value": result.value, "currency": result.currency}  # fmt: skip
    return {**told, "reason": result.reason}


def _similar(row: DictRow) -> SimilarDecision:
    told = _row(row)
    if row["outcome"] is not None:
        outcome = Outcome.model_validate(json.loads(bytes(row["outcome"])))
        told |= {
            "demand_units": outcome.facts.demand_units, "forecast_p50": outcome.facts.forecast_p50,
            "within_interval": outcome.within_interval, "days_out_of_stock": outcome.facts.days_out_of_stock,
            "cost": outcome.cost,
        }  # fmt: skip
    answer = {name: row[name] for name in ("same_item", "task_state", "meaning", "answered_by", "answered_units")}
    return SimilarDecision(**told, **answer, answer_reason=row["answer_reason"] or None)

"""Stores decisions with all they rest on, tasks, watch levels and ledger entries included, in one transaction."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import evidence, facts, ledger, tasks, wishes
from connectors.postgres.catalog import HOLDING_RATE_PER_YEAR
from connectors.postgres.columns import literal
from connectors.postgres.monitoring import alarmed_segments
from connectors.postgres.pool import Database
from connectors.postgres.recording import DECISION_COLUMNS, Recorded, recorded, recorded_batch
from connectors.postgres.task_waking import wake_on_forecast
from workflows.domain.decisions import Decided, Hold, Proposal
from workflows.domain.errors import NotFound
from workflows.domain.identity import digest
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.needs import AssessmentSummary, NeedBatch
from workflows.domain.policies import Policy, RiskTier
from workflows.domain.ports import BatchFacts, ReplenishmentRef, RescoreResult
from workflows.domain.wishes import unmet

Cursor = psycopg.AsyncCursor[DictRow]


_TYPES = ("text", "int", "text", "text", "text", "timestamptz", "bytea", "text", "text", "text", "text", "date")
_NOTHING: list[list[object]] = [[] for _ in DECISION_COLUMNS]
_INSERT = f"""
INSERT INTO decision ({", ".join(DECISION_COLUMNS)})
SELECT * FROM unnest({", ".join(f"%b::{kind}[]" for kind in _TYPES)}) ON CONFLICT DO NOTHING
"""  # noqa: S608 - our own names
_REPLENISHMENTS = """
INSERT INTO replenishment (decision_id, revision, proposal_hash, location, item, supplier, units, unit_cost, tier,
                           state, decided_at, traceparent, workflow_started_at, closed_at)
SELECT * FROM unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[],
                     %s::numeric[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::timestamptz[],
                     %s::timestamptz[])
"""
_STATES = """
UPDATE need n SET state = g.state FROM unnest(%s::text[], %s::text[]) AS g (need_id, state) WHERE n.need_id = g.need_id
"""
_WATCH = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(%s::text[], %s::text[], %b::bigint[], %b::timestamptz[]) AS g (location, item, level, at)
), locked AS MATERIALIZED (
    SELECT location, item, level, at FROM position p JOIN given USING (location, item)
    ORDER BY location, item FOR UPDATE OF p
)
UPDATE position p SET watch_level_units = l.level, last_assessed_at = l.at FROM locked l
WHERE p.location = l.location AND p.item = l.item
"""


class PostgresAssessments:
    """The `Assessments` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, batch_id: str) -> BatchFacts:
        async with self._database.transaction("decisions.load") as cursor:
            await cursor.execute(
                "SELECT batch_id, location, clock, needs FROM need_batch WHERE batch_id = %s", [batch_id]
            )
            row = await cursor.fetchone()
            if row is None:
                raise NotFound(f"there is no batch {batch_id}")
            await cursor.execute(
                "SELECT * FROM need WHERE batch_id = %s AND state = 'open' ORDER BY need_id", [batch_id]
            )
            return await _batch_facts(cursor, NeedBatch(**row), await cursor.fetchall())

    async def load_waiting(self, decision_id: str) -> BatchFacts | None:
        async with self._database.transaction("decisions.load_waiting") as cursor:
            await cursor.execute(
                """SELECT n.*, c.watermark, t.revision, t.wanted_supplier
                   FROM task t JOIN need n ON n.need_id = t.decision_id
                   JOIN business_clock c ON c.location = t.location WHERE t.decision_id = %s AND t.state = 'open'""",
                [decision_id],
            )
            row = await cursor.fetchone()
            if row is None:
                return None
            batch = NeedBatch(batch_id=decision_id, location=row["location"], clock=row["watermark"], needs=1)
            found = await _batch_facts(cursor, batch, [row])
            if row["wanted_supplier"] != found.facts[0].wanted_supplier:
                why = "it sells this item to this location no more, or is blocked"
                await wishes.drop(cursor, decision_id, row["wanted_supplier"], why, row["watermark"])
            return found.model_copy(update={"revision": row["revision"]})

    async def record(self, batch_id: str, model_digest: str, decided: Sequence[Decided]) -> AssessmentSummary:
        async with self._database.transaction("decisions.record") as cursor:
            policy = await facts.current_policy(cursor)
            await cursor.execute(
                "SELECT need_id FROM need WHERE batch_id = %s AND state = 'open' ORDER BY need_id FOR UPDATE",
                [batch_id],
            )
            still_open = {row["need_id"] for row in await cursor.fetchall()}
            fresh = [d for d in decided if d.decision.decision_id in still_open]
            told, of_holds = await asyncio.to_thread(recorded_batch, batch_id, model_digest, fresh)
            await _store(cursor, fresh, told)
            entries = await _propose(
                cursor, [one for one in fresh if isinstance(one.decision.result, Proposal)], policy
            )
            await ledger.append(cursor, entries + of_holds)
            await cursor.execute(
                "UPDATE need SET state = 'held' WHERE need_id = ANY(%s::text[])",
                [literal([decision_id for decision_id, _, _ in told.holds])],
            )
            await cursor.execute(
                """SELECT count(*) FILTER (WHERE n.state = 'held') AS holds,
                          count(*) FILTER (WHERE n.state IN ('proposed', 'closed')) AS proposals
                   FROM need n WHERE n.batch_id = %s""",
                [batch_id],
            )
            row = await cursor.fetchone() or {"holds": 0, "proposals": 0}
            return AssessmentSummary(batch_id=batch_id, holds=row["holds"], proposals=row["proposals"])

    async def record_rescore(self, decided: Decided) -> RescoreResult:
        decision, result = decided.decision, decided.decision.result
        async with self._database.transaction("decisions.record_rescore") as cursor:
            await cursor.execute(
                """SELECT r.*, t.state AS task_state, t.remind_at, t.escalate_at, t.expire_at FROM task t
                   JOIN replenishment r USING (decision_id) WHERE t.decision_id = %s FOR UPDATE""",
                [decision.decision_id],
            )
            row = await cursor.fetchone()
            if row is None:
                raise NotFound(f"there is no task {decision.decision_id}")
            if row["task_state"] != "open":
                return RescoreResult(ref=_ref(row), changed=False)
            if row["revision"] != decision.revision - 1:
                # Another attempt that read the same revision was first: what it stored stands.
                return RescoreResult(ref=_ref(row), changed=False)
            if why := unmet(decided.inputs, result):
                # What was proposed stays, and is scored again from whoever is best: the need itself may be over.
                wanted, at = decided.inputs.wanted_supplier, decision.decided_at
                await wishes.drop(cursor, decision.decision_id, wanted, why, at, again=True)
                return RescoreResult(ref=_ref(row), changed=False)
            await wake_on_forecast(cursor, decided)
            same = _same(row, result)
            await cursor.execute(
                "UPDATE task SET rescores = rescores + 1, rescores_changed = rescores_changed + %s "
                "WHERE decision_id = %s",
                [int(not same), decision.decision_id],
            )
            if same:
                await cursor.execute(
                    "UPDATE task SET available_units = %s WHERE decision_id = %s",
                    [decided.inputs.position.available_units, decision.decision_id],
                )
                return RescoreResult(ref=_ref(row), changed=False)
            await _store(cursor, [decided], await asyncio.to_thread(recorded, [decided]))
            await tasks.void_approvals(cursor, decided)
            if isinstance(result, Hold) or result.tier is RiskTier.BLOCKED:
                await tasks.void(cursor, decided, result.sentence)
                return RescoreResult(ref=None)
            await cursor.execute(
                """UPDATE replenishment SET revision = %s, proposal_hash = %s, supplier = %s, units = %s, unit_cost = %s
                   WHERE decision_id = %s""",
                [decision.revision, decision.proposal_hash, result.supplier, result.units, result.unit_cost,
                 decision.decision_id],
            )  # fmt: skip
            await cursor.execute(
                """UPDATE task SET revision = %s, proposal_hash = %s, value = %s, available_units = %s,
                       tolerance_units = %s WHERE decision_id = %s""",
                [decision.revision, decision.proposal_hash, result.value, decided.inputs.position.available_units,
                 tasks.tolerance(await facts.current_policy(cursor), result), decision.decision_id],
            )  # fmt: skip
            await ledger.append(cursor, [_proposed_entry(decided, EntryType.DECISION_PROPOSED)])
            fields = {
                "revision": decision.revision,
                "proposal_hash": decision.proposal_hash,
                "supplier": result.supplier,
            }
            return RescoreResult(ref=_ref({**row, **fields}))


def _same(row: DictRow, result: Hold | Proposal) -> bool:
    """Whether a person would be shown the same proposal again."""
    if isinstance(result, Hold) or result.tier is RiskTier.BLOCKED:
        return False
    return (result.supplier, result.units, result.unit_cost) == (row["supplier"], row["units"], row["unit_cost"])


async def _batch_facts(cursor: Cursor, batch: NeedBatch, rows: Sequence[DictRow]) -> BatchFacts:
    rate = Decimal(await facts.setting(cursor, "holding_rate_per_year", str(HOLDING_RATE_PER_YEAR)))
    policy = await facts.current_policy(cursor)
    gathered = await facts.gather(cursor, rows, batch.clock, rate, policy) if rows else []
    return BatchFacts(
        batch=batch,
        facts=tuple(gathered),
        policy=policy,
        currency=await facts.setting(cursor, "currency", "EUR"),
        holding_rate_per_year=rate,
        drift_alarms=await alarmed_segments(cursor),
    )


async def _store(cursor: Cursor, decided: Sequence[Decided], told: Recorded) -> None:
    """The decisions' bytes, their evidence, and the watch levels that the forecasts give the positions."""
    await evidence.keep(cursor, told.objects)
    await evidence.keep_inputs(cursor, told.inputs)
    await cursor.execute(_INSERT, [list(column) for column in zip(*told.decisions, strict=True)] or _NOTHING)
    # In name order, as everybody locks positions.
    places = sorted([
        (one.inputs.position.location, one.inputs.position.item, one.inputs.scores.watch_level_units, one.inputs.clock)
        for one in decided
    ])  # fmt: skip
    locations, items, levels, instants = [list(column) for column in zip(*places, strict=True)] or [[]] * 4
    await cursor.execute(_WATCH, [literal(locations), literal(items), levels, instants])


async def _propose(cursor: Cursor, decided: Sequence[Decided], policy: Policy) -> list[NewEntry]:
    """The rows of all proposals, and the task of each to which a person must agree."""
    rows, states, entries = [], [], []
    for one in decided:
        decision, inputs, result = one.decision, one.inputs, one.decision.result
        assert isinstance(result, Proposal)  # noqa: S101 - callers pass proposals only
        blocked = result.tier is RiskTier.BLOCKED
        ended = datetime.now(UTC) if blocked else None
        rows.append((
            decision.decision_id, decision.revision, digest(one.written.decision), inputs.position.location,
            inputs.position.item, result.supplier, result.units, result.unit_cost, str(result.tier),
            "blocked" if blocked else "proposed", decision.decided_at, inputs.need.traceparent, ended, ended,
        ))  # fmt: skip
        states.append("closed" if blocked else "proposed")
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        await cursor.execute(_REPLENISHMENTS, columns)
        await cursor.execute(_STATES, [columns[0], states])
    for one in decided:
        result = one.decision.result
        assert isinstance(result, Proposal)  # noqa: S101 - as above
        entries.append(_proposed_entry(one, EntryType.DECISION_PROPOSED))
        if result.tier is RiskTier.BLOCKED:
            await tasks.rest(cursor, one.inputs.position.location, one.inputs.position.item)
        elif result.tier is RiskTier.REVIEW:
            entries.append(await tasks.open_task(cursor, one, result, policy))
    return entries


def _proposed_entry(decided: Decided, kind: EntryType) -> NewEntry:
    told = {"decision": decided.decision.model_dump(mode="json"), "proposal_hash": digest(decided.written.decision)}
    return tasks.entry_of(decided, kind, told)


def _ref(row: DictRow) -> ReplenishmentRef:
    return ReplenishmentRef.model_validate(row)

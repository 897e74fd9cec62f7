"""Keeps policies and their changes: a version comes into force only by a change that another person approved."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import evidence, facts, ledger
from connectors.postgres.catalog import INSTALLATION
from connectors.postgres.pool import Database
from workflows.domain.approvals import Actor
from workflows.domain.decisions import Decision, DecisionInputs
from workflows.domain.errors import Conflict, NotFound, StaleProposal
from workflows.domain.identity import canonical, digest
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.limits import Place, ServiceMeasure
from workflows.domain.policies import Policy
from workflows.domain.policy_changes import (
    ChangeState,
    NewChange,
    PolicyChange,
    PolicyVersion,
    ServiceRecord,
    answered_so,
    change_id,
    refusal,
)
from workflows.domain.policy_trials import Recorded, Trial
from workflows.domain.recordable import by_reference

Cursor = psycopg.AsyncCursor[DictRow]
STREAM = "policy"
"""The ledger's stream of policy changes; what was adopted is in the installation's stream too."""

_VERSIONS = """
SELECT v.document, v.digest, v.adopted_at, c.change_id, c.author, c.decided_by AS approved_by
FROM policy_version v LEFT JOIN policy_change c ON c.digest = v.digest AND c.state = 'adopted'
"""
# Nested, so that evidence is only read where it is tried.
_WINDOW = """
SELECT d.decision_id, t.decision_id IS NOT NULL AS waiting, d.decided_at, count(*) OVER () AS total
FROM decision d LEFT JOIN task t ON t.decision_id = d.decision_id AND t.state = 'open'
WHERE (t.decision_id IS NOT NULL
       OR d.decided_at > (SELECT max(watermark) FROM business_clock) - make_interval(weeks => %(weeks)s))
  AND NOT EXISTS (SELECT 1 FROM decision n WHERE n.decision_id = d.decision_id AND n.revision > d.revision)
ORDER BY waiting DESC, d.decided_at DESC, d.decision_id LIMIT %(limit)s
"""
MOST_SERVED = 20_000
"""Outcomes by which categories are judged: the newest ones of the weeks. More of them would tell no more."""
# The newest first, and only then their evidence, each read once.
_SERVED = """
SELECT policy_digest, category, item, location, count(*) AS decisions,
       count(*) FILTER (WHERE stocked_out) AS stocked_out, avg(target) AS target
FROM (
    SELECT d.policy_digest, d.item, d.location, o.stocked_out, i.inputs -> 'item' ->> 'category' AS category,
           (i.inputs -> 'scores' ->> 'target')::numeric AS target
    FROM (SELECT decision_id, stocked_out FROM outcome
          WHERE measured_at > (SELECT max(watermark) FROM business_clock) - make_interval(weeks => %(weeks)s)
          ORDER BY measured_at DESC, decision_id LIMIT %(most)s) o
    CROSS JOIN LATERAL (SELECT * FROM decision WHERE decision_id = o.decision_id ORDER BY revision DESC LIMIT 1) d
    JOIN evidence e ON e.sha256 = d.inputs_sha256
    CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb AS inputs OFFSET 0) i
) served GROUP BY policy_digest, category, item, location
"""


class PostgresPolicies:
    """The `Policies` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self) -> PolicyVersion:
        async with self._database.transaction("policy_changes.current") as cursor:
            return await _current(cursor)

    async def history(self) -> list[PolicyVersion]:
        async with self._database.transaction("policy_changes.history") as cursor:
            await _current(cursor)
            await cursor.execute(_VERSIONS + "ORDER BY v.version DESC")
            return [_version(row) for row in await cursor.fetchall()]

    async def version(self, digest: str) -> PolicyVersion:
        async with self._database.reading() as cursor:
            await cursor.execute(_VERSIONS + "WHERE v.digest = %s", [digest])
            row = await cursor.fetchone()
            if row is None:
                raise NotFound(f"there is no policy {digest}")
            return _version(row)

    async def changes(self, state: ChangeState | None = None) -> list[PolicyChange]:
        async with self._database.reading() as cursor:
            await cursor.execute(
                "SELECT * FROM policy_change WHERE %(state)s::text IS NULL OR state = %(state)s ORDER BY number DESC",
                {"state": state},
            )
            return [_change(row) for row in await cursor.fetchall()]

    async def change(self, change_id: str) -> PolicyChange:
        async with self._database.reading() as cursor:
            return await _found(cursor, change_id)

    async def propose(self, new: NewChange, actor: Actor) -> PolicyChange:
        async with self._database.transaction("policy_changes.propose") as cursor:
            await _lock(cursor)
            found = await _current(cursor)
            if found.digest != new.base_digest:
                raise StaleProposal(
                    f"version {found.policy.version} is in force by now; start again from it and propose anew"
                )
            await cursor.execute(
                "SELECT * FROM policy_change WHERE base_digest = %s AND digest = %s ORDER BY number",
                [new.base_digest, new.policy.digest],
            )
            earlier = [_change(row) for row in await cursor.fetchall()]
            if earlier and earlier[-1].state is ChangeState.PROPOSED:
                return earlier[-1]
            await cursor.execute(
                """INSERT INTO policy_change (change_id, number, kind, base_digest, digest, document, author, reason,
                                              dry_run, evidence)
                   VALUES (%s, (SELECT coalesce(max(number), 0) + 1 FROM policy_change), %s, %s, %s, %s, %s, %s, %s, %s)
                   RETURNING *""",
                [
                    change_id(new.base_digest, new.policy.digest, len(earlier)), new.kind, new.base_digest,
                    new.policy.digest, canonical(new.policy), actor.name, new.reason, canonical(new.trial),
                    canonical(new.evidence),
                ],
            )  # fmt: skip
            change = _change(await cursor.fetchone() or {})
            body = {"kind": str(new.kind), "policy": new.policy.model_dump(mode="json"), **_evidence(new)}
            short, kept = by_reference(body, "policy", "evidence")
            await evidence.keep(cursor, kept)
            await ledger.append(cursor, [_entry(change, EntryType.POLICY_PROPOSED, actor, short)])
            return change

    async def decide(self, change_id: str, actor: Actor, *, approve: bool, reason: str = "") -> PolicyChange:
        refused: Conflict | None = None
        async with self._database.transaction("policy_changes.decide") as cursor:
            await _lock(cursor)
            change = await _found(cursor, change_id)
            if answered_so(change, actor, approve=approve):
                return change
            found = await _current(cursor)
            refused = refusal(change, found.digest, actor, approve=approve)
            if refused is None:
                return await _settle(cursor, change, actor, approve, reason)
            body = {"approve": approve, "refused": type(refused).__name__, "state": str(change.state)}
            await ledger.append(cursor, [_entry(change, EntryType.POLICY_REFUSED, actor, body)])
        raise refused

    async def recorded_ids(self, weeks: int, limit: int) -> tuple[list[str], int]:
        async with self._database.reading() as cursor:
            await cursor.execute(_WINDOW, {"weeks": weeks, "limit": limit})
            rows = await cursor.fetchall()
            return [row["decision_id"] for row in rows], rows[0]["total"] if rows else 0

    async def recorded(self, decision_ids: Sequence[str]) -> list[Recorded]:
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT DISTINCT ON (d.decision_id) d.body, e.body AS inputs, t.decision_id IS NOT NULL AS waiting
                   FROM decision d JOIN evidence e ON e.sha256 = d.inputs_sha256
                   LEFT JOIN task t ON t.decision_id = d.decision_id AND t.state = 'open'
                   WHERE d.decision_id = ANY(%s) ORDER BY d.decision_id, d.revision DESC""",
                [list(decision_ids)],
            )
            rows = await cursor.fetchall()
        return await asyncio.to_thread(_recorded, rows)  # the evidence is large, and reading it is all work

    async def service_records(self, weeks: int) -> list[ServiceRecord]:
        async with self._database.reading() as cursor:
            await cursor.execute("SELECT digest, document FROM policy_version")
            policies = {r["digest"]: Policy.model_validate_json(r["document"]) for r in await cursor.fetchall()}
            await cursor.execute(_SERVED, {"weeks": weeks, "most": MOST_SERVED})
            rows = await cursor.fetchall()
        return _by_category(rows, policies, weeks)


async def _settle(cursor: Cursor, change: PolicyChange, actor: Actor, approve: bool, reason: str) -> PolicyChange:
    await cursor.execute(
        """UPDATE policy_change SET state = %s, decided_by = %s, decided_at = clock_timestamp(), decided_reason = %s
           WHERE change_id = %s RETURNING *""",
        [ChangeState.ADOPTED if approve else ChangeState.REJECTED, actor.name, reason, change.change_id],
    )
    settled = _change(await cursor.fetchone() or {})
    said = {"reason_sha256": digest(reason.encode()) if reason else None}
    if not approve:
        await ledger.append(cursor, [_entry(settled, EntryType.POLICY_REJECTED, actor, said)])
        return settled
    await cursor.execute(
        "INSERT INTO policy_version (digest, version, document) VALUES (%s, %s, %s)",
        [settled.digest, settled.policy.version, canonical(settled.policy)],
    )
    body = {"digest": settled.digest, "policy": settled.policy.model_dump(mode="json"), "change": settled.change_id}
    short, kept = by_reference(body, "policy")
    await evidence.keep(cursor, kept)
    adopted = _entry(settled, EntryType.POLICY_ADOPTED, actor, short).model_copy(update={"stream": INSTALLATION})
    await ledger.append(cursor, [_entry(settled, EntryType.POLICY_APPROVED, actor, said), adopted])
    return settled


async def _lock(cursor: Cursor) -> None:
    """Proposals and answers wait for each other: there is one policy in force."""
    await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('policy', 11))")


async def _current(cursor: Cursor) -> PolicyVersion:
    await facts.current_policy(cursor)
    await cursor.execute(_VERSIONS + "ORDER BY v.version DESC LIMIT 1")
    return _version(await cursor.fetchone() or {})


async def _found(cursor: Cursor, change_id: str) -> PolicyChange:
    await cursor.execute("SELECT * FROM policy_change WHERE change_id = %s", [change_id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no policy change {change_id}; `quartermaster policy changes` lists them")
    return _change(row)


def _version(row: DictRow) -> PolicyVersion:
    return PolicyVersion(policy=Policy.model_validate_json(row["document"]), **row)


def _change(row: DictRow) -> PolicyChange:
    records = json.loads(row["evidence"])
    return PolicyChange.model_validate(
        {**row, "policy": Policy.model_validate_json(row["document"]), "evidence": records,
         "trial": Trial.model_validate_json(row["dry_run"])}
    )  # fmt: skip


def _evidence(new: NewChange) -> dict[str, Any]:
    return {
        "reason_sha256": digest(new.reason.encode()),
        "dry_run_sha256": digest(new.trial),
        "evidence": [record.model_dump(mode="json") for record in new.evidence],
    }


def _entry(change: PolicyChange, kind: EntryType, actor: Actor, body: dict[str, Any]) -> NewEntry:
    named = {"change": change.change_id, "base": change.base_digest, "digest": change.digest, "channel": actor.channel}
    at = datetime.now(UTC)
    return NewEntry(stream=STREAM, type=kind, actor=actor.name, occurred_at=at, body={**named, **body})


def _recorded(rows: Sequence[DictRow]) -> list[Recorded]:
    return [
        Recorded(
            decision=Decision.model_validate_json(row["body"]), waiting=row["waiting"],
            inputs=DecisionInputs.model_validate_json(row["inputs"]),
        )
        for row in rows
    ]  # fmt: skip


def _by_category(rows: Sequence[DictRow], policies: dict[str, Policy], weeks: int) -> list[ServiceRecord]:
    """Sums, with the target that was aimed at: the policy's where it had one. A fill rate is not what is counted."""
    sums: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for row in rows:
        place = Place(row["item"], row["category"], "", row["location"])
        aim = policies[row["policy_digest"]].limits_for(place).service
        if aim is not None and aim.measure is ServiceMeasure.FILL:
            continue
        target = row["target"] if aim is None else aim.target
        added = row["decisions"], row["stocked_out"], target * row["decisions"]
        sums[row["category"]] = [known + more for known, more in zip(sums[row["category"]], added, strict=True)]
    return [
        ServiceRecord(
            category=category, decisions=int(decisions), stocked_out=int(out), weeks=weeks,
            target=(targets / decisions).quantize(Decimal("0.0001")),
        )
        for category, (decisions, out, targets) in sorted(sums.items())
    ]  # fmt: skip

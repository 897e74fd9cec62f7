"""Asks the policy and the people of now when an order is sent: what nobody may release stays, whoever approved it.

A proposal was gated when it was decided, and its approval was judged when it was given. Since then the policy may have
been tightened, somebody may have touched the approval, and whoever gave it may have lost the right to.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import authority, facts
from connectors.postgres.people import person_of
from workflows.domain.people import Person

Cursor = psycopg.AsyncCursor[DictRow]


async def refusals_of_lines(cursor: Cursor, order: DictRow, lines: Sequence[DictRow]) -> dict[str, str]:
    """Need id -> why its line may not go out; `lines` have need_id, item, units and unit_cost."""
    needs = [line["need_id"] for line in lines]
    policy = await facts.current_policy(cursor)
    await cursor.execute(
        """SELECT r.decision_id, r.tier, r.item, i.category, d.policy_digest,
                  standing_signatures(r.decision_id) AS signatures
           FROM replenishment r JOIN item i USING (item) JOIN decision d USING (decision_id, revision)
           WHERE r.decision_id = ANY(%s)""",
        [needs],
    )
    proposals = {row["decision_id"]: row for row in await cursor.fetchall()}
    signers = await _signers(cursor, needs)
    names = sorted({name for signed in signers.values() for name in signed})
    people = {name: await person_of(cursor, name) for name in names}
    found = {}
    for line in lines:
        asked = {**line, **proposals[line["need_id"]], **{name: order[name] for name in ("supplier", "location")}}
        matter = await authority.matter_of(cursor, asked, line["units"], policy, order["currency"])
        refusal = matter.limits.above_everybody(matter.value, matter.currency) or matter.limits.suggestion_only()
        if refusal is None and matter.needs_two and asked["signatures"] < 2:
            refusal = f"{matter.needs_two}; {_people(asked['signatures'])} did"
        if refusal is None and asked["tier"] != "auto":
            refusal = _gone(signers[line["need_id"]], people, matter)
        elif refusal is None and (why := matter.limits.needs_one(matter.value, matter.currency)):
            refusal = f"{why}; nobody did"
        if refusal is not None:
            found[line["need_id"]] = refusal
    return found


async def _signers(cursor: Cursor, needs: Sequence[str]) -> dict[str, list[str]]:
    """Need id -> who must still have the right to. Approvals from before people were kept name somebody unknown."""
    await cursor.execute(
        """SELECT a.decision_id, a.actor FROM approval a JOIN replenishment r USING (decision_id)
           WHERE a.decision_id = ANY(%s) AND a.voided_at IS NULL AND a.proposal_hash = r.proposal_hash
             AND a.meaning IN ('approve', 'approve_edited') AND a.signatures_needed IS NOT NULL
             AND (a.complete OR EXISTS (SELECT 1 FROM approval c WHERE c.decision_id = a.decision_id AND c.complete
                                        AND c.voided_at IS NULL AND c.signatures_needed = 2))
           ORDER BY a.recorded_at""",
        [list(needs)],
    )
    found: dict[str, list[str]] = defaultdict(list)
    for row in await cursor.fetchall():
        found[row["decision_id"]].append(row["actor"])
    return found


def _gone(names: Sequence[str], people: Mapping[str, Person | None], matter: authority.Matter) -> str | None:
    for name in names:
        if why := authority.gone(people[name], name, matter):
            return f"somebody who approved it {why}"
    return None


def _people(signatures: int) -> str:
    return {0: "nobody", 1: "one person"}.get(signatures, f"{signatures} people")

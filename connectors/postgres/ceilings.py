"""Asks the policy in force what nobody may release: when a person answers, and again when the order is sent.

A proposal was gated when it was decided. Since then a person may have edited its quantity, or the policy may have been
tightened; what nobody may release stays unreleased all the same.
"""

from collections.abc import Sequence
from decimal import Decimal

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import facts
from workflows.domain.limits import Place
from workflows.domain.policies import Policy

Cursor = psycopg.AsyncCursor[DictRow]


async def refusal_of_answer(cursor: Cursor, decision_id: str, units: int | None) -> str | None:
    """Why nobody may release this proposal, with these units instead of its own if any; None when somebody may."""
    await cursor.execute(
        """SELECT r.item, i.category, r.supplier, r.location, r.units, r.unit_cost
           FROM replenishment r JOIN item i USING (item) WHERE r.decision_id = %s""",
        [decision_id],
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    policy, currency = await facts.current_policy(cursor), await facts.setting(cursor, "currency", "EUR")
    refusal = _refusal(policy, row, units or row["units"], currency)
    if refusal is None:
        return None
    limits = policy.limits_for(_place(row))
    highest = None if limits.suggestion_only() else limits.review_value_limit
    most = 0 if highest is None else int(highest / row["unit_cost"])  # above it, so the unit costs something
    fewer = f"approve at most {most} units, " if most else ""
    return f"{refusal}: {fewer}reject it, or have the policy changed"


async def refusals_of_lines(cursor: Cursor, order: DictRow, lines: Sequence[DictRow]) -> dict[str, str]:
    """Need id -> why its line may not go out; `lines` have need_id, item, units and unit_cost."""
    policy = await facts.current_policy(cursor)
    await cursor.execute(
        "SELECT item, category FROM item WHERE item = ANY(%s)", [sorted({line["item"] for line in lines})]
    )
    categories = {row["item"]: row["category"] for row in await cursor.fetchall()}
    found = {}
    for line in lines:
        row = {**line, "category": categories[line["item"]], **{k: order[k] for k in ("supplier", "location")}}
        if refusal := _refusal(policy, row, line["units"], order["currency"]):
            found[line["need_id"]] = refusal
    return found


def _refusal(policy: Policy, row: DictRow, units: int, currency: str) -> str | None:
    limits, value = policy.limits_for(_place(row)), units * Decimal(row["unit_cost"])
    return limits.above_everybody(value, currency) or limits.suggestion_only()


def _place(row: DictRow) -> Place:
    return Place(row["item"], row["category"], row["supplier"], row["location"])

"""Whether people had the say that the policy gives them, by the policy's document and by what the supplier booked.

A policy is read here by its own rules: limits of the company, and overrides for an item, a category, a supplier or a
location. Of those that hold for a line, one that names the item goes before one that does not, then the one that names
more; among equals the strictest counts. What is judged is what left: by the policy in force when a request left, which
is what the send gate promises, whatever the policy was when the proposal was made.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.faults.checker import Evidence, Row

SCOPE = ("item", "category", "supplier", "location")
ALONE, NOBODY = "L3", "L1"
"""The autonomy of a policy that names none; and the one at which nothing of the engine's goes out."""
ASKS_ALWAYS = "L2"
RACE = timedelta(seconds=10)
"""A transaction that began before a policy was adopted may be recorded after it: so long is either one in force."""


def nothing_unapproved(evidence: Evidence) -> Iterator[str]:
    """I4. Of every order that the supplier has: who agreed, to which proposal, before it left, and was it enough?"""
    known = """SELECT r.*, i.category, p.document, f.firsts
               FROM replenishment r JOIN decision d USING (decision_id, revision) JOIN item i ON i.item = r.item
               JOIN policy_version p ON p.digest = d.policy_digest,
               LATERAL (SELECT count(*) AS firsts FROM evidence e,
                            jsonb_array_elements(convert_from(e.body, 'UTF8')::jsonb -> 'options') AS o
                        WHERE e.sha256 = d.inputs_sha256 AND o -> 'sourcing' ->> 'supplier' = r.supplier
                        AND NOT (o ->> 'ordered_before')::boolean) f"""
    proposals = {row["decision_id"]: row for row in evidence.rows(known)}
    approvals: dict[str, list[Row]] = defaultdict(list)
    given = "SELECT * FROM approval WHERE meaning IN ('approve', 'approve_edited') AND voided_at IS NULL"
    for row in evidence.rows(given):
        approvals[row["decision_id"]].append(row)
    people = {row["name"] for row in evidence.rows("SELECT name FROM person")}
    left: dict[str, list[str]] = defaultdict(list)
    for row in evidence.rows("SELECT stream, recorded_at AS at FROM ledger_entry WHERE type = 'order.sent'"):
        left[row["stream"].removeprefix("order:")].append(row["at"])
    adopted = evidence.rows("SELECT document, adopted_at FROM policy_version ORDER BY version")
    for order in evidence.booked():
        sent = sorted(left[order["order_id"]])
        if not sent:
            yield f"order {order['order_id']} is at the supplier, and the ledger has no word that it left"
        for line in order["lines"]:
            need = line["need_id"]
            proposal = proposals.get(need)
            if proposal is None:
                yield f"need {need} was ordered without a proposal"
                continue
            if proposal["tier"] == "auto" and proposal["units"] != line["units"]:
                yield f"need {need} was proposed with {proposal['units']} units and ordered with {line['units']}"
            valid = {
                one["actor"]: one for one in approvals[need]
                if one["actor"] in people and one["proposal_hash"] == proposal["proposal_hash"]
                and (one["units"] if one["units"] is not None else proposal["units"]) == line["units"]
                and _stamp(one["recorded_at"]) <= (sent[0] if sent else "")
            }  # fmt: skip
            if proposal["tier"] != "auto":
                needed = max((one["signatures_needed"] or 1 for one in valid.values()), default=1)
                if len(valid) < needed:
                    yield f"need {need} (tier {proposal['tier']}) was ordered with {len(valid)} of {needed} approvals"
                    continue
            # Which of several requests the supplier carried out is not known: one that was allowed is enough.
            refusals = [
                _refusal(limits_at(policy, proposal), proposal, line, len(valid))
                for at in sent
                for policy in _in_force(adopted, at) or [proposal["document"]]
            ]
            if refusals and None not in refusals:
                yield f"need {need} (tier {proposal['tier']}) {refusals[-1]}"


def limits_at(document: Any, place: Mapping[str, Any]) -> Row:
    """The limits that this policy sets for one place: of `item`, `category`, `supplier` and `location`."""
    policy = json.loads(bytes(document), parse_float=Decimal)
    matching = [
        override for override in policy.get("overrides", ())
        if all(override.get(name) is None or override[name] == place[name] for name in SCOPE)
    ]  # fmt: skip
    return {
        "auto_value_limit": _money(policy, matching, "auto_value_limit"),
        "review_value_limit": _money(policy, matching, "review_value_limit"),
        "four_eyes_above": _money(policy, matching, "four_eyes_above"),
        "four_eyes_for_new_supplier": any(_strongest(policy, matching, "four_eyes_for_new_supplier")),
        # L1 allows least: their names are in the order of what they allow.
        "autonomy": min(_strongest(policy, matching, "autonomy"), default=ALONE),
    }


def _refusal(limits: Row, proposal: Row, line: Row, signatures: int) -> str | None:
    """Why this line should not have left; None where it may have."""
    value = line["units"] * Decimal(str(line.get("unit_cost", proposal["unit_cost"])))
    if (most := limits["review_value_limit"]) is not None and value > most:
        return f"of {value} was ordered, and above {most} nobody may release"
    if limits["autonomy"] == NOBODY:
        return "was ordered, where the engine may only suggest"
    two = (limits["four_eyes_above"] is not None and value > limits["four_eyes_above"]) or (
        limits["four_eyes_for_new_supplier"] and proposal.get("firsts")
    )
    if two and signatures < 2:
        return f"of {value} was ordered with {signatures} of 2 signatures"
    if proposal["tier"] != "auto":
        return None
    if limits["autonomy"] == ASKS_ALWAYS:
        return "was ordered without a person, where one is asked about each order"
    if value > limits["auto_value_limit"]:
        return f"of {value} was ordered without a person, and the policy's limit is {limits['auto_value_limit']}"
    return None


def _in_force(adopted: list[Row], at: str) -> list[Any]:
    """The documents of which one was in force at this instant: more than one only where a change was just adopted."""
    moment = datetime.fromisoformat(at).astimezone(UTC)
    before = [row for row in adopted if row["adopted_at"] <= moment]
    return [
        row["document"] for row, after in zip(before, [*before, None][1:], strict=True)
        if after is None or after["adopted_at"] > moment - RACE
    ]  # fmt: skip


def _money(policy: Row, matching: list[Row], name: str) -> Decimal | None:
    return min((Decimal(str(value)) for value in _strongest(policy, matching, name)), default=None)


def _strongest(policy: Row, matching: list[Row], name: str) -> list[Any]:
    """What the most specific overrides say, all of them; else what the company says, if anything."""
    setting = [override for override in matching if override.get(name) is not None]
    if not setting:
        return [policy[name]] if policy.get(name) is not None else []
    rank = max(map(_rank, setting))
    return [override[name] for override in setting if _rank(override) == rank]


def _rank(override: Row) -> tuple[bool, int]:
    return override.get("item") is not None, sum(override.get(name) is not None for name in SCOPE)


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

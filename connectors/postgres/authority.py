"""Reads what an answer is about and who gives it, inside the transaction that stores it or lets an order go.

The rules themselves are in `workflows.domain.authority`.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import facts
from connectors.postgres.people import person_of
from workflows.domain import authority
from workflows.domain.authority import PolicyStep, Refusal, RefusalCode, Signature
from workflows.domain.errors import NotAllowed
from workflows.domain.limits import Limits, Place
from workflows.domain.people import Person
from workflows.domain.policies import Policy

Cursor = psycopg.AsyncCursor[DictRow]


class Matter(NamedTuple):
    """What an approval would let go: so many units of a proposal, by the policy in force."""

    decision_id: str
    place: Place
    units: int
    value: Decimal
    currency: str
    limits: Limits
    needs_two: str | None
    """Why two people must sign; None where one is enough."""
    policies: tuple[str, ...]
    """Digests of the policy in force and of the one that the decision was made by."""

    def nobody_may(self, unit_cost: Decimal) -> Refusal | None:
        """What the policy in force lets nobody release."""
        only_suggested = self.limits.suggestion_only()
        refusal = self.limits.above_everybody(self.value, self.currency) or only_suggested
        if refusal is None:
            return None
        highest = None if only_suggested else self.limits.review_value_limit
        most = 0 if highest is None else int(highest / unit_cost)  # above it, so the unit costs something
        fewer = f"approve at most {most} units, " if most else ""
        words = f"{refusal}: {fewer}reject it, or have the policy changed"
        return Refusal(RefusalCode.NOBODY_MAY, NotAllowed(words))


class Approving(NamedTuple):
    """What an approval comes to: refused, or stored as the last signature or the first of two."""

    refusal: Refusal | None = None
    completes: bool = True
    needed: int = 1
    outdated: str = ""
    """Why the first signature that stands does not count beside this one; empty where there is none or it does."""


async def approving(
    cursor: Cursor, decision_id: str, units: int | None, person: Person, first: DictRow | None
) -> Approving:
    """Judge an approval of these units (None: the proposal's own); `first` is the first signature that stands."""
    row = await _proposal(cursor, decision_id)
    policy, currency = await facts.current_policy(cursor), await facts.setting(cursor, "currency", "EUR")
    matter = await matter_of(cursor, row, row["units"] if units is None else units, policy, currency)
    refusal = (
        matter.nobody_may(row["unit_cost"])
        or authority.of_value(person, matter.value, matter.currency)
        or authority.of_author(person.name, matter.place, await _own_steps(cursor, person.name, matter.policies))
    )
    if refusal is not None:
        return Approving(refusal)
    signed, outdated = None, ""
    if first is not None:
        signed = Signature(first["actor"], row["units"] if first["units"] is None else first["units"])
        outdated = await _outdated(cursor, matter, signed)
    if matter.needs_two is None:
        return Approving(outdated=outdated)
    counted = None if outdated else signed
    if refusal := authority.of_signing(person, matter.place.location, counted, matter.units):
        return Approving(refusal)
    return Approving(completes=authority.completes(counted, matter.units, needs_two=True), needed=2, outdated=outdated)


async def matter_of(cursor: Cursor, row: DictRow, units: int, policy: Policy, currency: str) -> Matter:
    """What is asked about, by this policy."""
    place = Place(row["item"], row["category"], row["supplier"], row["location"])
    limits, value = policy.limits_for(place), units * Decimal(row["unit_cost"])
    new = limits.four_eyes_for_new_supplier and await _first_order(cursor, row["decision_id"])
    needs_two = limits.needs_two(value, currency, new_supplier=new)
    policies = (row["policy_digest"], policy.digest)
    return Matter(row["decision_id"], place, units, value, currency, limits, needs_two, policies)


async def _proposal(cursor: Cursor, decision_id: str) -> DictRow:
    await cursor.execute(
        """SELECT r.decision_id, r.item, i.category, r.supplier, r.location, r.units, r.unit_cost, d.policy_digest
           FROM replenishment r JOIN item i USING (item) JOIN decision d USING (decision_id, revision)
           WHERE r.decision_id = %s""",
        [decision_id],
    )
    row = await cursor.fetchone()
    assert row is not None, decision_id  # noqa: S101 - a task is of a proposal, and its row was locked
    return row


async def _first_order(cursor: Cursor, decision_id: str) -> bool:
    """Whether nothing had ever been ordered from the supplier when this was decided."""
    await cursor.execute(
        """SELECT EXISTS (
               SELECT 1 FROM jsonb_array_elements(convert_from(e.body, 'UTF8')::jsonb -> 'options') AS o
               WHERE o -> 'sourcing' ->> 'supplier' = r.supplier AND NOT (o ->> 'ordered_before')::boolean) AS new
           FROM replenishment r JOIN decision d USING (decision_id, revision)
           JOIN evidence e ON e.sha256 = d.inputs_sha256 WHERE r.decision_id = %s""",
        [decision_id],
    )
    row = await cursor.fetchone()
    return bool(row and row["new"])


async def _own_steps(cursor: Cursor, name: str, policies: Sequence[str]) -> list[PolicyStep]:
    """Changes that this person proposed or adopted, of the policies that the matter rests on."""
    await cursor.execute(
        """SELECT DISTINCT c.author, c.decided_by, b.document AS before, c.document AS after, c.number
           FROM policy_change c JOIN policy_version b ON b.digest = c.base_digest
           WHERE c.state = 'adopted' AND c.digest = ANY(%(digests)s)
             AND lower(btrim(%(name)s)) IN (lower(btrim(c.author)), lower(btrim(c.decided_by)))
           ORDER BY c.number DESC""",
        {"digests": list(policies), "name": name},
    )
    return [
        PolicyStep(
            before=Policy.model_validate_json(row["before"]), after=Policy.model_validate_json(row["after"]),
            author=row["author"], adopter=row["decided_by"],
        )
        for row in await cursor.fetchall()
    ]  # fmt: skip


async def _outdated(cursor: Cursor, matter: Matter, signed: Signature) -> str:
    """Why a first signature counts no more beside one for this matter; empty when it does."""
    if signed.units != matter.units:
        return "somebody signed for another quantity"
    return gone(await person_of(cursor, signed.actor), signed.actor, matter)


def gone(person: Person | None, name: str, matter: Matter) -> str:
    """Why somebody who signed may do so no more; empty when they may. It names nobody."""
    refusal = authority.of_person(person, name, matter.place.location)
    if refusal is None and person is not None:
        refusal = authority.of_value(person, matter.value, matter.currency)
    if refusal is None:
        return ""
    return _GONE.get(refusal.code, "may not approve it any more")


_GONE = {
    RefusalCode.UNKNOWN_PERSON: "is not known any more",
    RefusalCode.DISABLED: "was disabled since",
    RefusalCode.NO_PERMISSION: "may not approve any more",
    RefusalCode.OTHER_LOCATION: "does not approve for this location any more",
    RefusalCode.ABOVE_OWN_LIMIT: "may not approve as much any more",
}

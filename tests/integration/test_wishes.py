"""A person asks for a proposal from another supplier: the engine makes it, keeps to it, and says when it cannot."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from connectors.postgres.task_work import PostgresTaskWork
from tests.fakes.people import ADA
from tests.storeroom import LOCATION, MORNING, Storeroom, catalog, clock, counted, sold
from workflows.domain.approvals import Actor, Meaning
from workflows.domain.catalog import Catalog, Sourcing, Supplier
from workflows.domain.decisions import DecisionInputs, Proposal
from workflows.domain.errors import InvalidInput, StaleProposal
from workflows.domain.identity import digest
from workflows.domain.policies import Policy, RiskTier, RuleCode
from workflows.domain.rerun import rerun

NEED = "LEEDS:ITEM-001:1"
A = Actor(name=ADA.name)


def two_sellers(**second: Any) -> Catalog:
    """`acme`, and `swift`, who is dearer and sells in packs of 10."""
    found = catalog(1)
    terms = {"unit_cost": Decimal("4.90"), "pack_units": 10, "lead_time_days": 2, "rank": 2, **second}
    other = {"item": "ITEM-001", "location": LOCATION, "supplier": "swift", **terms}
    return found.model_copy(
        update={
            "suppliers": (*found.suppliers, Supplier(supplier="swift", name="Swift")),
            "sourcing": (*found.sourcing, Sourcing.model_validate(other)),
        }
    )


class Waiting:
    """A task for `acme` that waits, and the people at it."""

    def __init__(self, room: Storeroom) -> None:
        self.room, self.work = room, PostgresTaskWork(room.database)

    async def begin(self, document: Catalog, **policy: Any) -> None:
        await self.room.stock(document, Policy(**{"auto_value_limit": Decimal(1), **policy}))
        self.room.register(ADA)
        self.room.take(counted(9), clock())
        await self.room.assess()
        assert self.row["supplier"] == "acme"

    @property
    def row(self) -> Any:
        return self.room.one("SELECT * FROM replenishment WHERE decision_id = %s", NEED)

    @property
    def task(self) -> Any:
        return self.room.one("SELECT * FROM task WHERE decision_id = %s", NEED)

    def entries(self, *kinds: str) -> list[Any]:
        rows = self.room.rows(
            "SELECT type, actor, body FROM ledger_entry WHERE stream = %s AND type = ANY(%s) ORDER BY seq",
            NEED, list(kinds),
        )  # fmt: skip
        return [(row["type"], row["actor"], json.loads(row["body"])) for row in rows]

    async def decided(self) -> tuple[Any, DecisionInputs]:
        view = await self.room.desk.decision(NEED)
        return view.decision, DecisionInputs.model_validate(view.inputs)


@pytest.fixture
def waiting(storeroom: Storeroom) -> Waiting:
    return Waiting(storeroom)


async def test_the_next_proposal_is_from_the_supplier_that_was_asked_for(waiting: Waiting) -> None:
    await waiting.begin(two_sellers())
    seen = waiting.room.hash_of(NEED)
    assert await waiting.work.suppliers(NEED) == ("acme", "swift")

    await waiting.work.rescore(NEED, A, supplier="swift")
    assert waiting.room.relay.rescores_wanted() == [NEED]
    assert (await waiting.room.rescore(NEED)).ref.supplier == "swift"

    decision, inputs = await waiting.decided()
    assert isinstance(decision.result, Proposal)
    assert (decision.revision, decision.result.supplier, waiting.row["supplier"]) == (2, "swift", "swift")
    assert decision.result.units % 10 == 0
    assert decision.result.tier is RiskTier.REVIEW
    fired = {rule.code: rule.detail for rule in decision.result.rules}
    assert "swift and no other: at 4.90" in fired[RuleCode.SUPPLIER_ASKED_FOR]
    assert (inputs.wanted_supplier, [one.sourcing.supplier for one in inputs.options]) == ("swift", ["swift"])
    assert digest(inputs) == decision.inputs_digest
    assert rerun(decision, inputs, Policy(auto_value_limit=Decimal(1))).equal
    assert waiting.entries("task.rescore_asked") == [
        ("task.rescore_asked", "Ada", {"channel": "console", "supplier": "swift"})
    ]
    with pytest.raises(StaleProposal):
        await waiting.room.answer(NEED, actor=A, proposal_hash=seen)
    await waiting.room.answer(NEED, actor=A)
    assert (await waiting.room.orders.release(NEED, waiting.room.hash_of(NEED))).released
    assert waiting.room.one("SELECT supplier FROM purchase_order")["supplier"] == "swift"


async def test_a_person_is_asked_even_where_no_other_rule_would(waiting: Waiting) -> None:
    await waiting.begin(two_sellers(), auto_value_limit=Decimal(5_000))
    for supplier in ("acme", "swift"):
        waiting.room.connection.execute(
            """INSERT INTO observed_lead_time (reference, supplier, location, item, ordered_on, received_on, units)
               VALUES (%s, %s, 'LEEDS', 'ITEM-001', '2025-02-01', '2025-02-04', 500)""",
            [supplier, supplier],
        )
    await waiting.work.rescore(NEED, A, supplier="swift")
    await waiting.room.rescore(NEED)
    decision, _ = await waiting.decided()
    assert [rule.code for rule in decision.result.rules] == [RuleCode.SUPPLIER_ASKED_FOR]
    assert decision.result.tier is RiskTier.REVIEW


async def test_the_first_of_two_signatures_is_void_then(waiting: Waiting) -> None:
    await waiting.begin(two_sellers(), four_eyes_above=Decimal(1))
    assert not (await waiting.room.answer(NEED, actor=A)).complete
    await waiting.work.rescore(NEED, A, supplier="swift")
    await waiting.room.rescore(NEED)
    assert len(waiting.entries("approval.voided")) == 1
    assert waiting.task["first_signature_by"] is None


async def test_the_wish_stays_while_the_world_moves_until_it_is_taken_back(waiting: Waiting) -> None:
    await waiting.begin(two_sellers())
    await waiting.work.rescore(NEED, A, supplier="swift")
    await waiting.room.rescore(NEED)
    waiting.room.take(sold(5), clock(MORNING + timedelta(hours=1)))
    await waiting.room.rescore(NEED)
    assert (waiting.row["revision"], waiting.row["supplier"]) == (3, "swift")

    await waiting.work.rescore(NEED, A)
    await waiting.room.rescore(NEED)
    _, inputs = await waiting.decided()
    assert (waiting.row["revision"], waiting.row["supplier"]) == (4, "acme")
    assert (inputs.wanted_supplier, len(inputs.options)) == (None, 2)


async def test_only_who_may_be_asked_can_be_wished_for(waiting: Waiting) -> None:
    await waiting.begin(two_sellers())
    for name in ("nobody", "", "swift "):
        with pytest.raises(InvalidInput, match="who can: acme, swift"):
            await waiting.work.rescore(NEED, A, supplier=name)
    waiting.room.connection.execute("UPDATE supplier SET blocked = true WHERE supplier = 'swift'")
    with pytest.raises(InvalidInput, match=r"who can: acme$"):
        await waiting.work.rescore(NEED, A, supplier="swift")
    assert waiting.entries("task.rescore_asked") == []
    assert waiting.task["wanted_supplier"] is None


async def test_a_supplier_who_is_blocked_since_is_asked_no_more(waiting: Waiting) -> None:
    await waiting.begin(two_sellers())
    await waiting.work.rescore(NEED, A, supplier="swift")
    await waiting.room.rescore(NEED)
    waiting.room.connection.execute("UPDATE supplier SET blocked = true WHERE supplier = 'swift'")
    await waiting.room.rescore(NEED)
    assert (waiting.row["supplier"], waiting.task["state"]) == ("acme", "open")
    ((_, actor, body),) = waiting.entries("task.wish_dropped")
    assert (actor, body["supplier"]) == ("engine", "swift")
    assert waiting.task["wanted_supplier"] is None


async def test_a_wish_that_would_order_nothing_leaves_the_proposal_as_it_was(waiting: Waiting) -> None:
    await waiting.begin(two_sellers(minimum_order_units=90_000, pack_units=1))
    before = waiting.room.hash_of(NEED)
    await waiting.work.rescore(NEED, A, supplier="swift")
    told = waiting.room.relay
    for decision_id in told.rescores_wanted():
        told.rescore_told(decision_id)

    result = await waiting.room.rescore(NEED)

    assert (result.changed, result.ref.proposal_hash) == (False, before)
    assert (waiting.room.hash_of(NEED), waiting.task["state"], waiting.task["wanted_supplier"]) == (
        before, "open", None,
    )  # fmt: skip
    ((_, _, body),) = waiting.entries("task.wish_dropped")
    assert body["why"].endswith(".")
    assert told.rescores_wanted() == [NEED], "the need itself may be over: scored again without the wish"
    assert waiting.room.verified().ok


async def test_what_is_asked_for_while_the_workflow_is_told_is_told_too(waiting: Waiting) -> None:
    await waiting.begin(two_sellers())
    relay = waiting.room.relay
    await waiting.work.rescore(NEED, A)
    assert relay.rescores_wanted() == [NEED]
    await waiting.work.rescore(NEED, A, supplier="swift")
    relay.rescore_told(NEED)
    assert relay.rescores_wanted() == [NEED]
    relay.rescore_told(NEED)
    assert relay.rescores_wanted() == []


async def test_a_wish_changes_nothing_for_who_has_answered(waiting: Waiting) -> None:
    await waiting.begin(two_sellers())
    await waiting.work.rescore(NEED, A, supplier="swift")
    await waiting.room.answer(NEED, Meaning.REJECT, actor=A)
    assert (await waiting.room.rescore(NEED)).ref is None
    assert waiting.row["supplier"] == "acme"

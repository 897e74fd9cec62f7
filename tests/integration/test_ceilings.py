"""What nobody may release stays unreleased: not by an edited quantity, not by an answer that comes after the policy."""

import pytest

from connectors.postgres.policy_changes import PostgresPolicies
from console.policy_desk import PolicyDesk
from tests.storeroom import Storeroom, catalog, clock, counted
from workflows.domain.approvals import Actor, Meaning
from workflows.domain.errors import NotAllowed
from workflows.domain.orders import OrderState
from workflows.domain.policies import Policy

NEED, OTHER = "LEEDS:ITEM-001:1", "LEEDS:ITEM-002:1"
ORDER = "acme:LEEDS:2025-03-03:1"
LIMITED = Policy.model_validate(
    {"auto_value_limit": "0", "overrides": [{"item": "ITEM-001", "review_value_limit": 210}]}
)
"""50 units at 4.20."""


async def waiting(storeroom: Storeroom, policy: Policy = LIMITED) -> None:
    """Two tasks of 4.20 a unit."""
    await storeroom.stock(catalog(2), policy)
    storeroom.take(counted(9), counted(9, item="ITEM-002"), clock())
    await storeroom.assess()


async def tightened(storeroom: Storeroom, **limits: object) -> None:
    """A change of ITEM-001's limits, proposed and adopted."""
    desk = PolicyDesk(PostgresPolicies(storeroom.database))
    document = {"overrides": [{"item": "ITEM-001", **limits}]}
    change = await desk.propose(
        {**(await desk.policies.current()).policy.model_dump(), **document}, "less", Actor(name="ada")
    )
    await desk.answer(change.change_id, Actor(name="bob"), approve=True)


async def sent(storeroom: Storeroom) -> list[str]:
    """The needs whose lines pass the send gate."""
    order = await storeroom.orders.prepare(ORDER, passive=False)
    return [line.need_id for line in order.lines] if order else []


def refused_lines(storeroom: Storeroom) -> list[str]:
    """Why lines did not pass."""
    return [r["refused_reason"] for r in storeroom.rows("SELECT refused_reason FROM order_line ORDER BY need_id")]


async def test_an_edited_quantity_does_not_pass_a_limit_that_nobody_may_pass(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    with pytest.raises(NotAllowed, match=r"214.20 EUR is above 210.00, .* for item ITEM-001: approve at most 50 units"):
        await storeroom.answer(NEED, Meaning.APPROVE_EDITED, units=51)
    assert (await storeroom.desk.tasks())[0].state == "open", "it waits on"
    (entry,) = storeroom.rows("SELECT stream FROM ledger_entry WHERE type = 'verdict.refused'")
    assert entry["stream"] == NEED
    assert (await storeroom.answer(NEED, Meaning.APPROVE_EDITED, units=50)).units == 50
    assert (await storeroom.answer(OTHER, Meaning.APPROVE_EDITED, units=5_000)).units == 5_000, "it has no such limit"


@pytest.mark.parametrize("limits", [{"review_value_limit": "10", "auto_value_limit": "0"}, {"autonomy": "L1"}])
async def test_an_answer_is_held_against_the_policy_that_is_in_force_when_it_comes(
    storeroom: Storeroom, limits: dict[str, str]
) -> None:
    await waiting(storeroom)
    await tightened(storeroom, **limits)
    with pytest.raises(NotAllowed, match="or have the policy changed"):
        await storeroom.answer(NEED)
    await storeroom.answer(OTHER)
    await storeroom.answer(NEED, Meaning.REJECT)


@pytest.mark.parametrize("limits", [{"review_value_limit": "10", "auto_value_limit": "0"}, {"autonomy": "L1"}])
async def test_the_send_gate_asks_the_policy_in_force_again(storeroom: Storeroom, limits: dict[str, str]) -> None:
    await waiting(storeroom)
    for one in (NEED, OTHER):
        await storeroom.answer(one)
        assert (await storeroom.orders.release(one, storeroom.hash_of(one))).released
    await tightened(storeroom, **limits)
    assert await sent(storeroom) == [OTHER]
    assert [bool(reason) for reason in refused_lines(storeroom)] == [True, False]
    refused = storeroom.rows("SELECT stream FROM ledger_entry WHERE type = 'order.line_refused'")
    assert [row["stream"] for row in refused] == [NEED]
    assert storeroom.position()["on_order_units"] == 0
    assert storeroom.verified().ok


@pytest.mark.parametrize(
    ("limits", "why"), [({"autonomy": "L2"}, "a person approves each order"), ({"auto_value_limit": "1"}, "above 1.00")]
)
async def test_what_nobody_was_asked_about_does_not_leave_once_somebody_has_to_be(
    storeroom: Storeroom, limits: dict[str, str], why: str
) -> None:
    free = {"new_item_asks": False, "new_supplier_asks": False, "little_history_asks": False}
    await waiting(storeroom, Policy.model_validate({**free, "auto_value_limit": "100000", "soon_risk_limit": "1"}))
    assert storeroom.rows("SELECT DISTINCT tier, state FROM replenishment") == [{"tier": "auto", "state": "proposed"}]
    for one in (NEED, OTHER):
        assert (await storeroom.orders.release(one, storeroom.hash_of(one))).released
    await tightened(storeroom, **limits)
    assert await sent(storeroom) == [OTHER]
    (refusal,) = [reason for reason in refused_lines(storeroom) if reason]
    assert why in refusal
    assert "for item ITEM-001" in refusal
    assert storeroom.position()["on_order_units"] == 0, "it is needed again, and then a person is asked"


async def test_units_that_were_slipped_past_the_answer_do_not_pass_the_send_gate(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    await storeroom.answer(NEED, Meaning.APPROVE_EDITED, units=50)
    assert (await storeroom.orders.release(NEED, storeroom.hash_of(NEED))).released
    storeroom.connection.execute("UPDATE approval SET units = 60")
    storeroom.connection.execute("UPDATE order_line SET units = 60")
    assert await sent(storeroom) == []
    assert await storeroom.orders.state(ORDER) is OrderState.EMPTY

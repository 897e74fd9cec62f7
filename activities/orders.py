"""Does ordering: releases lines, and places an order once, however often that runs."""

from uuid import uuid4

from temporalio import activity

from activities.sending import LeaseLost, Sender, ended
from workflows.domain.errors import Unavailable
from workflows.domain.orders import OrderRef, OrderState, PlacementResult, Suppliers
from workflows.domain.permits import SendPermits, Unlimited
from workflows.domain.ports import Orders, ReleaseResult


class OrderActivities:
    """Releases and places. What an attempt may do about a lost answer is the connector's manifest's to say."""

    def __init__(
        self,
        orders: Orders,
        suppliers: Suppliers,
        *,
        passive: bool,
        lease_seconds: int,
        permits: SendPermits | None = None,
    ) -> None:
        self._orders = orders
        self._suppliers = suppliers
        self._passive = passive
        self._lease_seconds = lease_seconds
        self._permits: SendPermits = permits or Unlimited()

    @activity.defn
    async def release(self, decision_id: str, proposal_hash: str) -> ReleaseResult:
        """Put an authorised proposal on its purchase order."""
        return await self._orders.release(decision_id, proposal_hash)

    @activity.defn
    async def close_rejected(self, decision_id: str) -> bool:
        """Close the need of a rejected proposal."""
        return await self._orders.close_rejected(decision_id)

    @activity.defn
    async def order_state(self, order_id: str) -> OrderState:
        """Where the order is."""
        return await self._orders.state(order_id)

    @activity.defn
    async def await_operator(self, order_id: str) -> None:
        """Note that the order could not be placed for so long that a person must look."""
        await self._orders.await_operator(order_id)

    @activity.defn
    async def place(self, ref: OrderRef) -> PlacementResult:
        """Place the order, reconciling first whenever an earlier request may have been carried out.

        Raises:
            OutcomeUnknown: nobody knows yet; the order is in doubt, and the next attempt looks before it sends.
            Unavailable: nothing was sent, or another attempt is at it.
            PersonNeeded: nothing more happens by itself.
        """
        order = await self._orders.prepare(ref.order_id, passive=self._passive, manifest=self._suppliers.manifest)
        if order is None:
            return await self._nothing_to_send(ref.order_id)
        lease = _lease_token()
        attempt = await self._orders.begin_attempt(ref.order_id, lease, self._lease_seconds)
        if attempt is None:
            raise Unavailable(f"another attempt holds order {ref.order_id}")
        sender = Sender(
            self._orders, self._suppliers, self._permits, order, attempt, lease, passive=self._passive
        )  # fmt: skip
        try:
            return ended(await sender.carry())
        except LeaseLost:
            return ended(await self._nothing_to_send(ref.order_id))

    async def _nothing_to_send(self, order_id: str) -> PlacementResult:
        """Why: the order is over, or a stop switch holds it.

        Raises:
            Unavailable: neither; another attempt has its lease, or the switch was lifted this moment.
        """
        held = await self._orders.held(order_id)
        state = await self._orders.state(order_id)
        if not state.may_leave:
            return PlacementResult(order_id=order_id, state=state)
        if held is None:
            raise Unavailable(f"nothing may be sent for order {order_id} by this attempt; the next one looks again")
        return PlacementResult(order_id=order_id, state=state, reason=held.reason, held=True)


def _lease_token() -> str:
    """Names this attempt. Unlike an order's key it must differ between attempts, so that a zombie is recognised."""
    info = activity.info()
    # An attempt within a workflow's own step is repeated under the same numbers: each execution has its own name.
    return f"{info.workflow_run_id}/{info.activity_id}/{info.attempt}/{uuid4().hex[:12]}"

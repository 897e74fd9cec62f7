"""Does ordering: releases lines, and places an order once, however often that runs."""

from temporalio import activity

from workflows.domain.errors import OutcomeUnknown, SupplierRefused, Unavailable
from workflows.domain.orders import OrderRef, OrderState, PlacementResult, PurchaseOrder, SupplierAnswer, Suppliers
from workflows.domain.ports import Orders, ReleaseResult


class OrderActivities:
    """Releases and places. `settle_seconds` is how long a request that was lost sight of may still be carried out:
    the supplier's longest transaction plus our HTTP timeout."""

    def __init__(
        self, orders: Orders, suppliers: Suppliers, *, passive: bool, settle_seconds: float, lease_seconds: int
    ) -> None:
        self._orders = orders
        self._suppliers = suppliers
        self._passive = passive
        self._settle_seconds = settle_seconds
        self._lease_seconds = lease_seconds

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
        """
        order = await self._orders.prepare(ref.order_id, passive=self._passive)
        if order is None:
            return await self._nothing_to_send(ref.order_id)
        lease = _lease_token()
        if await self._orders.begin_attempt(ref.order_id, lease, self._lease_seconds) is None:
            raise Unavailable(f"another attempt holds order {ref.order_id}")
        found = await self._reconcile(order, lease)
        if found is not None:
            return await self._placed(order, lease, found)
        return await self._send(order, lease)

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

    async def _reconcile(self, order: PurchaseOrder, lease: str) -> SupplierAnswer | None:
        """What an earlier request left at the supplier. None only when sending is safe."""
        ago = await self._orders.seconds_since_last_send(order.order_id)
        if ago is None:
            return None
        try:
            found = await self._suppliers.find(order.supplier, order.key)
        except Unavailable:
            await self._orders.record_in_doubt(order.order_id, lease, "the supplier cannot be asked")
            raise
        if found is None and ago < self._settle_seconds:
            # A request that we lost sight of may still be on its way in; "absent" counts only once it cannot be.
            reason = f"absent {ago:.0f} s after sending; that counts after {self._settle_seconds:.0f} s"
            await self._orders.record_in_doubt(order.order_id, lease, reason)
            raise OutcomeUnknown(f"order {order.order_id}: {reason}")
        return found

    async def _send(self, order: PurchaseOrder, lease: str) -> PlacementResult:
        # Hours may have passed since it was prepared: what may not be ordered any more must not leave.
        leaving = await self._orders.about_to_send(order.order_id, lease, passive=self._passive)
        if leaving is None:
            return _ended(await self._nothing_to_send(order.order_id))
        try:
            answer = await self._suppliers.place(leaving)
        except SupplierRefused as refused:
            return _ended(await self._orders.record_refused(order.order_id, lease, str(refused)))
        except OutcomeUnknown as unknown:
            await self._orders.record_in_doubt(order.order_id, lease, str(unknown))
            raise
        except Unavailable:
            await self._orders.end_attempt(order.order_id, lease)
            raise
        return await self._placed(order, lease, answer)

    async def _placed(self, order: PurchaseOrder, lease: str, answer: SupplierAnswer) -> PlacementResult:
        return _ended(
            await self._orders.record_placed(order.order_id, lease, answer.supplier_number, answer.promised_at)
        )


def _ended(result: PlacementResult) -> PlacementResult:
    """The result, unless this attempt lost the order to another one before it could note the supplier's answer."""
    if result.state in {OrderState.SENDING, OrderState.IN_DOUBT} and not result.held:
        raise Unavailable(f"another attempt took over order {result.order_id}; what it finds counts")
    return result


def _lease_token() -> str:
    """Names this attempt. Unlike an order's key it must differ between attempts, so that a zombie is recognised."""
    info = activity.info()
    return f"{info.workflow_run_id}/{info.activity_id}/{info.attempt}"

"""One purchase order: lines join in Postgres, and at cutoff it is placed once, acknowledged and received."""

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Final

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    FailureError,
    is_cancelled_exception,
)

from workflows.domain.orders import OrderRef, OrderState, PlacementResult
from workflows.naming import DECISION_STATE
from workflows.options import DATABASE, EXTERNAL_WRITE, WRITE_AT_ONCE, WRITE_PAUSE
from workflows.swiftly import transacted
from workflows.waiting import BusinessClock

with workflow.unsafe.imports_passed_through():
    from activities.orders import OrderActivities
    from activities.placing import PlacingAtOnce

HELD: Final = "held"
"""What the search attribute says while a stop switch holds an order."""
OPERATOR_IS_NOTED: Final = "operator-is-noted"
"""Orders that wait for an operator are noted in Postgres since this patch."""
NEEDS_OPERATOR: Final = "needs_operator"
"""What the search attribute says while an order waits for an operator; the order itself keeps its own state."""


@workflow.defn(name="purchasing")
class PurchasingWorkflow:
    """Carries one order. Its lines are read from Postgres at cutoff, never from messages."""

    @workflow.init
    def __init__(self, ref: OrderRef) -> None:
        self._clock = BusinessClock(ref.clock, ref.clock_lag_seconds)
        self._settled = False
        self._try_again = False
        self._at_once = ref.brief

    @workflow.run
    async def run(self, ref: OrderRef) -> PlacementResult:
        """Wait for the cutoff, place the order, and stay until everything that will come has come."""
        if not ref.due:
            await self._clock.wait_until(ref.cutoff_at)
        result = await self._place(ref)
        self._show(result.state)
        if result.state is OrderState.PLACED:
            await workflow.wait_condition(lambda: self._settled)
            state = await transacted(OrderActivities.order_state, ref.order_id, brief=ref.brief)
            self._show(state)
            result = result.model_copy(update={"state": state})
        return result

    @workflow.signal
    def tick(self, watermark: datetime) -> None:
        """The business clock reached the cutoff."""
        self._clock.tick(watermark)

    @workflow.signal
    def settled(self) -> None:
        """Nothing more is outstanding, said the events."""
        self._settled = True

    @workflow.signal
    def try_again(self) -> None:
        """An operator has looked at an order that could not be placed, or the switch that held it was lifted:
        reconcile and go on."""
        self._try_again = True

    async def _place(self, ref: OrderRef) -> PlacementResult:
        """Place it, however long that takes. When patience ends the order stays visible, and a person resumes it; at a
        stop switch it waits until the switch is lifted.

        Cancelling the workflow ends the patience too, and nothing more: an order that may have left is not abandoned.
        """
        while True:
            try:
                result = await self._attempt(ref)
                if not result.held:
                    return result
                workflow.logger.info("order %s is held: %s", ref.order_id, result.reason)
                self._show(HELD)
            except FailureError:
                workflow.logger.warning("order %s could not be placed; it waits for an operator", ref.order_id)
                self._show(NEEDS_OPERATOR)
                if workflow.patched(OPERATOR_IS_NOTED):
                    with suppress(ActivityError):  # cancelled once more: what is not noted still waits
                        await workflow.execute_activity_method(OrderActivities.await_operator, ref.order_id, **DATABASE)
            await workflow.wait_condition(lambda: self._try_again)
            self._try_again = False
            self._show(OrderState.SENDING)

    async def _attempt(self, ref: OrderRef) -> PlacementResult:
        """The first one within this workflow's own step; if that did not place it, with the patience of the queue."""
        at_once, self._at_once = self._at_once, False
        if at_once:
            try:
                placed: PlacementResult | None = await workflow.execute_local_activity_method(
                    PlacingAtOnce.place_at_once, ref, **WRITE_AT_ONCE
                )
            except FailureError as error:
                if is_cancelled_exception(error) or (isinstance(error, ApplicationError) and error.non_retryable):
                    raise
                await self._breathe(error)
            else:
                if placed is not None:
                    return placed
        return await workflow.execute_activity_method(OrderActivities.place, ref, **EXTERNAL_WRITE)

    @staticmethod
    async def _breathe(error: FailureError) -> None:
        """As long as the queue waits between a first attempt and a second one.

        Raises:
            CancelledError: as an attempt that is cancelled does, so that the order is not abandoned.
        """
        told = error.next_retry_delay if isinstance(error, ApplicationError) else None
        try:
            await workflow.sleep(told or WRITE_PAUSE)
        except asyncio.CancelledError:
            raise CancelledError("cancelled between two attempts") from None

    @staticmethod
    def _show(state: str) -> None:
        workflow.upsert_search_attributes([DECISION_STATE.value_set(state)])

"""Keeps purchase orders: lines join while an order collects, the send gate authorises each, attempts carry a lease."""

from datetime import datetime

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import cycles, releasing, requests, stops
from connectors.postgres.authorising import authorised, settle
from connectors.postgres.pool import Database
from workflows.domain.capabilities import Manifest
from workflows.domain.orders import OrderState, PlacementResult, PurchaseOrder
from workflows.domain.ports import ReleaseResult
from workflows.domain.requests import Attempt, Request, RequestKind, Step
from workflows.domain.stops import Held

Cursor = psycopg.AsyncCursor[DictRow]


class PostgresOrders:
    """The `Orders` port."""

    def __init__(self, database: Database, *, at_once: bool = False) -> None:
        """`at_once`: orders wait for no cutoff."""
        self._database = database
        self._at_once = at_once

    async def release(self, decision_id: str, proposal_hash: str) -> ReleaseResult:
        async with self._database.transaction("orders.release") as cursor:
            return await releasing.release(cursor, decision_id, proposal_hash, at_once=self._at_once)

    async def close_rejected(self, decision_id: str) -> bool:
        async with self._database.transaction("orders.close_rejected") as cursor:
            return await releasing.close_rejected(cursor, decision_id)

    async def prepare(self, order_id: str, *, passive: bool, manifest: Manifest | None = None) -> PurchaseOrder | None:
        async with self._database.transaction("orders.prepare") as cursor:
            order = await cycles.lock(cursor, order_id)
            state = OrderState(order["state"])
            never_sent = state is OrderState.COLLECTING or (state is OrderState.SENDING and order["attempts"] == 0)
            if not never_sent:
                resend = state in {OrderState.SENDING, OrderState.IN_DOUBT}
                return PurchaseOrder.model_validate_json(order["payload"]) if resend else None
            if not passive and await stops.hold(cursor, order):
                return None
            payload = await authorised(cursor, order, manifest)
            if payload is not None and passive:
                await settle(cursor, order, OrderState.WITHHELD, requests.WITHHELD)
                return None
            return payload

    async def state(self, order_id: str) -> OrderState:
        return OrderState((await self._read(order_id))["state"])

    async def request(self, order_id: str) -> Request:
        return requests.request_of(await self._read(order_id))

    async def held(self, order_id: str) -> Held | None:
        async with self._database.reading() as cursor:
            return await stops.held(cursor, order_id)

    async def await_operator(self, order_id: str) -> None:
        async with self._database.transaction("orders.await_operator") as cursor:
            await stops.await_operator(cursor, await cycles.lock(cursor, order_id))

    async def begin_attempt(self, order_id: str, lease_token: str, lease_seconds: int) -> Attempt | None:
        async with self._database.transaction("orders.begin_attempt") as cursor:
            return await requests.take(cursor, order_id, lease_token, lease_seconds)

    async def about_to_send(
        self,
        order_id: str,
        lease_token: str,
        *,
        passive: bool,
        kind: RequestKind = RequestKind.SEND,
        draft: str | None = None,
        holds: str | None = None,
    ) -> PurchaseOrder | None:
        async with self._database.transaction("orders.about_to_send") as cursor:
            return await requests.leave(
                cursor, order_id, lease_token, passive=passive, kind=kind, draft=draft, holds=holds
            )

    async def about_to_look(self, order_id: str, lease_token: str) -> bool:
        async with self._database.transaction("orders.about_to_look") as cursor:
            return await requests.look(cursor, order_id, lease_token)

    async def note(self, order_id: str, lease_token: str, request: Request, outcome: str, said: str = "") -> bool:
        async with self._database.transaction("orders.note") as cursor:
            return await requests.note(cursor, order_id, lease_token, request, outcome, said)

    async def give_back(self, order_id: str, lease_token: str) -> None:
        async with self._database.transaction("orders.give_back") as cursor:
            await requests.give_back(cursor, order_id, lease_token)

    async def end_attempt(self, order_id: str, lease_token: str, said: str = "") -> None:
        async with self._database.transaction("orders.end_attempt") as cursor:
            await requests.not_carried_out(cursor, order_id, lease_token, said)

    async def record_placed(
        self,
        order_id: str,
        lease_token: str,
        supplier_number: str,
        promised_at: datetime | None,
        rests_on: str = "the supplier's answer",
    ) -> PlacementResult:
        async with self._database.transaction("orders.record_placed") as cursor:
            order, ours = await requests.locked(cursor, order_id, lease_token)
            if not ours:
                return requests.result_of(order)
            body = {"n": order["requests"], "rests_on": rests_on}
            state = await requests.placed(cursor, order, supplier_number, promised_at, body)
            await requests.answered(cursor, order_id, lease_token, "confirmed", supplier_number)
            return PlacementResult(order_id=order_id, state=state, supplier_number=supplier_number)

    async def record_refused(self, order_id: str, lease_token: str, reason: str) -> PlacementResult:
        async with self._database.transaction("orders.record_refused") as cursor:
            order, ours = await requests.locked(cursor, order_id, lease_token)
            if not ours or order["request"] != "sending":
                return requests.result_of(order)
            said = reason[: requests.MAX_REASON]
            await settle(cursor, order, OrderState.REFUSED, said)
            await requests.answered(cursor, order_id, lease_token, "rejected", said)
            return PlacementResult(order_id=order_id, state=OrderState.REFUSED, reason=said)

    async def record_in_doubt(
        self, order_id: str, lease_token: str, reason: str, open_requests: int | None = None
    ) -> None:
        async with self._database.transaction("orders.record_in_doubt") as cursor:
            await requests.in_doubt(cursor, order_id, lease_token, reason, open_requests)

    async def ask_person(self, order_id: str, lease_token: str, step: Step) -> None:
        async with self._database.transaction("orders.ask_person") as cursor:
            await requests.asks(cursor, order_id, lease_token, step)

    async def _read(self, order_id: str) -> DictRow:
        async with self._database.reading() as cursor:
            return await cycles.read(cursor, order_id)

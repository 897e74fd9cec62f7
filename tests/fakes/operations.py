"""The operators' desk, the stop switches, the arrivals and the health of the shop in memory."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.fakes.desk import MemoryShop
from tests.fakes.once import Once
from tests.fakes.redrives import MemoryRedrives
from workflows.domain.approvals import Actor
from workflows.domain.arrivals import EventRow, Rate, Rates, masked
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.health import ClockAge, Facts, PartitionLag, Pile, ProcessSeen, Reason, TableSize
from workflows.domain.identity import digest
from workflows.domain.operations import (
    Attention,
    DeadLetterPage,
    DeadLetterRow,
    OrderDone,
    OrderFilters,
    OrderLineRow,
    OrderRow,
    OrdersPage,
    OrdersRetried,
    OrderView,
    WaitingOrders,
)
from workflows.domain.order_steps import steps, why_not_close
from workflows.domain.orders import OrderState
from workflows.domain.stops import Held, Stop, StopCommand, StopScope, why_held


class MemoryStops:
    """`Stops` in memory."""

    def __init__(self, shop: MemoryShop) -> None:
        self._shop = shop
        self._once = Once()
        self.all: list[Stop] = []

    async def in_force(self) -> list[Stop]:
        now = datetime.now(UTC)
        return [one for one in self.all if one.lifted_at is None and (one.ends_at is None or one.ends_at > now)]

    async def history(self, *, limit: int = 100, after: str | None = None) -> list[Stop]:
        newest = self.all[::-1]
        if after is not None:
            places = [n for n, one in enumerate(newest, 1) if one.stop_id == after]
            if not places:
                raise InvalidInput(f"after: there is no stop {after}")
            newest = newest[places[0] :]
        return newest[:limit]

    async def stop(self, command: StopCommand, actor: Actor, *, command_id: str | None = None) -> Stop:
        asked = {"do": "stop", "by": actor.name, **command.model_dump(mode="json")}
        if command.ends_at is not None and command.ends_at <= datetime.now(UTC):
            raise InvalidInput("a pause ends in the future, and this one is over")
        if before := self._once.answered(command_id, asked):
            return before  # type: ignore[no-any-return]
        known = {
            StopScope.LOCATION: {"LEEDS", "YORK"}, StopScope.SUPPLIER: {"northern-foods", "acme"},
            StopScope.ORDER: {order["order_id"] for order in self._shop.orders},
        }  # fmt: skip
        if command.scope in known and command.subject not in known[command.scope]:
            raise NotFound(f"there is no {command.scope} {command.subject}")
        same = [one for one in self.all if (one.scope, one.subject) == (command.scope, command.subject)]
        standing = next((one for one in same if one.lifted_at is None), None)
        if standing is None:
            name = ":".join(part for part in (command.scope, command.subject, str(len(same) + 1)) if part)
            standing = Stop(
                stop_id=name, **command.model_dump(), stopped_by=actor.name, stopped_via=actor.channel,
                stopped_at=self._shop.clock,
            )  # fmt: skip
            self.all.append(standing)
        return self._once.keep(command_id, asked, standing)  # type: ignore[no-any-return]

    async def lift(self, stop_id: str, reason: str, actor: Actor, *, command_id: str | None = None) -> Stop:
        asked = {"do": "lift", "by": actor.name, "stop": stop_id, "reason": reason}
        if before := self._once.answered(command_id, asked):
            return before  # type: ignore[no-any-return]
        place = next((n for n, one in enumerate(self.all) if one.stop_id == stop_id), None)
        if place is None:
            raise NotFound(f"there is no stop {stop_id}")
        if self.all[place].lifted_at is None:
            told = {"lifted_by": actor.name, "lifted_reason": reason, "lifted_at": self._shop.clock}
            self.all[place] = self.all[place].model_copy(update=told)
        return self._once.keep(command_id, asked, self.all[place])  # type: ignore[no-any-return]


class MemoryOperations(MemoryRedrives):
    """`Operations` over the shop's orders and dead letters. `awaiting` and `open_requests` are a test's to set."""

    def __init__(self, shop: MemoryShop, stops: MemoryStops) -> None:
        super().__init__(shop)
        self._stops = stops
        self.awaiting: set[str] = set()
        self.open_requests: set[str] = set()
        self.attended: dict[str, str] = {}
        self.woken: list[str] = []

    async def orders(self, filters: OrderFilters, *, limit: int = 100, after: str | None = None) -> OrdersPage:
        rows = [self._row(order) for order in self._shop.orders]
        rows = [row for row in rows if self._fits(row, filters)]
        rows.sort(key=lambda row: row.order_id)
        rows.sort(key=lambda row: row.cutoff_at, reverse=True)
        if after is not None:
            places = [n for n, row in enumerate(rows, 1) if row.order_id == after]
            if not places and all(order["order_id"] != after for order in self._shop.orders):
                raise InvalidInput(f"after: there is no order {after}")
            rows = rows[places[0] :] if places else []
        shown = rows[:limit]
        return OrdersPage(orders=tuple(shown), next=shown[-1].order_id if len(rows) > limit else None)

    async def order(self, order_id: str) -> OrderView:
        row = self._row(self._order(order_id))
        refusal = why_not_close(row.state, open_requests=int(order_id in self.open_requests), leased=False)
        sent = row.state not in {OrderState.COLLECTING, OrderState.EMPTY}
        line = OrderLineRow(
            need_id="LEEDS:OAT-1L:1", item="OAT-1L", item_name="Oat drink, 1 l", units=row.units,
            unit_cost=Decimal("4.20"),
        )  # fmt: skip
        view = OrderView(
            order=row, lines=(line,), steps=(), approved_at=self._shop.clock - timedelta(hours=3),
            last_sent_at=self._shop.clock - timedelta(hours=1) if sent else None,
            can_retry=order_id in self.awaiting, can_close=not refusal, why_not_close=refusal,
            can_attend=row.state is OrderState.REFUSED and row.attended_by is None,
        )  # fmt: skip
        return view.model_copy(update={"steps": steps(view)})

    async def retry(self, order_id: str, actor: Actor, *, command_id: str | None = None) -> OrderDone:
        asked = {"do": "retry", "by": actor.name, "order": order_id}
        if before := self._once.answered(command_id, asked):
            return before  # type: ignore[no-any-return]
        state = self._row(self._order(order_id)).state
        if order_id not in self.awaiting:
            raise Conflict(f"nothing waits for an operator: the order {order_id} is {state}")
        self.woken.append(order_id)
        done = OrderDone(order_id=order_id, state=state, done="it is looked for at the supplier")
        return self._once.keep(command_id, asked, done)  # type: ignore[no-any-return]

    async def retry_waiting(
        self, which: WaitingOrders, actor: Actor, *, command_id: str | None = None
    ) -> OrdersRetried:
        asked = {"do": "retry waiting", "by": actor.name, **which.model_dump()}
        if before := self._once.answered(command_id, asked):
            return before  # type: ignore[no-any-return]
        rows = [self._row(self._order(order_id)) for order_id in sorted(self.awaiting - set(self.woken))]
        wanted = [
            row.order_id for row in rows
            if which.supplier in ("", row.supplier) and which.location in ("", row.location)
        ]  # fmt: skip
        self.woken += wanted
        return self._once.keep(command_id, asked, OrdersRetried(orders=len(wanted)))  # type: ignore[no-any-return]

    async def close_unordered(
        self, order_id: str, reason: str, actor: Actor, *, command_id: str | None = None
    ) -> OrderDone:
        asked = {"do": "close", "by": actor.name, "order": order_id, "reason": reason}
        if before := self._once.answered(command_id, asked):
            return before  # type: ignore[no-any-return]
        order = self._order(order_id)
        refusal = why_not_close(
            OrderState(order["state"]), open_requests=int(order_id in self.open_requests), leased=False
        )
        if refusal:
            raise Conflict(f"the order {order_id} cannot be closed as not ordered: {refusal}")
        words = f"closed as not ordered by {actor.name}: {reason}"
        order |= {"state": "empty", "reason": words}
        done = OrderDone(order_id=order_id, state=OrderState.EMPTY, done=words)
        return self._once.keep(command_id, asked, done)  # type: ignore[no-any-return]

    async def attend(self, order_id: str, actor: Actor, *, command_id: str | None = None) -> OrderDone:
        state = self._row(self._order(order_id)).state
        if state is not OrderState.REFUSED:
            raise Conflict(f"only a refused order is marked as seen: the order {order_id} is {state}")
        seen_by = self.attended.setdefault(order_id, actor.name)
        return OrderDone(order_id=order_id, state=state, done=f"seen by {seen_by}")

    async def dead_letters(
        self, *, reason: str = "", waiting: bool = False, limit: int = 100, after: int | None = None
    ) -> DeadLetterPage:
        rows = [
            DeadLetterRow.model_validate({"bytes": 120, "redrive": self.newest(one["dead_letter_id"]), **one})
            for one in self._shop.dead_letters
        ]
        rows = [row for row in rows if row.dead_letter_id < (after or 2**63) and reason in ("", row.error_code)]
        rows = [row for row in rows if not waiting or row.redriven_at is None]
        rows.sort(key=lambda row: -row.dead_letter_id)
        shown = rows[:limit]
        return DeadLetterPage(dead_letters=tuple(shown), next=shown[-1].dead_letter_id if len(rows) > limit else None)

    def _order(self, order_id: str) -> dict[str, Any]:
        found = next((one for one in self._shop.orders if one["order_id"] == order_id), None)
        if found is None:
            raise NotFound(f"there is no order {order_id}")
        return found

    def _row(self, order: dict[str, Any]) -> OrderRow:
        held = None
        for stop in self._stops.all:
            subject = {
                StopScope.EVERYTHING: "", StopScope.SUPPLIER: order["supplier"],
                StopScope.LOCATION: order["location"], StopScope.ORDER: order["order_id"],
            }.get(stop.scope)  # fmt: skip
            if stop.lifted_at is None and subject == stop.subject and order["state"] == "collecting":
                reason = why_held(stop.scope, stop.subject, stop.reason)
                held = Held(order_id=order["order_id"], stop_id=stop.stop_id, reason=reason, over_cap=stop.over_cap)
        return OrderRow.model_validate({
            "cutoff_at": self._shop.clock, "key": digest(order["order_id"]), **order, "held": held,
            "attended_by": self.attended.get(order["order_id"]),
            "awaits_operator_at": self._shop.clock if order["order_id"] in self.awaiting else None,
        })  # fmt: skip

    @staticmethod
    def _fits(row: OrderRow, filters: OrderFilters) -> bool:
        failed = row.state in {OrderState.REFUSED, OrderState.IN_DOUBT} and row.attended_by is None
        matters = {
            Attention.FAILED: failed or row.awaits_operator_at is not None,
            Attention.AWAITS_OPERATOR: row.awaits_operator_at is not None,
            Attention.HELD: row.held is not None,
            Attention.OVERDUE: row.state.may_leave and row.held is None,
        }
        wanted = filters.state
        fits = wanted is None or (matters[wanted] if isinstance(wanted, Attention) else row.state is wanted)
        return fits and filters.supplier in ("", row.supplier) and filters.location in ("", row.location)


class MemoryArrivals:
    """`Arrivals`: a handful of events, more when a test puts them there."""

    def __init__(self, shop: MemoryShop) -> None:
        self._shop = shop
        self.rows = [self.event(n) for n in range(3)]

    def event(self, number: int, **more: Any) -> EventRow:
        """A sale."""
        data = {"item": "OAT-1L", "location": "LEEDS", "sale_id": "till 4, Mrs Ada", "units": 2, "unit_price": "1.99"}
        return EventRow.model_validate({
            "source": "urn:till", "event_id": f"e-{number}", "type": "quartermaster.sale.recorded.v1",
            "topic": "qm.sales", "partition": 0, "kafka_offset": 900 + number, "location": "LEEDS", "item": "OAT-1L",
            "event_time": self._shop.clock, "accepted_at": self._shop.clock, "body": masked(data), **more,
        })  # fmt: skip

    async def events(self, limit: int = 50) -> Sequence[EventRow]:
        return self.rows[::-1][:limit]

    async def rates(self) -> Rates:
        sales = Rate(topic="qm.sales", type="quartermaster.sale.recorded.v1", last_minute=3, last_quarter=41)
        return Rates(at=self._shop.clock, rates=(sales,), today=1_204, behind=7, behind_at=self._shop.clock)


class MemoryHealth:
    """`HealthDesk`: all is well but what a test puts into `more`."""

    def __init__(self, shop: MemoryShop, stops: MemoryStops) -> None:
        self._shop = shop
        self._stops = stops
        self.more: dict[str, Any] = {"orders_in_doubt": Pile(n=1, oldest_seconds=400)}

    async def facts(self) -> Facts:
        quiet = {"quartermaster-relay": 0.2, "quartermaster-worker": 4.0, "quartermaster-intake": 1.0}
        return Facts.model_validate({
            "at": self._shop.clock, "stops": await self._stops.in_force(),
            "partitions": [PartitionLag(topic="qm.sales", partition=0, next_offset=912, behind=7, looked_seconds=3)],
            "clocks": [ClockAge(location="LEEDS", watermark=self._shop.clock, moved_seconds=12)],
            "reasons": [Reason(code="unknown_type", n=3, newest_seconds=1_800)],
            "processes": [ProcessSeen(name=name, connections=2, quiet_seconds=s) for name, s in quiet.items()],
            "database_bytes": 3 * 2**30, "tables": [TableSize(name="inbox", bytes=2**30)], "model_days": 6, **self.more,
        })  # fmt: skip

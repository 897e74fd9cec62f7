"""What operators see and say of sending, over the shop in memory: doubt, reconciliation, circuits, caps."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from tests.fakes.desk import MemoryShop
from tests.fakes.once import Once
from tests.fakes.operations import MemoryOperations
from workflows.domain.approvals import Actor
from workflows.domain.breaker import CircuitSeen, Phase
from workflows.domain.capabilities import DedupeLevel, Manifest, settles_in
from workflows.domain.caps import CapName, CapUsed
from workflows.domain.doubt import (
    Doubt,
    SentRequest,
    is_in_doubt,
    sends_again_itself,
    why_not_confirm,
    why_not_look,
    why_not_send,
)
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.operations import OrderDone
from workflows.domain.orders import OrderState
from workflows.domain.reconciliation import Difference, DifferenceKind
from workflows.domain.reconciling import Reading, Report
from workflows.domain.requests import Request, RequestKind, RequestState

L0 = Manifest(name="mail", level=DedupeLevel.L0, longest_transaction_s=60, http_timeout_s=20)
L1 = Manifest(name="erp", level=DedupeLevel.L1, longest_transaction_s=60, http_timeout_s=20)
L3 = L1.model_copy(update={"level": DedupeLevel.L3, "memory_s": 86_400.0})


class MemoryOrderWords:
    """`OrderWords`: an order that the shop holds in doubt left an hour ago, to a system of level L1, unless a test
    says otherwise in `requests` and `manifests`."""

    def __init__(self, shop: MemoryShop, operations: MemoryOperations) -> None:
        self._shop, self._operations, self._once = shop, operations, Once()
        self.requests: dict[str, Request] = {}
        self.manifests: dict[str, Manifest] = {}
        self.said: list[tuple[str, str, str, str]] = []
        """What was carried out: the word, the order, the reason, by whom."""
        ago = shop.clock - timedelta(hours=1)
        for order in shop.orders:
            if order["state"] == OrderState.IN_DOUBT:
                self.left(order["order_id"], seconds_ago=3_600)
            elif order["state"] == OrderState.PLACED:
                self.requests[order["order_id"]] = Request(
                    state=RequestState.CONFIRMED, n=1, first_sent_at=ago, last_sent_at=ago
                )

    def left(
        self, order_id: str, *, seconds_ago: float, state: RequestState = RequestState.UNKNOWN, manifest: Manifest = L1
    ) -> None:
        """A request left so long ago, and nobody knows what came of it."""
        at = self._shop.clock - timedelta(seconds=seconds_ago)
        self.requests[order_id] = Request(state=state, n=1, open=1, first_sent_at=at, last_sent_at=at)
        self.manifests[order_id] = manifest
        self._operations.open_requests.add(order_id)

    async def in_doubt(self, *, limit: int = 100) -> list[Doubt]:
        found = [self._doubt(order["order_id"]) for order in self._shop.orders]
        return [one for one in found if one.in_doubt][:limit]

    async def doubt(self, order_id: str) -> Doubt:
        found = self._doubt(order_id)
        if found.last_sent_at is None:
            return found
        sent = SentRequest(
            seq=1, n=1, kind=RequestKind.SEND, rests_on="nothing left before", sent_at=found.last_sent_at,
            answered_at=found.last_sent_at + timedelta(seconds=20),
            outcome="unknown" if found.in_doubt else str(found.request), said="no answer within 20 s",
        )  # fmt: skip
        asked = SentRequest(
            seq=2, n=1, kind=RequestKind.RECONCILE, sent_at=found.last_sent_at + timedelta(minutes=5), outcome="absent",
            answered_at=found.last_sent_at + timedelta(minutes=5, seconds=1),
        )  # fmt: skip
        return found.model_copy(update={"sent": (sent, asked) if found.in_doubt else (sent,)})

    async def look_again(self, order_id: str, reason: str, actor: Actor, *, command_id: str | None = None) -> OrderDone:
        refusal = self._doubt(order_id).why_not_look
        return self._say("look", order_id, refusal, reason, actor, command_id, "it is looked for at the supplier now")

    async def confirm_by_hand(
        self, order_id: str, number: str, reason: str, actor: Actor, *, command_id: str | None = None
    ) -> OrderDone:
        refusal = self._doubt(order_id).why_not_confirm
        if other := [o["order_id"] for o in self._shop.orders if o["supplier_number"] == number]:
            refusal = refusal or f"{number} is the number of the order {other[0]}"
        said = self._say(
            "confirm", order_id, refusal, f"{number}: {reason}", actor, command_id,
            f"placed: {actor.name} says that it is their {number}",
        )  # fmt: skip
        self.requests[order_id] = self.requests[order_id].model_copy(
            update={"state": RequestState.CONFIRMED, "open": 0}
        )
        self._order(order_id).update(state="placed", supplier_number=number)
        return said

    async def send_again(self, order_id: str, reason: str, actor: Actor, *, command_id: str | None = None) -> OrderDone:
        refusal = self._doubt(order_id).why_not_send
        said = self._say("send", order_id, refusal, reason, actor, command_id, "it is sent again if it is not there")
        self.requests[order_id] = self.requests[order_id].model_copy(update={"state": RequestState.ABSENT, "open": 0})
        self._operations.open_requests.discard(order_id)
        return said

    def _say(
        self, word: str, order_id: str, refusal: str, reason: str, actor: Actor, command_id: str | None, done: str
    ) -> OrderDone:
        asked = {"do": word, "by": actor.name, "order": order_id, "reason": reason}
        if before := self._once.answered(command_id, asked):
            return before  # type: ignore[no-any-return]
        if refusal:
            raise Conflict(f"{order_id}: {refusal}")
        self.said.append((word, order_id, reason, actor.name))
        answer = OrderDone(order_id=order_id, state=OrderState(self._order(order_id)["state"]), done=done)
        return self._once.keep(command_id, asked, answer)  # type: ignore[no-any-return]

    def _order(self, order_id: str) -> dict[str, Any]:
        found = next((one for one in self._shop.orders if one["order_id"] == order_id), None)
        if found is None:
            raise NotFound(f"there is no order {order_id}")
        return found

    def _doubt(self, order_id: str) -> Doubt:
        order, request = self._order(order_id), self.requests.get(order_id)
        manifest, now = self.manifests.get(order_id, L1), self._shop.clock
        sent_at = request.last_sent_at if request else None
        return Doubt(
            order_id=order_id, supplier=str(order["supplier"]), location=str(order["location"]),
            request=request.state if request else None, n=request.n if request else 0, level=manifest.level,
            reason="no answer within 20 s" if is_in_doubt(request) else "",
            awaits_operator_at=now if order_id in self._operations.awaiting else None, last_sent_at=sent_at,
            in_doubt=is_in_doubt(request), drafts=manifest.drafts_first,
            settles_in_seconds=settles_in(manifest, sent_at, now) if sent_at else 0,
            settles_at=sent_at + timedelta(seconds=manifest.settle_s) if sent_at else None,
            sends_again_itself=sends_again_itself(request, manifest, now),
            why_not_look=why_not_look(request, manifest, leased=False),
            why_not_confirm=why_not_confirm(request, leased=False),
            why_not_send=why_not_send(request, manifest, now, leased=False),
        )  # fmt: skip


class MemoryReconciliationDesk:
    """`ReconciliationDesk`: a supplier with differences, one that agrees, and one without a list."""

    def __init__(self, shop: MemoryShop) -> None:
        at, since = shop.clock - timedelta(hours=2), shop.clock - timedelta(days=90)
        self.explanations: dict[str, tuple[str, str]] = {}
        orders = [*(one["order_id"] for one in shop.orders), None, None, None]
        told = (
            (DifferenceKind.MISSING, orders[2], "NF-7003", "we hold it as placed; there it is not"),
            (DifferenceKind.UNKNOWN_ORIGIN, None, "NF-9001", "they have it under a key that none of our orders has"),
            (DifferenceKind.MISMATCH, orders[0], "NF-7001", "OAT-1L: ours 480, theirs 420"),
            (DifferenceKind.IN_DOUBT, orders[1], "",
             "a request left and its answer was lost; their list does not have it"),
        )  # fmt: skip
        self.found = [
            Difference(
                difference_id=f"{n:064x}", kind=kind, key=f"{n:064x}", order_id=order_id, supplier_number=number,
                says=says,
                explained="the engine looks for it by itself" if kind is DifferenceKind.IN_DOUBT else None,
            )
            for n, (kind, order_id, number, says) in enumerate(told, 1)
        ]  # fmt: skip
        known: dict[str, Any] = {"begun_at": at, "finished_at": at + timedelta(minutes=1), "since": since}
        known["digest"] = "ab" * 32
        self._reports = [
            Report(report_id="northern-foods:3", supplier="northern-foods", ours=212, theirs=213, agreed=209, **known),
            Report(report_id="acme:3", supplier="acme", ours=40, theirs=40, agreed=40, **known),
            Report(report_id="blech-und-co:1", supplier="blech-und-co", not_listed="it tells no list", **known),
        ]
        self.reading = [
            Reading(report_id="slow:1", supplier="slow", begun_at=at, since=since, read_to="4000", pages=40)
        ]  # fmt: skip

    async def newest(self) -> list[Report]:
        return [self._counted(one) for one in self._reports]

    async def under_way(self) -> list[Reading]:
        return self.reading

    async def report(self, report_id: str) -> Report:
        found = next((one for one in self._reports if one.report_id == report_id), None)
        if found is None:
            raise NotFound(f"there is no report {report_id}")
        return self._counted(found)

    async def differences(self, report_id: str, *, after: int = 0, limit: int = 100) -> list[Difference]:
        if (await self.report(report_id)).supplier != "northern-foods":
            return []
        return [self._told(one) for one in self.found][after : after + limit]

    async def explain(self, difference_id: str, explanation: str, actor: Actor) -> None:
        explanation = explanation.strip()
        if not 3 <= len(explanation) <= 500 or not explanation.isprintable():
            raise InvalidInput("say why in one line of 3 to 500 characters")
        if all(one.difference_id != difference_id for one in self.found):
            raise NotFound(f"no report has a difference {difference_id[:64]}")
        before = self.explanations.setdefault(difference_id, (explanation, actor.name))
        if before[0] != explanation:
            raise Conflict(f"{before[1]} explained it already: {before[0]}")

    def _told(self, one: Difference) -> Difference:
        if one.difference_id not in self.explanations:
            return one
        said, by = self.explanations[one.difference_id]
        return one.model_copy(update={"explained": said, "explained_by": by})

    def _counted(self, report: Report) -> Report:
        found = [self._told(one) for one in self.found] if report.supplier == "northern-foods" else []
        still = sum(one.explained is None for one in found)
        return report.model_copy(update={"found": len(found), "open": still})


class MemoryCircuits:
    """`CircuitsDesk`: one supplier that does not answer, one that asked for a pause, one that is well."""

    def __init__(self, shop: MemoryShop) -> None:
        now = shop.clock
        self.seen = [
            CircuitSeen(
                supplier="blech-und-co", phase=Phase.OPEN, in_a_row=5, openings=2, opened_at=now - timedelta(minutes=4),
                wait_until=now + timedelta(seconds=30), last_trouble="send: unknown",
                last_trouble_at=now - timedelta(minutes=1),
            ),
            CircuitSeen(supplier="acme", phase=Phase.CLOSED, paused_until=now + timedelta(minutes=2)),
            CircuitSeen(supplier="northern-foods", phase=Phase.CLOSED),
        ]  # fmt: skip

    async def circuits(self) -> list[CircuitSeen]:
        return self.seen


class MemoryCaps:
    """`CapsDesk`: as a test says."""

    def __init__(self) -> None:
        self.caps = [
            CapUsed(cap=CapName.HOUR, currency="EUR", limit=Decimal(5000), used=Decimal("4800.50")),
            CapUsed(cap=CapName.DAY, currency="EUR", limit=Decimal(40_000), used=Decimal("9120.00")),
            CapUsed(
                cap=CapName.SUPPLIER_DAY, supplier="northern-foods", currency="EUR", limit=Decimal(10_000),
                used=Decimal("2409.00"),
            ),
        ]  # fmt: skip

    async def used(self) -> list[CapUsed]:
        return self.caps

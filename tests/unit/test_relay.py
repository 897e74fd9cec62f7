"""The relay carries what Postgres knows to workflows, notes only what was carried, and outlives every outage."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.postgres.relay import OrderToWake
from workers import relay as relaying
from workers.relay import LEFT_BEHIND_SECONDS, Relay
from workflows.domain.approvals import Meaning, VerdictNotice
from workflows.domain.errors import Unavailable
from workflows.domain.needs import ClockMode, NeedBatch
from workflows.domain.orders import OrderRef
from workflows.domain.policies import RiskTier
from workflows.domain.ports import ReplenishmentRef

NOW = datetime(2025, 3, 3, 6, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BATCH = NeedBatch(batch_id="LEEDS:b1", location="LEEDS", clock=NOW, needs=2)
PROPOSAL = ReplenishmentRef(
    decision_id="LEEDS:A:1", revision=1, proposal_hash="f" * 64, location="LEEDS", supplier="acme", tier=RiskTier.AUTO
)
ORDER = OrderRef(order_id="acme:LEEDS:1", location="LEEDS", supplier="acme", cutoff_at=NOW)
NOTICE = VerdictNotice(approval_id="approval-1", proposal_hash="f" * 64, meaning=Meaning.APPROVE)


class World:
    """What is owed, and everything that the relay told or noted, in order. Plays every port of the relay."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.owed: dict[str, list[Any]] = {}
        self.listening = True
        self.running = True
        self.over = False
        self.model = True
        self.fails: dict[str, Exception] = {}
        self.connections = 0

    def note(self, what: str) -> None:
        self.happened.append(what)
        if error := self.fails.pop(what.split()[0], None):
            raise error

    def take(self, kind: str) -> list[Any]:
        return list(self.owed.get(kind, ()))

    # the connection
    def connect(self) -> tuple[Any, Any]:
        self.note("connect")
        self.connections += 1
        return self, self

    def close(self) -> None:
        self.connections -= 1

    # the store
    def batches(self, retry_after_s: float) -> list[NeedBatch]:
        assert retry_after_s > LEFT_BEHIND_SECONDS
        return self.take("batches")

    def batches_started(self, batch_ids: list[str]) -> None:
        self.note(f"noted {' '.join(batch_ids)}")

    def replenishments(self, older_than_s: float) -> list[Any]:
        assert older_than_s == LEFT_BEHIND_SECONDS
        return self.take("replenishments")

    def replenishments_started(self, decision_ids: list[str]) -> None:
        self.note(f"noted {' '.join(decision_ids)}")

    def orders(self) -> list[Any]:
        return self.take("orders")

    def orders_started(self, order_ids: list[str]) -> None:
        self.note(f"noted {' '.join(order_ids)}")

    def due_ticks(self) -> list[Any]:
        return self.take("ticks")

    def ticked(self, subject: str, subject_id: str, instant: datetime) -> None:
        self.note(f"ticked {subject} {subject_id}")

    def lost(self, subject: str, subject_id: str) -> bool:
        if not self.over:
            self.note(f"lost {subject} {subject_id}")
        return not self.over

    def unseen(self, older_than_s: float, limit: int) -> list[Any]:
        return self.take("unseen")

    def moved_tasks(self) -> list[str]:
        return self.take("moved")

    def wake_tasks(self) -> int:
        return len(self.take("naps"))

    def rescores_wanted(self) -> list[str]:
        return self.take("moved") + self.take("wanted")  # what moved is owed until it was told

    def rescore_told(self, decision_id: str) -> None:
        self.note(f"noted-rescore {decision_id}")

    def settled_orders(self) -> list[str]:
        return self.take("settled")

    def orders_to_wake(self) -> list[Any]:
        return self.take("wake")

    def order_woken(self, order: OrderToWake) -> None:
        self.note(f"woken {order.order_id} {order.held_by}")

    def order_told(self, order_id: str) -> None:
        self.note(f"noted-end {order_id}")

    def advance_live_clocks(self, now: datetime, lateness: timedelta) -> int:
        self.note(f"clocks {lateness}")
        return 0

    # the approvals
    async def unheard(self, older_than_s: float) -> list[Any]:
        return self.take("verdicts")

    async def heard(self, approval_id: str) -> None:
        self.note(f"heard {approval_id}")

    # the starter
    async def assessment(self, batch: NeedBatch) -> None:
        self.note(f"start {batch.batch_id}")

    async def replenishment(self, ref: ReplenishmentRef, traceparent: str | None, *, again: bool) -> None:
        assert again
        self.note(f"start {ref.decision_id} {traceparent}")

    async def purchasing(self, ref: OrderRef, traceparent: str | None, *, again: bool) -> None:
        assert again
        self.note(f"start {ref.order_id} {traceparent}")

    # the messenger and the verdict channel
    async def tick(self, subject: str, subject_id: str, watermark: datetime) -> bool:
        self.note(f"tick {subject} {subject_id} {watermark:%H}")
        return self.listening

    async def runs(self, subject: str, subject_id: str) -> bool:
        return self.running

    async def world_moved(self, decision_id: str) -> bool:
        self.note(f"moved {decision_id}")
        return self.listening

    async def order_settled(self, order_id: str) -> bool:
        self.note(f"settled {order_id}")
        return self.listening

    async def try_order_again(self, order_id: str) -> bool:
        self.note(f"again {order_id}")
        return self.listening

    async def tell(self, decision_id: str, notice: VerdictNotice) -> bool:
        self.note(f"verdict {decision_id}")
        return self.listening

    async def has_model(self) -> bool:
        return self.model


@pytest.fixture
def world() -> World:
    return World()


def relay(world: Any, clock: ClockMode = ClockMode.REPLAYED) -> Relay:
    return Relay(
        world.connect, world, world, world, world, clock=clock, lateness=timedelta(hours=1), has_model=world.has_model
    )


async def run(world: World, until: Callable[[], bool], clock: ClockMode = ClockMode.REPLAYED) -> None:
    """Run the relay until the condition holds, then stop it in order."""
    stop = asyncio.Event()
    running = asyncio.ensure_future(relay(world, clock).run(stop))
    async with asyncio.timeout(60):
        while not until() and not (await asyncio.wait({running}, timeout=0.005))[0]:
            continue
    stop.set()
    await running


async def once(world: World) -> list[str]:
    """What one round does."""
    told = relay(world)
    _, told._store = world.connect()
    world.happened.clear()
    await told._round()
    return world.happened


@pytest.mark.parametrize(
    ("kind", "row", "happens"),
    [
        ("batches", BATCH, ["start LEEDS:b1", "noted LEEDS:b1"]),
        ("replenishments", (PROPOSAL, TRACE), [f"start LEEDS:A:1 {TRACE}", "noted LEEDS:A:1"]),
        ("orders", (ORDER, None), ["start acme:LEEDS:1 None", "noted acme:LEEDS:1"]),
        ("verdicts", ("LEEDS:A:1", NOTICE), ["verdict LEEDS:A:1", "heard approval-1"]),
        ("ticks", ("order", "acme:LEEDS:1", NOW, NOW), ["tick order acme:LEEDS:1 06", "ticked order acme:LEEDS:1"]),
        ("moved", "LEEDS:A:1", ["moved LEEDS:A:1", "noted-rescore LEEDS:A:1"]),
        ("wanted", "LEEDS:A:1", ["moved LEEDS:A:1", "noted-rescore LEEDS:A:1"]),
        ("settled", "acme:LEEDS:1", ["settled acme:LEEDS:1", "noted-end acme:LEEDS:1"]),
        (
            "wake",
            OrderToWake("acme:LEEDS:1", "everything:1", None),
            ["again acme:LEEDS:1", "woken acme:LEEDS:1 everything:1"],
        ),
    ],
)
async def test_what_is_owed_is_carried_first_and_noted_after(
    world: World, kind: str, row: Any, happens: list[str]
) -> None:
    world.owed[kind] = [row]

    assert await once(world) == happens


async def test_an_order_whose_workflow_is_gone_when_its_switch_is_lifted_gets_a_new_one(world: World) -> None:
    world.owed["wake"], world.listening = [OrderToWake("acme:LEEDS:1", "everything:1", None)], False

    assert await once(world) == ["again acme:LEEDS:1", "lost order acme:LEEDS:1", "woken acme:LEEDS:1 everything:1"]


async def test_needs_wait_for_a_model(world: World) -> None:
    world.owed["batches"], world.model = [BATCH], False

    assert await once(world) == []


async def test_a_verdict_that_was_not_heard_is_told_again(world: World) -> None:
    world.owed["verdicts"], world.listening = [("LEEDS:A:1", NOTICE)], False

    assert await once(world) == ["verdict LEEDS:A:1"]


async def test_a_verdict_whose_workflow_was_lost_has_it_started_again(world: World) -> None:
    world.owed["verdicts"], world.listening, world.running = [("LEEDS:A:1", NOTICE)], False, False

    assert await once(world) == ["verdict LEEDS:A:1", "lost replenishment LEEDS:A:1"]


async def test_a_verdict_whose_workflow_came_to_its_end_is_not_told_for_ever(world: World) -> None:
    world.owed["verdicts"], world.listening, world.running, world.over = [("LEEDS:A:1", NOTICE)], False, False, True

    assert await once(world) == ["verdict LEEDS:A:1", "heard approval-1"]


@pytest.mark.parametrize(("running", "noted"), [(True, "noted acme:LEEDS:1"), (False, "lost order acme:LEEDS:1")])
async def test_what_is_not_over_is_looked_for_now_and_then(world: World, running: bool, noted: str) -> None:
    world.owed["unseen"], world.running = [("order", "acme:LEEDS:1")], running
    told = relay(world)
    _, told._store = world.connect()
    world.happened.clear()
    await told._round()
    await told._round()

    assert world.happened == [noted]


@pytest.mark.parametrize(("over", "noted"), [(False, ["lost task LEEDS:A:1"]), (True, ["ticked task LEEDS:A:1"])])
async def test_a_tick_that_nobody_hears_is_kept_unless_its_subject_is_over(
    world: World, over: bool, noted: list[str]
) -> None:
    world.owed["ticks"] = [("task", "LEEDS:A:1", NOW, NOW)]
    world.listening, world.over = False, over

    assert await once(world) == ["tick task LEEDS:A:1 06", *noted]


async def test_a_start_that_failed_is_not_noted_and_comes_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaying, "LONGEST_PAUSE_SECONDS", 0.01)
    world.owed["batches"] = [BATCH]
    world.fails["start"] = Unavailable("Temporal is away")

    await run(world, lambda: "noted LEEDS:b1" in world.happened)

    assert world.happened[:4] == ["connect", "start LEEDS:b1", "connect", "start LEEDS:b1"]


async def test_a_lost_database_is_connected_to_anew_and_no_connection_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "LONGEST_PAUSE_SECONDS", 0.01)
    world.owed["orders"] = [(ORDER, None)]
    world.fails = {"connect": Unavailable("starting up"), "noted": Unavailable("the connection is closed")}

    await run(world, lambda: world.happened.count("noted acme:LEEDS:1") >= 2)

    assert world.happened.count("connect") == 3
    assert world.connections == 0


async def test_a_fault_ends_the_relay_so_that_its_supervisor_sees_it(world: World) -> None:
    world.owed["orders"] = [(ORDER, None)]
    world.fails["start"] = TypeError("a fault of ours")

    with pytest.raises(TypeError):
        await run(world, lambda: False)
    assert world.connections == 0


async def test_a_live_clock_is_moved_now_and_then_and_a_replayed_one_never(world: World) -> None:
    world.owed["orders"] = [(ORDER, None)]

    await run(world, lambda: world.happened.count("noted acme:LEEDS:1") >= 5, ClockMode.LIVE)
    assert world.happened.count("clocks 1:00:00") == 1

    world.happened.clear()
    await run(world, lambda: world.happened.count("noted acme:LEEDS:1") >= 5)
    assert "clocks 1:00:00" not in world.happened

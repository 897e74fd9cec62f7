"""The daily round over all suppliers: each compared once, one that fails holds up nobody, a crash is gone on with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities import reconciliation
from activities.reconciliation import ReconciliationActivities
from tests.fakes.engine import TEST_SERVER
from tests.fakes.faults import Faulty
from tests.fakes.reconciliation import MemoryReconciliations, ToldLists, ToldPermits
from workers.plugin import engine_plugin
from workflows import naming
from workflows.domain.errors import Unavailable
from workflows.domain.order_lists import ListedOrder
from workflows.domain.orders import OrderState
from workflows.domain.permits import CallOutcome
from workflows.domain.reconciliation import OurOrder
from workflows.domain.reconciling import Reconciled
from workflows.reconciliation import ReconciliationWorkflow

HERE = OurOrder(key="a" * 64, order_id="acme:LEEDS:2025-03-03:1", state=OrderState.PLACED, supplier_number="A-1")
THERE = ListedOrder(key="a" * 64, supplier_number="A-1")
STRANGE = ListedOrder(key="b" * 64, supplier_number="B-1")


class World:
    """Two suppliers with a list of two pages each, and one that tells none."""

    def __init__(self, permits: ToldPermits | None = None) -> None:
        self.permits = permits or ToldPermits()
        pages = [[THERE], [STRANGE]]
        self.lists = Faulty(ToldLists({"acme": pages, "bolt": [[], [THERE]]}))
        self.reports = Faulty(MemoryReconciliations({"acme": [HERE], "bolt": [HERE], "mail": [HERE]}))
        self.rested: list[float] = []
        self.activities = ReconciliationActivities(self.reports.port, self.lists.port, self.permits, self._rest)

    async def _rest(self, seconds: float) -> None:
        self.rested.append(seconds)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Client]:
    """A server whose time skips, and the two workers that the round needs."""
    env = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(TEST_SERVER), plugins=[engine_plugin(tracing=False)]
    )
    async with (
        env,
        Worker(
            env.client, task_queue=naming.ENGINE_QUEUE, workflows=[ReconciliationWorkflow],
            activities=[world.activities.suppliers_after], max_cached_workflows=0,
        ),
        Worker(env.client, task_queue=naming.SUPPLIER_QUEUE, activities=[world.activities.reconcile]),
    ):  # fmt: skip
        yield env.client


async def round_of(world: World) -> Reconciled:
    async with running(world) as client:
        return await client.execute_workflow(
            ReconciliationWorkflow.run, id=naming.RECONCILIATION_SCHEDULE, task_queue=naming.ENGINE_QUEUE
        )


async def test_every_supplier_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "SUPPLIERS", 2)
    world = World()

    assert await round_of(world) == Reconciled(through="mail", reports=3, open=1)

    told = [(report.report_id, report.open, report.not_listed) for report in world.reports.target.reports]
    assert told == [("acme:1", 1, None), ("bolt:1", 0, None), ("mail:1", 0, "mail tells no list")]
    assert {outcome for _, outcome in world.permits.told} == {CallOutcome.ANSWERED}


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_a_crash_is_gone_on_with_and_pages_that_were_kept_are_not_read_again(done: bool) -> None:
    world = World()
    world.reports.fail("keep", Unavailable("connection lost"), done=done)
    world.lists.fail("listed", Unavailable("no answer"))

    assert (await round_of(world)).reports == 3

    assert [report.report_id for report in world.reports.target.reports] == ["acme:1", "bolt:1", "mail:1"]
    acme = [after for supplier, after in world.lists.target.asked if supplier == "acme"]
    assert acme == ([None, "1"] if done else [None, None, "1"])
    assert world.permits.told[0] == ("acme", CallOutcome.UNAVAILABLE)


async def test_a_supplier_that_nobody_can_ask_holds_up_no_other() -> None:
    world = World()
    world.lists.fail("listed", Unavailable("no answer"), times=6)

    assert await round_of(world) == Reconciled(through="mail", reports=2, open=0, failed=1)
    assert (await round_of(world)).open == 1, "the next round goes on with it"


async def test_a_page_waits_until_it_may_be_asked_for() -> None:
    world = World(ToldPermits(0.5, 2))

    report = await world.activities.reconcile("acme")

    assert world.rested == [0.5, 2]
    assert report.open == 1


async def test_who_may_not_ask_for_long_gives_up_for_now() -> None:
    world = World(ToldPermits(100, 100))
    with pytest.raises(Unavailable, match="busy") as raised:
        await world.activities.reconcile("acme")
    assert raised.value.wait_seconds == 100


async def test_a_list_without_end_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "MOST_PAGES", 1)
    assert (await World().activities.reconcile("acme")).not_listed == "the list has no end"

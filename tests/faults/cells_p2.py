"""P2, workflows are started: Temporal is away, answers into nothing, or dies and comes back on its file."""

import asyncio

from tests.faults.cells import Proof, cell
from tests.faults.proxy import Catch
from tests.faults.seed import DEAR
from tests.faults.story import Story
from tests.faults.waiting import until
from tests.faults.world import World

WITHIN_S = 90.0


@cell(11, "P2", "Temporal down", holds=("I1", "I2", "I3", "I10"), short=True)
def temporal_down(world: World) -> Proof:
    """Intake goes on without it; when it is back, everything that was taken in meanwhile is started."""
    world.children["temporal"].kill()
    stories = [Story(world) for _ in range(5)]
    for story in stories:
        story.empty()
    needs = [story.needed() for story in stories]
    said = "the relay waits"
    until(lambda: world.children["intake"].said(said), WITHIN_S, "the relay's notice")
    undecided = world.rows("SELECT count(*) AS n FROM decision WHERE decision_id = ANY(%s)", needs)[0]["n"]
    world.heal()
    for story in stories:
        story.within_s = WITHIN_S
        story.finish()
    fired = world.children["temporal"].kills
    return Proof(fired, f"{len(needs)} needs were taken in while Temporal was down" if undecided == 0 else "")


@cell(12, "P2", "start succeeded, reply lost", holds=("I2", "I3", "I10"), short=True)
def start_reply_lost(world: World) -> Proof:
    """Of an assessment and of a purchase order: the relay asks, Temporal starts it, and the answer never comes."""
    story, relay = Story(world, DEAR, within_s=WITHIN_S), world.proxies["temporal-intake"]
    swallowed = 0
    relay.deafen()
    story.empty()
    batch = until(lambda: _batch(world, story), WITHIN_S, "a batch of needs")
    swallowed += _started_unheard(world, f"assessment/{batch}")
    task = story.task()
    relay.deafen()
    status, answer = story.approve()
    assert status == 200, answer
    story.released()
    swallowed += _started_unheard(world, _order(story))
    story.cutoff()
    story.placed()
    names = [f"assessment/{batch}", _order(story)]
    counted = asyncio.run(_runs(world, names))
    assert set(counted.values()) == {1}, f"workflows ran more than once: {counted}"
    return Proof(swallowed, f"{task['decision_id']}: each ran once: {counted}")


def _started_unheard(world: World, name: str) -> int:
    """Wait until Temporal has it, see that the relay does not know, and let it hear again; what was swallowed."""
    relay = world.proxies["temporal-intake"]
    until(lambda: asyncio.run(_runs(world, [name]))[name], WITHIN_S, f"the start of {name}")
    kind, _, key = name.partition("/")
    table, column = ("need_batch", "batch_id") if kind == "assessment" else ("purchase_order", "order_id")
    column_of_start = "started_at" if kind == "assessment" else "workflow_started_at"
    query = f"SELECT {column_of_start} AS at FROM {table} WHERE {column} = %s"  # noqa: S608 - names of this file
    assert world.rows(query, key)[0]["at"] is None, f"the relay heard of {name}"
    swallowed = relay.counts["swallowed"]
    relay.heal()
    return swallowed


def _batch(world: World, story: Story) -> str:
    found = world.rows("SELECT batch_id FROM need WHERE location = %s AND batch_id IS NOT NULL", story.place)
    return str(found[0]["batch_id"]) if found else ""


@cell(13, "P2", "Temporal kill -9 and restart on its file", holds=("I1", "I2", "I3", "I4", "I10"), short=True)
def temporal_killed(world: World) -> Proof:
    """With a story before its decision, one that waits for a person, one for its cutoff, and one being sent."""
    asking, waiting, sending, young = Story(world, DEAR), Story(world), Story(world), Story(world)
    for story in (asking, waiting, sending, young):
        story.within_s = WITHIN_S
    asking.empty()
    waiting.until_release()
    sending.until_release()
    asking.task()
    trap = world.proxies["supplier"].trap(Catch.HOLD_ANSWER, b"POST /orders", sending.place.encode())
    sending.cutoff()
    until(trap.answered.is_set, WITHIN_S, "the supplier's answer")
    young.empty()
    young.needed()
    world.children["temporal"].kill()
    world.proxies["supplier"].release(trap)
    world.restart("temporal")
    status, answer = asking.approve()
    assert status == 200, answer
    asking.released()
    for story in (asking, waiting):
        story.cutoff()
    young.finish()
    for story in (asking, waiting, sending):
        story.placed()
    still = asyncio.run(_runs(world, [_order(waiting)]))
    marker = f"after its restart it knew {still}" if set(still.values()) == {1} else ""
    return Proof(world.children["temporal"].kills, marker)


def _order(story: Story) -> str:
    return f"purchasing/{story.order()['order_id']}"


async def _runs(world: World, names: list[str]) -> dict[str, int]:
    """How many runs each workflow has."""
    client = await world.client()
    return {name: len([1 async for _ in client.list_workflows(f"WorkflowId = '{name}'")]) for name in names}

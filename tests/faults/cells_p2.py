"""P2, workflows are started: Temporal is away, answers into nothing, or dies and comes back on its file."""

import asyncio

from temporalio.client import Client

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
    """Of a replenishment (a worker starts it) and of a purchase order (the relay does)."""
    story = Story(world, DEAR, within_s=WITHIN_S)
    temporal = world.proxies["temporal"]
    names = [f"replenishment/{story.place}:{story.item}:1", f"purchasing/acme:{story.place}:2025-03-03:1"]
    traps = [temporal.trap(Catch.DROP_ANSWER, name.encode()) for name in names]
    story.empty()
    story.decided()
    until(traps[0].answered.is_set, WITHIN_S, f"the answer to the start of {names[0]}")
    status, answer = story.approve()
    assert status == 200, answer
    story.released()
    until(traps[1].answered.is_set, WITHIN_S, f"the answer to the start of {names[1]}")
    story.cutoff()
    story.placed()
    world.heal()
    counted = asyncio.run(_runs("{}:{}".format(*temporal.target), names))  # type: ignore[misc]
    assert set(counted.values()) == {1}, f"workflows ran more than once: {counted}"
    return Proof(sum(trap.caught for trap in traps), f"each ran once: {counted}")


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
    still = asyncio.run(_runs("{}:{}".format(*world.proxies["temporal"].target), [_order(waiting)]))  # type: ignore[misc]
    marker = f"after its restart it knew {still}" if set(still.values()) == {1} else ""
    return Proof(world.children["temporal"].kills, marker)


def _order(story: Story) -> str:
    return f"purchasing/{story.order()['order_id']}"


async def _runs(address: str, names: list[str]) -> dict[str, int]:
    """How many runs each workflow has."""
    client = await Client.connect(address)
    return {name: len([1 async for _ in client.list_workflows(f"WorkflowId = '{name}'")]) for name in names}

"""P2, workflows are started: Temporal is away, answers into nothing, or dies and comes back on its file."""

import asyncio
import time
from datetime import timedelta

from tests.faults.cells import Proof, cell
from tests.faults.producing import counted
from tests.faults.proxy import Catch
from tests.faults.seed import DEAR
from tests.faults.story import MORNING, Story
from tests.faults.waiting import until
from tests.faults.world import World

WITHIN_S = 90.0
DOWN_S = 600.0
DOWN_STORIES = 5
DOWN_STORY_EVERY_S, DOWN_COUNT_EVERY_S = 25.0, 2.0
"""Of the long outage: how often a place falls empty, and how often a shelf is counted. A world has 160 places."""
AFTER_DOWN_WITHIN_S = 300.0


@cell(11, "P2", "Temporal down, for ten minutes in the whole form", holds=("I1", "I2", "I3", "I10"), short=True)
def temporal_down(world: World) -> Proof:
    """Intake goes on without it, and what is to be started piles up; when it is back, all of that is started.

    In the short form the outage lasts as long as five places take.
    """
    temporal, began = world.children["temporal"], time.monotonic()
    dead = world.rows("SELECT count(*) AS n FROM dead_letter")[0]["n"]
    waits = _waits(world)
    temporal.kill()
    stories, piled = list[Story](), list[int]()
    while len(stories) < DOWN_STORIES or (not world.short and time.monotonic() < began + DOWN_S):
        stories.append(Story(world))
        stories[-1].empty()
        stories[-1].needed()
        piled.append(_unstarted(world, stories))
        if not world.short:
            _counts_until(stories, min(time.monotonic() + DOWN_STORY_EVERY_S, began + DOWN_S))
    until(lambda: _waits(world) > waits, WITHIN_S, "the relay's notice")
    places, lasted = [story.place for story in stories], time.monotonic() - began
    assert piled == sorted(piled), f"needs that nobody started were started without Temporal: {piled}"
    assert piled[-1] >= len(stories), f"{piled[-1]} of {len(stories)} needs wait"
    undecided = world.rows("SELECT count(*) AS n FROM decision WHERE location = ANY(%s)", places)[0]["n"]
    told = [event.id for story in stories for event in story.told]
    taken = "SELECT count(*) AS n FROM inbox WHERE event_id = ANY(%s)"
    until(lambda: world.rows(taken, told)[0]["n"] == len(told), WITHIN_S, "every event of the outage in the inbox")
    assert not temporal.alive, "Temporal was there"
    assert world.rows("SELECT count(*) AS n FROM dead_letter")[0]["n"] == dead, "an outage made dead letters"
    world.heal()
    back = time.monotonic()
    until(lambda: not _unstarted(world, stories), AFTER_DOWN_WITHIN_S, "the start of all that had piled up")
    started = time.monotonic() - back
    for story in stories:
        story.within_s = WITHIN_S
        story.finish()
    marker = (
        f"down for {lasted:.0f} s: {len(told)} events were taken in, {piled[-1]} needs piled up, and all were started"
        f" within {started:.0f} s"
    )
    return Proof(temporal.kills, marker if undecided == 0 else "")


def _waits(world: World) -> int:
    """How often the relay has said that it waits."""
    return world.children["intake"].log.read_text(errors="replace").count("the relay waits")


def _unstarted(world: World, stories: list[Story]) -> int:
    """How many of their needs are in no assessment that anybody started."""
    query = """SELECT count(*) AS n FROM need n LEFT JOIN need_batch b USING (batch_id)
               WHERE n.location = ANY(%s) AND b.started_at IS NULL"""
    return int(world.rows(query, [story.place for story in stories])[0]["n"])


def _counts_until(stories: list[Story], end: float) -> None:
    """Somebody counts empty shelves all the while, one after the other."""
    turn = 0
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(DOWN_COUNT_EVERY_S, left))
        story = stories[turn % len(stories)]
        turn += 1
        story.tell(counted(story.place, story.item, 0, MORNING + timedelta(seconds=len(story.told))))


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

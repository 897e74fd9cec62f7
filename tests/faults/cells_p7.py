"""P7, an order is sent: what suppliers, networks and frozen workers can do to a request that must count once."""

import asyncio
import json
import uuid
from functools import partial
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from tests.faults.cells import Proof, cell
from tests.faults.hand import Hand
from tests.faults.producing import clock
from tests.faults.proxy import Catch
from tests.faults.secured import resets, secured
from tests.faults.story import CUTOFF, Story
from tests.faults.waiting import until
from tests.faults.world import World

SETTLES_WITHIN_S = 150.0
ORDERS = ("I3", "I4", "I10")
SYSTEMS = (("L3", False), ("L2", False), ("L1", True), ("L1", False))
"""Level, and whether there are drafts."""


@cell(26, "P7", "ERP executes, response dropped (ExecuteAndTimeout)", holds=ORDERS, short=True)
def answer_dropped(world: World) -> Proof:
    """The order exists; the worker sees a broken connection. It must look before it sends again, and find it."""
    story = Story(world)
    story.until_release()
    trap = world.proxies["supplier"].trap(Catch.DROP_ANSWER, b"POST /orders", story.place.encode())
    story.cutoff()
    until(trap.answered.is_set, 60, "the supplier's answer")
    story.placed(within_s=SETTLES_WITHIN_S)
    return Proof(trap.caught, _doubt(world, story))


@cell(27, "P7", "ERP commits after the client gave up and after the first look says absent", holds=ORDERS)
def late_commit(world: World) -> Proof:
    """On every kind of system: what is absent may still be on its way until the settle window has passed."""
    fired, looks = 0, []
    systems = SYSTEMS[-1:] if world.short else SYSTEMS
    for level, drafts in systems:
        world.connect(level, drafts=drafts)
        story = Story(world)
        story.until_release()
        # Given up after 3 s, looked for after 3 more, carried out before the 7 s of this world have passed.
        world.fault("late_commit", delay_s=6.7, on="confirm" if drafts else "place")
        story.cutoff()
        story.placed(within_s=SETTLES_WITHIN_S)
        fired += world.faults_fired().get("late_commit", 0)
        looks.append(len(_requests(world, story, "reconcile")))
    world.connect()
    return Proof(fired, f"looked for {looks} times" if min(looks) > 0 and fired == len(systems) else "")


@cell(28, "P7", "activity timed out, zombie still sending while the retry runs", holds=ORDERS)
def zombie_sends(world: World) -> Proof:
    """A worker is frozen with its request on the wire; another takes over; then the request arrives, and it thaws."""
    other = world.process("worker-2", list(world.children["worker"].argv), None)
    other.env = world.children["worker"].env
    story = Story(world)
    story.until_release()
    trap = world.proxies["supplier"].trap(Catch.HOLD_REQUEST, b"POST /orders", story.place.encode())
    story.cutoff()
    until(trap.sprung.is_set, 60, "the request on the wire")
    frozen = world.children["worker"]
    frozen.pause()
    world.children["worker-2"] = other
    try:
        other.start()
        story.placed(within_s=SETTLES_WITHIN_S)
        order, zombie = story.order(), _requests(world, story, "send")[0]["lease_token"]
        # Its first word to the database since then: nobody else has its lease.
        late = world.proxies["postgres"].trap(Catch.HOLD_ANSWER, zombie.encode())
        world.proxies["supplier"].release(trap)
        frozen.go_on()
        until(late.answered.is_set, SETTLES_WITHIN_S, "what the thawed worker says under the lease that it lost")
        world.proxies["postgres"].release(late)
        Story(world).play()
        after = story.order()
    finally:
        frozen.go_on()
        del world.children["worker-2"]
        other.stop()
    kept = ("state", "request", "supplier_number", "lease_token", "attempts", "open_requests")
    changed = {name: (order[name], after[name]) for name in kept if order[name] != after[name]}
    assert not changed, f"a worker that had lost the lease changed the order: {changed}"
    took_over = after["attempts"] > 1 and after["lease_token"] != zombie
    return Proof(trap.caught + late.caught, f"{after['attempts']} attempts; the thawed worker's word changed nothing"
                 if took_over else "")  # fmt: skip


@cell(29, "P7", "429, 503, HTML, half a body, 500, resets within TLS, and the circuit opens", holds=ORDERS, short=True)
def mixed_troubles(world: World) -> Proof:
    """Each once, to orders of their own, then nothing but 503; what was unknown ends as placed, and nothing as refused.

    So many in a row open the circuit: nothing leaves until a probe was answered. All of it over TLS, which itself is
    reset in the handshake, before a request was carried out, and within the answer to one that was. The short form
    speaks plainly, and leaves out what opens the circuit: worker and circuit would take a while to be as they were.
    """
    if world.short:
        struck, doubts, opened = _troubles(world)
        marker = f"{doubts} requests came to nothing known; without TLS and with a closed circuit: the short form"
        return Proof(struck, marker if doubts else "")
    with secured(world) as front:
        noted = resets(world, front, settles_within_s=SETTLES_WITHIN_S)
        struck, doubts, opened = _troubles(world)
        handshakes = front.counts["handshakes"]
    assert handshakes > len(noted), f"only {handshakes} connections were secured"
    words = "; ".join(f"{kind}: {said}" for kind, said in noted.items())
    marker = f"{doubts} requests came to nothing known; the circuit: {opened}; TLS reset at {words}"
    return Proof(len(noted) + struck, marker if doubts and all(noted.values()) else "")


def _troubles(world: World) -> tuple[int, int, str]:
    """How many kinds of failure of the supplier struck, how many requests nobody knew the fate of, and the circuit."""
    modes: tuple[str, ...] = ("throttled", "html_body", "half_body", "reset", "server_error", "drop_response")
    if world.short:
        modes = modes[:4]  # too few to open the circuit, which takes a while to close
    before = world.faults_fired()
    stories = [Story(world) for _ in modes]
    for story in stories:
        story.until_release()
    for mode in modes:
        world.fault(mode)
    world.teller.tell(*(clock(story.place, CUTOFF) for story in stories))
    # New ones: what was sent before is looked for first, and an answer to that closes a circuit.
    more = [] if world.short else [Story(world) for _ in range(6)]
    for story in more:
        story.until_release()
    ended = [story.placed(within_s=SETTLES_WITHIN_S)["state"] for story in stories]
    opened = "not opened"
    if more:
        modes = (*modes, "unavailable")
        world.fault("unavailable", requests=len(more), retry_after_s=0)
        world.teller.tell(*(clock(story.place, CUTOFF) for story in more))
        opened = until(lambda: _opened(world), 60, "an open circuit")
    ended += [story.placed(within_s=SETTLES_WITHIN_S)["state"] for story in more]
    assert set(ended) == {"placed"}, f"orders ended as {ended}"
    after = world.faults_fired()
    struck = [mode for mode in modes if after.get(mode, 0) > before.get(mode, 0)]
    assert len(struck) == len(modes), f"only {struck} struck"
    doubts = world.rows("SELECT count(*) AS n FROM order_request WHERE outcome = 'unknown'")[0]["n"]
    return len(struck), int(doubts), opened


def _opened(world: World) -> str:
    """What the engine says of a circuit that is open, or has been."""
    rows = world.rows("SELECT * FROM supplier_circuit WHERE openings > 0 OR phase <> 'closed'")
    return f"{rows[0]['phase']}, opened {rows[0]['openings']} times: {rows[0]['last_trouble']}" if rows else ""


@cell(30, "P7", "operator resets and terminates workflows mid-send", holds=ORDERS)
def workflows_ended(world: World) -> Proof:
    """The request is carried out while its workflow is taken away: once reset, once terminated."""
    fired, runs, noticed = 0, list[list[str]](), list[str]()
    for how in ("reset",) if world.short else ("reset", "terminate"):
        story = Story(world)
        story.until_release()
        trap = world.proxies["supplier"].trap(Catch.HOLD_ANSWER, b"POST /orders", story.place.encode())
        story.cutoff()
        until(trap.answered.is_set, 60, "the supplier's answer")
        name = f"purchasing/{story.order()['order_id']}"
        # It may send in its very first step, which ends when that has taken some seconds.
        step = until(partial(_first_step, world, name), 60, "a step of the workflow")
        asyncio.run(_taken_away(world, name, step if how == "reset" else 0))
        world.proxies["supplier"].release(trap)
        fired += trap.caught
        if how == "terminate":
            # As if it had not been seen for as long as the relay waits before it looks for lost ones.
            world.elapse("purchase_order", "workflow_started_at", "order_id", story.order()["order_id"], minutes=30)
        story.placed(within_s=SETTLES_WITHIN_S)
        # Placed, but not over: somebody must be there when the goods come.
        until(partial(_goes_on, world, name), SETTLES_WITHIN_S, f"a run of {name}")
        runs.append(asyncio.run(_statuses(world, name)))
        what = "terminated" if how == "terminate" else how
        noticed.append(until(partial(_overridden, world, name, what), SETTLES_WITHIN_S, f"{name} found {what}"))
    ended = {status for found in runs for status in found}
    return Proof(fired, f"runs ended as {runs}; the ledger has {noticed}" if "TERMINATED" in ended else "")


def _requests(world: World, story: Story, kind: str) -> list[dict[str, Any]]:
    query = "SELECT * FROM order_request WHERE order_id = %s AND kind = %s ORDER BY seq"
    return world.rows(query, story.order()["order_id"], kind)


def _doubt(world: World, story: Story) -> str:
    """What the ledger says of an answer that nobody knows."""
    query = "SELECT body FROM ledger_entry WHERE stream = %s AND type = 'order.answered' ORDER BY seq"
    said = [bytes(row["body"]).decode() for row in world.rows(query, f"order:{story.order()['order_id']}")]
    return next((body for body in said if '"unknown"' in body), "")


async def _taken_away(world: World, name: str, reset_to: int) -> None:
    """Reset to this event, or terminated."""
    client = await world.client()
    handle = client.get_workflow_handle(name)
    if not reset_to:
        await handle.terminate("an operator's mistake")
        return
    described = await handle.describe()
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace="default", reason="an operator's mistake", workflow_task_finish_event_id=reset_to,
            request_id=uuid.uuid4().hex,
            workflow_execution=WorkflowExecution(workflow_id=name, run_id=described.run_id or ""),
        )
    )  # fmt: skip


def _first_step(world: World, name: str) -> int:
    """The event that ended the workflow's first step; 0 while it is taken."""

    async def told() -> int:
        client = await world.client()
        history = await client.get_workflow_handle(name).fetch_history()
        completed = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        return next((event.event_id for event in history.events if event.event_type == completed), 0)

    return asyncio.run(told())


def _overridden(world: World, name: str, what: str) -> str:
    """What the ledger says of it, once whoever watches over workflows has seen it."""
    Hand(world).command("audit", "histories", "--sweep")
    query = "SELECT body FROM ledger_entry WHERE type = 'workflow.overridden'"
    bodies = [json.loads(bytes(row["body"])) for row in world.rows(query)]
    return next((f"{what} by {one['by']}" for one in bodies if (one["workflow_id"], one["status"]) == (name, what)), "")


def _goes_on(world: World, name: str) -> bool:
    return "RUNNING" in asyncio.run(_statuses(world, name))


async def _statuses(world: World, name: str) -> list[str]:
    client = await world.client()
    return sorted(
        [str(one.status and one.status.name) async for one in client.list_workflows(f"WorkflowId = '{name}'")]
    )

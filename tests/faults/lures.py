"""Short cells that are in no matrix: each does what a planted bug cannot bear, goes on, and leaves it to the checker to
see what came of it. Without a bug everything holds.

Their numbers are those of the bugs, from 101 on.
"""

import os
import signal
from collections.abc import Callable
from datetime import timedelta

from tests.faults.answering import WITHIN_S, asked, committing, ordered, stock_moves, verdict, workflow_of
from tests.faults.cells import Cell, Proof, Run
from tests.faults.forging import nobody_is_asked, result_of
from tests.faults.producing import clock
from tests.faults.seed import DEAR
from tests.faults.story import MORNING, Story
from tests.faults.waiting import until
from tests.faults.world import World

ORDERS = ("I3", "I4", "I10")
WRITERS = ("walwriter", "background writer", "checkpointer")
SILENCE = timedelta(days=5)
"""Longer than the 96 hours after which a task expires."""
NEVER_SEEN_S = 120.0
LURES: dict[int, Cell] = {}


def lure(number: int, phase: str, name: str, holds: tuple[str, ...] = ORDERS) -> Callable[[Run], Run]:
    """Keep the function below as this cell."""

    def keep(run: Run) -> Run:
        LURES[number] = Cell(number, phase, name, run, holds)
        return run

    return keep


@lure(105, "P5", "a workflow of somebody's own claims that nobody needs to be asked")
def forged_order(world: World) -> Proof:
    """Started straight at Temporal, for a proposal that waits for a person; then the cutoff comes."""
    story = asked(world)
    alias = nobody_is_asked(world, story.task())
    closed = result_of(world, alias)
    story.cutoff()
    taken = "SELECT 1 FROM inbox WHERE event_id = %s"
    until(lambda: world.rows(taken, story.told[-1].id), WITHIN_S, "the cutoff in the inbox")
    if closed["order_id"]:
        story.in_state("placed", "empty")
    return Proof(1, f"{alias} ended as {closed['state']}: {closed['reason']}")


@lure(106, "P5", "PostgreSQL killed right after an approval was acknowledged, its background writers not run yet")
def killed_after_an_acknowledgement(world: World) -> Proof:
    """What it acknowledged it must have written itself."""
    story = asked(world)
    query = "SELECT pid FROM pg_stat_activity WHERE backend_type = ANY(%s)"
    writers = [row["pid"] for row in world.rows(query, list(WRITERS))]
    for pid in writers:
        os.kill(pid, signal.SIGSTOP)
    status, said = verdict(story, "pat")
    world.children["postgres"].kill()
    assert status == 200, f"the approval was told {status} {said}"
    world.heal()
    if world.rows("SELECT 1 FROM approval WHERE approval_id = %s", said["approval_id"]):
        ordered(story)
    recovered = world.children["postgres"].said("not properly shut down")
    return Proof(len(writers), f"{len(writers)} writers were held, and PostgreSQL recovered" if recovered else "")


@lure(107, "P5", "Temporal away when somebody answers")
def nobody_hears_the_answer(world: World) -> Proof:
    """The approval is stored and nobody can be told; when Temporal is back, the workflow hears of it all the same."""
    story, relay = asked(world), world.children["intake"]
    name = workflow_of(story)
    relay.pause()  # else it tries too, and perhaps for so long that Temporal is back
    world.children["temporal"].kill()
    status, said = verdict(story, "pat")
    assert status == 200, f"the approval was told {status} {said}"
    there = world.rows("SELECT actor FROM approval WHERE approval_id = %s", said["approval_id"])
    world.restart("temporal")
    relay.go_on()
    return Proof(world.children["temporal"].kills, f"approved while {name} was out of reach" if there else "")


@lure(108, "P4", "nobody answers, for five days")
def silence(world: World) -> Proof:
    """It is reminded of, escalated, and over. If there is an order nevertheless, its cutoff comes."""
    story = Story(world, DEAR, within_s=WITHIN_S)
    story.empty()
    decision = story.task()["decision_id"]
    story.tell(clock(story.place, MORNING + SILENCE))
    query = "SELECT state FROM replenishment WHERE decision_id = %s AND state <> 'proposed'"
    ended = until(lambda: world.rows(query, decision), WITHIN_S, "an end of the waiting")[0]["state"]
    if ended == "released":
        story.tell(clock(story.place, story.order()["cutoff_at"]))
        story.in_state("placed", "empty")
    return Proof(1, f"after {SILENCE.days} days it is {ended}")


@lure(110, "P10", "an entry is committed after the notary has certified later ones", holds=("I5", "I9"))
def late_entry(world: World) -> Proof:
    """The COMMIT of an approval is on its way while the notary signs twice; then it comes."""
    story = asked(world)
    with committing(story, "pat") as (held, asking):
        signed = _signed_again(world)
        world.proxies["postgres"].release(held)
        status, said = asking.result(WITHIN_S)
    assert status == 200, f"the approval was told {status} {said}"
    ordered(story)
    _signed_again(world)
    return Proof(held.caught, f"checkpoint {signed} was signed while the entry of {story.decided()} was on its way")


@lure(111, "P7", "the supplier knows the key, and its search does not find the order yet")
def known_key(world: World) -> Proof:
    """An answer is lost, the index is behind for longer than the settle window, and the second request is refused
    because of its key: that is no leave to order under another one."""
    world.connect("L2")
    story = Story(world)
    story.until_release()
    world.fault("drop_response", on="place")
    world.fault("stale_search", on="find", delay_s=NEVER_SEEN_S, requests=3)
    story.cutoff()
    order = story.placed(within_s=WITHIN_S)
    query = "SELECT said FROM order_request WHERE order_id = %s AND kind = 'send' ORDER BY seq"
    sent = [row["said"] for row in world.rows(query, order["order_id"])]
    fired = world.faults_fired()
    world.connect()
    return Proof(fired.get("stale_search", 0), f"sent {len(sent)} times: {sent}" if len(sent) > 1 else "")


@lure(114, "P5", "somebody approves a revision that is not the current one")
def outdated_approval(world: World) -> Proof:
    """What was read was amended since. If it counts nevertheless, its cutoff comes."""
    story = asked(world)
    old = story.task()
    stock_moves(story)
    new = until(lambda: now if (now := story.task())["revision"] == 2 else None, WITHIN_S, "revision 2")
    status, said = verdict(story, "pat", proposal=old["proposal_hash"])
    if status == 200:
        story.released()
        story.cutoff()
        story.in_state("placed", "empty")
    marker = f"{old['units']} units were approved when {new['units']} were proposed: {status} {said}"
    return Proof(int(old["proposal_hash"] != new["proposal_hash"]), marker)


def _signed_again(world: World) -> int:
    """The number of the checkpoint after the next: of a round that began from now on."""
    query = "SELECT coalesce(max(number), 0)::bigint AS n FROM ledger_checkpoint"
    goal = world.rows(query)[0]["n"] + 2
    return int(until(lambda: found if (found := world.rows(query)[0]["n"]) >= goal else 0, WITHIN_S, "two checkpoints"))

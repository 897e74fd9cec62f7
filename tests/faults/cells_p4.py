"""P4, a proposal waits for a person: for 90 days, through new code, and with sending stopped."""

from datetime import timedelta
from functools import partial

from tests.faults.builds import CHANGED, UNGUARDED, Builds, changed_copy
from tests.faults.cells import Proof, cell
from tests.faults.children import Child
from tests.faults.producing import clock
from tests.faults.seed import DEAR
from tests.faults.skipping import DAYS, Skipped
from tests.faults.story import MORNING, Story
from tests.faults.waiting import until
from tests.faults.world import World

WITHIN_S = 150.0
ORDERS = ("I2", "I3", "I4", "I10")
TOLD = (timedelta(hours=25), timedelta(hours=49), timedelta(hours=97))
"""Just after the 24, 48 and 96 hours of the policy."""


@cell(17, "P4", "90-day wait with reminders and expiry", holds=ORDERS)
def long_wait(world: World) -> Proof:
    """Ninety days on a server whose clock skips, with timers as when live, and four by what the business tells; each
    time the worker is killed on the way. Silence ends in nothing, and an answer that comes later is none."""
    live, told = Story(world, DEAR, within_s=WITHIN_S), Story(world, DEAR, within_s=WITHIN_S)
    live.empty()
    task = live.task()
    world.children["worker"].stop()  # its workflows are carried on the other server, by the other worker
    with Skipped(world, str(task["decision_id"])) as skipped:
        seen = [(skipped.next_change(), skipped.days)]
        skipped.kill_worker()
        seen += [(skipped.next_change(), skipped.days) for _ in range(2)]
        fired = skipped.worker.kills
    rows, days = zip(*seen, strict=True)
    assert rows == ((1, 0, "open"), (1, 1, "open"), (1, 1, "expired")), f"it was reminded, escalated and is {rows}"
    early = [day for day, due in zip(days, DAYS, strict=True) if day < due.days]
    assert not early, f"it came on the days {days}"
    world.restart("worker")
    told.empty()
    task = told.task()
    for number, span in enumerate(TOLD):
        told.tell(clock(told.place, MORNING + span))
        if number == 0:
            until(partial(_entries, world, told, "task.reminded"), WITHIN_S, "the reminder")
            for name in ("worker", "temporal"):
                world.children[name].kill()
            fired += 2
            world.restart("temporal", "worker")
    until(partial(_ended, world, told, "expired"), WITHIN_S, "the expiry")
    live.tell(clock(live.place, MORNING + TOLD[-1]))  # so that its other workflow ends as well
    for story in (live, told):
        found = {kind: _entries(world, story, kind) for kind in ("task.reminded", "task.escalated")}
        assert set(found.values()) == {1}, f"{story.place}: the ledger has {found}"
        status, answer = story.rest(
            "POST", f"/api/v1/tasks/{_decision(world, story)}/verdict",
            {"meaning": "approve", "proposal_hash": _hash(world, story)},
        )  # fmt: skip
        assert status == 409, f"an answer after the end was told {status} {answer}"
        lines = world.rows("SELECT 1 FROM order_line WHERE location = %s AND item = %s", story.place, DEAR)
        assert not lines, "silence became an order"
    return Proof(fired, f"after {days} days it was reminded, escalated and {rows[-1][2]}; an answer then was refused")


@cell(18, "P4", "worker replaced by new code during the wait (patched and pinned)", holds=ORDERS, world=World)
def new_code(world: World) -> Proof:
    """First code whose change is patched takes over what waits; then code whose change is not runs beside the one that
    what waits is pinned to. What waited ends as it began, and what is new goes the new way."""
    builds = Builds(world)
    old, new = Story(world, DEAR, within_s=WITHIN_S), Story(world, DEAR, within_s=WITHIN_S)
    old.empty()
    _reminded(world, old)
    worker = world.children["worker"]
    code = worker.env, worker.folder
    changed_copy(world, worker, CHANGED)
    world.restart("worker")
    new.empty()
    builds.waiting(new)
    _sent(old, new)
    patches = [builds.patches(story) for story in (old, new)]
    assert patches == [0, 1], f"old and new went {patches} times by the changed way"
    carried = builds.workers(old)
    assert len(carried) > 1, f"{old.place} was carried by {carried} alone"

    worker.env, worker.folder = code
    world.configure("worker", worker_build="one", worker_versioning="pinned")
    builds.make_current("one")
    pinned = builds.begun_under("one")
    _reminded(world, pinned)
    world.children["worker-2"] = other = Child(
        "worker-2", worker.argv, {**worker.env, "QM_WORKER_BUILD": "two"}, world.state / "logs" / "worker-2.log"
    )
    other.ready = partial(other.said, "worker runs")
    changed_copy(world, other, UNGUARDED)
    other.start()
    other.await_ready()
    builds.make_current("two")
    fresh = builds.begun_under("two")
    _sent(pinned, fresh)
    under = [builds.under(story) for story in (pinned, fresh)]
    assert under == [{"one"}, {"two"}], f"they were carried by the builds {under}"
    replaced = len(carried) - 1 + len(set.union(*under)) - 1
    return Proof(replaced, f"{old.place} by {len(carried)} workers, unpatched; the others each by {under}")


@cell(19, "P4", "stop flag set while waiting", holds=ORDERS, short=True)
def stopped_while_waiting(world: World) -> Proof:
    """Approved while sending is stopped: it wants to leave, is held, and leaves once when the switch is lifted."""
    held, free = Story(world, DEAR, within_s=WITHIN_S), Story(world, DEAR, within_s=WITHIN_S)
    for story in (held, free):
        story.empty()
    held.task()
    status, stop = held.rest(
        "POST", "/api/v1/stops", {"scope": "location", "subject": held.place, "reason": "the roof of this place leaks"}
    )
    assert status == 200, stop
    for story in (held, free):
        status, answer = story.approve()
        assert status == 200, answer
        story.released()
        story.cutoff()
    order = until(lambda: _order_held(held, stop["stop_id"]), WITHIN_S, "the order at its switch")
    free.placed()
    if not world.short:
        world.children["worker"].kill()
        world.restart("worker")
    sent = [one for one in world.evidence().booked() if one["location"] == held.place]
    assert not sent, f"{len(sent)} orders left although sending is stopped"
    requests = world.rows("SELECT 1 FROM order_request WHERE order_id = %s", order)
    assert not requests, f"{len(requests)} requests left although sending is stopped"
    fired = len(world.rows("SELECT 1 FROM ledger_entry WHERE stream = %s AND type = 'order.held'", f"order:{order}"))
    status, lifted = held.rest("POST", f"/api/v1/stops/{stop['stop_id']}/lift", {"reason": "the roof is mended"})
    assert status == 200, lifted
    held.placed()
    sent = [one for one in world.evidence().booked() if one["location"] == held.place]
    assert len(sent) == 1, f"{len(sent)} orders left when the switch was lifted"
    return Proof(fired, f"{order} was held by {stop['stop_id']}; {free.place} went meanwhile")


def _reminded(world: World, story: Story) -> None:
    """Its workflow waits, and has done something that no other code may do otherwise."""
    story.task()
    story.tell(clock(story.place, MORNING + TOLD[0]))
    until(partial(_entries, world, story, "task.reminded"), WITHIN_S, "the reminder")


def _sent(*stories: Story) -> None:
    """Approved, and sent at the cutoff of the cycle that it came into."""
    for story in stories:
        status, answer = story.approve()
        assert status == 200, answer
        story.released()
        story.tell(clock(story.place, story.order()["cutoff_at"]))
        story.placed()


def _order_held(story: Story, stop: str) -> str:
    order = story.order()
    return str(order["order_id"]) if order["held_by"] == stop else ""


def _decision(world: World, story: Story) -> str:
    query = "SELECT decision_id FROM task WHERE location = %s AND item = %s ORDER BY opened_at LIMIT 1"
    return str(world.rows(query, story.place, story.item)[0]["decision_id"])


def _hash(world: World, story: Story) -> str:
    query = "SELECT proposal_hash FROM task WHERE decision_id = %s"
    return str(world.rows(query, _decision(world, story))[0]["proposal_hash"])


def _entries(world: World, story: Story, kind: str) -> int:
    """How many entries of this kind the ledger has of its decision."""
    query = "SELECT count(*) AS n FROM ledger_entry WHERE stream = %s AND type = %s"
    return int(world.rows(query, _decision(world, story), kind)[0]["n"])


def _ended(world: World, story: Story, state: str) -> bool:
    query = "SELECT state FROM replenishment WHERE decision_id = %s"
    return bool(world.rows(query, _decision(world, story))[0]["state"] == state)

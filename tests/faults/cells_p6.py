"""P6, an order comes to be: the worker dies between the approval and the order that it allows."""

from functools import partial

from tests.faults.cells import Proof, cell
from tests.faults.seed import DEAR
from tests.faults.story import Story
from tests.faults.waiting import until
from tests.faults.world import World

WITHIN_S = 120.0
POINTS = ("orders.release:before", "orders.release:after", "orders.prepare:before", "orders.prepare:after")


@cell(25, "P6", "crash after approval, before intent commit", holds=("I2", "I3", "I4", "I10"), short=True)
def crash_before_intent(world: World) -> Proof:
    """Before and after the line is on its order, and before and after the order is prepared: each time kill -9."""
    fired: list[str] = []
    story = Story(world, DEAR, within_s=WITHIN_S)
    story.empty()
    story.task()
    points = POINTS[:1] if world.short else POINTS
    world.arm(points[0], "crash")
    status, answer = story.approve()
    assert status == 200, answer
    for number, point in enumerate(points):
        if point == "orders.prepare:before":
            story.released()
            story.cutoff()
        until(partial(world.fired, point), WITHIN_S, f"the failpoint {point}")
        world.children["worker"].died(WITHIN_S)
        fired += world.fired(point)
        if number + 1 < len(points):
            world.arm(points[number + 1], "crash")
        world.restart("worker")
    if world.short:
        story.released()
        story.cutoff()
    story.placed()
    lines = world.rows("SELECT count(*) AS n FROM order_line WHERE location = %s", story.place)[0]["n"]
    orders = world.rows("SELECT count(*) AS n FROM purchase_order WHERE location = %s", story.place)[0]["n"]
    assert (lines, orders) == (1, 1), f"{lines} lines on {orders} orders"
    return Proof(len(fired), f"the worker ended at {', '.join(fired)}" if len(fired) == len(points) else "")

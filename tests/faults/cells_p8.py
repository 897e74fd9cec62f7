"""P8, the answer is recorded: the worker dies with the supplier's yes in its hands."""

from functools import partial

from tests.faults.cells import Proof, cell
from tests.faults.story import Story
from tests.faults.waiting import until
from tests.faults.world import World

WITHIN_S = 150.0
POINTS = ("supplier.place:after", "orders.record_placed:before", "orders.record_placed:after")


@cell(31, "P8", "crash after 201, before recording the ERP id", holds=("I3", "I4", "I10"), short=True)
def crash_before_recording(world: World) -> Proof:
    """With the answer just read, with its record about to be committed, and just committed: an order for each."""
    fired: list[str] = []
    for point in POINTS[:1] if world.short else POINTS:
        story = Story(world, within_s=WITHIN_S)
        story.until_release()
        world.arm(point, "crash")
        story.cutoff()
        until(partial(world.fired, point), WITHIN_S, f"the failpoint {point}")
        world.children["worker"].died(WITHIN_S)
        booked = [order for order in world.evidence().booked() if order["location"] == story.place]
        assert len(booked) == 1, f"the supplier has {len(booked)} orders when the worker dies at {point}"
        world.restart("worker")
        story.placed()
        fired += world.fired(point)
    return Proof(len(fired), f"the worker ended at {', '.join(fired)}")

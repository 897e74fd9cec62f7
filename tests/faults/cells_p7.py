"""P7, an order is sent: what suppliers, networks and frozen workers can do to a request that must count once."""

from tests.faults.cells import Proof, cell
from tests.faults.proxy import Catch
from tests.faults.story import Story
from tests.faults.waiting import until
from tests.faults.world import World

SETTLES_WITHIN_S = 120.0
ORDERS = ("I3", "I4", "I10")


@cell(26, "P7", "ERP executes, response dropped (ExecuteAndTimeout)", holds=ORDERS, short=True)
def answer_dropped(world: World) -> Proof:
    """The order exists; the worker sees a broken connection. It must look before it sends again, and find it."""
    story = Story(world)
    story.until_release()
    trap = world.proxies["supplier"].trap(Catch.DROP_ANSWER, b"POST /orders", story.place.encode())
    story.cutoff()
    until(trap.answered.is_set, 60, "the supplier's answer")
    story.placed(within_s=SETTLES_WITHIN_S)
    doubts = world.rows(
        "SELECT body FROM ledger_entry WHERE stream = %s AND type = 'order.answered'",
        f"order:{story.order()['order_id']}",
    )
    unknown = [bytes(row["body"]).decode() for row in doubts if b'"unknown"' in bytes(row["body"])]
    return Proof(trap.caught, unknown[0] if unknown else "")

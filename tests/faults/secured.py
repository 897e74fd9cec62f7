"""The worker speaks TLS with its suppliers for a while, and its connections are reset in the handshake and later."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.faults.story import Story
from tests.faults.tls import Break, TlsFront
from tests.faults.waiting import until
from tests.faults.world import World

BROKEN_WITHIN_S = 60.0
HANDSHAKE = (Break.HELLO, Break.FLIGHT)


@contextmanager
def secured(world: World) -> Iterator[TlsFront]:
    """The front that the worker goes through; it believes this run's authority alone. Afterwards all is as it was."""
    worker = world.children["worker"]
    plain = worker.env
    front = TlsFront(world.loop, world.proxies["supplier"].port, world.state / "tls")
    try:
        worker.env = {**plain, "SSL_CERT_FILE": str(front.certificates.authority)}
        world.configure("worker", supplier_url=front.url)
        yield front
    finally:
        worker.env = plain
        front.close()
        world.restart("worker")


def resets(world: World, front: TlsFront, *, settles_within_s: float) -> dict[Break, str]:
    """Each kind of break, to an order of its own that is placed in the end. What the engine noted of the request.

    Raises:
        AssertionError: a broken handshake counts as more than nothing, or anything later as less than unknown.
    """
    stories, noted = {kind: Story(world) for kind in Break}, dict[Break, str]()
    for story in stories.values():
        story.empty()
    for kind, story in stories.items():
        story.decided()
        order = story.released()
        before = front.counts[kind]
        front.cut()
        front.arm(kind, *(() if kind in HANDSHAKE else (b"POST /orders", story.place.encode())))
        story.cutoff()
        until(partial(_struck, front, kind, before), BROKEN_WITHIN_S, f"a reset at {kind}")
        ended = story.in_state("placed", "received", "closed", "refused", within_s=settles_within_s)["state"]
        assert ended != "refused", f"a reset at {kind} became a supplier's no"
        query = "SELECT outcome, said FROM order_request WHERE order_id = %s AND kind = 'send' ORDER BY seq LIMIT 1"
        first = world.rows(query, order)[0]
        expected = "not_carried_out" if kind in HANDSHAKE else "unknown"
        assert first["outcome"] == expected, f"after a reset at {kind} the request counts as {first}"
        noted[kind] = first["said"]
    return noted


def _struck(front: TlsFront, kind: Break, before: int) -> bool:
    return front.counts[kind] > before

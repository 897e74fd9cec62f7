"""P1, the inbox commits: the database dies, falls silent, or takes no more writes in the middle of accepting events."""

from collections.abc import Callable
from datetime import timedelta

from tests.faults.cells import Proof, cell
from tests.faults.producing import counted
from tests.faults.proxy import Catch
from tests.faults.story import MORNING, Story
from tests.faults.tight_disk import refusal, tight_disk
from tests.faults.waiting import until
from tests.faults.world import World

WITHIN_S = 60.0


@cell(8, "P1", "Postgres kill -9 mid-commit", holds=("I1", "I2"), short=True)
def database_killed_mid_commit(world: World) -> Proof:
    """Twice: before the server heard COMMIT, and after it committed but before anybody was told."""
    fired = 0
    for catch in (Catch.HOLD_REQUEST, Catch.HOLD_ANSWER):
        story = Story(world)
        events = story.morning()
        trap = world.proxies["postgres"].trap(catch, events[0].id.encode(), b"COMMIT")
        story.tell(*events)
        until(trap.sprung.is_set, WITHIN_S, "intake's COMMIT")
        if catch is Catch.HOLD_ANSWER:
            until(trap.answered.is_set, WITHIN_S, "the server's answer to COMMIT")
        world.children["postgres"].kill()
        fired += trap.caught
        world.heal()
        story.finish()
    restarts = world.children["postgres"].log.read_text(errors="replace").count("not properly shut down")
    return Proof(fired, f"PostgreSQL recovered {restarts} times" if restarts >= 2 else "")


@cell(9, "P1", "commit done, reply lost", holds=("I1", "I2"), short=True)
def commit_done_reply_lost(world: World) -> Proof:
    """The batch is in the database; intake sees a broken connection and must take the same messages again."""
    story = Story(world)
    events = story.morning()
    trap = world.proxies["postgres"].trap(Catch.DROP_ANSWER, events[0].id.encode(), b"COMMIT")
    story.tell(*events)
    until(trap.answered.is_set, WITHIN_S, "the commit's answer")
    there = until(lambda: world.rows("SELECT event_id FROM inbox WHERE event_id = %s", events[0].id), 5, "the event")
    world.heal()
    story.finish()
    said = until(lambda: world.children["intake"].said("intake starts anew"), WITHIN_S, "intake's new start")
    return Proof(trap.caught, f"committed ({there[0]['event_id']}) and intake began anew" if said else "")


@cell(10, "P1", "Postgres read-only, then its disk full", holds=("I1", "I2", "I3", "I10"), short=True)
def database_takes_nothing(world: World) -> Proof:
    """As with a demoted primary every write fails; then those that need room. Intake waits; no event is a dead letter.

    The short form leaves the full disk out.
    """
    before = _dead_letters(world)
    world.alter_system("default_transaction_read_only", "on")
    try:
        story = Story(world)
        said = _refused(world, "read-only transaction", story.empty)
        taken = world.rows("SELECT 1 FROM inbox WHERE event_id = %s", story.told[0].id)
        assert not taken, "an event was accepted although nothing can be written"
    finally:
        world.alter_system("default_transaction_read_only", None)
    story.finish()
    assert _dead_letters(world) == before, "an outage made dead letters"
    if world.short:
        return Proof(said, "intake said that the server refused its write; read-only alone: the short form")
    if why := refusal(world):
        return Proof(said, f"read-only alone: this machine permits no mount ({why})")
    full, words = _disk_full(world)
    assert _dead_letters(world) == before, "a full disk made dead letters"
    return Proof(said + full, f"intake said that the server refused its write, and {words}")


def _disk_full(world: World) -> tuple[int, str]:
    """How often intake was refused, and what the server and intake said."""
    story = Story(world)
    with tight_disk(world) as disk:
        server = disk.fill()
        # More than the last pages of the tables can take.
        counts = [
            counted(story.place, story.item, 40, MORNING - timedelta(hours=10, seconds=n)) for n in range(60, 0, -1)
        ]

        def told() -> None:
            story.tell(*counts)
            story.empty()

        full = _refused(world, "No space left on device", told)
        ids = [one.id for one in story.told]
        taken = world.rows("SELECT count(*) AS n FROM inbox WHERE event_id = ANY(%s)", ids)[0]["n"]
        assert taken < len(ids), "every event was accepted although the disk is full"
        disk.clear()
        story.finish()
    return full, f"with {taken} of {len(ids)} events taken in the disk was full: {server}"


def _refused(world: World, words: str, act: Callable[[], object]) -> int:
    """How often intake says these words after the act, once it has done so twice: it tries again, and goes on."""
    log = world.children["intake"].log

    def said() -> int:
        return log.read_text(errors="replace").count(words)

    before = said()
    act()
    until(lambda: said() >= before + 2, WITHIN_S, f"intake's word of a {words}, twice")
    assert world.children["intake"].alive, "intake ended"
    return said() - before


def _dead_letters(world: World) -> int:
    return int(world.rows("SELECT count(*) AS n FROM dead_letter")[0]["n"])

"""P1, the inbox commits: the database dies, falls silent, or takes no more writes in the middle of accepting events."""

from tests.faults.cells import Proof, cell
from tests.faults.proxy import Catch
from tests.faults.story import Story
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


@cell(10, "P1", "Postgres takes no writes", holds=("I1", "I2", "I3", "I10"), short=True)
def database_read_only(world: World) -> Proof:
    """As with a full disk or a demoted primary: every write fails. Intake waits, nothing becomes a dead letter."""
    before = world.rows("SELECT count(*) AS n FROM dead_letter")[0]["n"]
    world.alter_system("default_transaction_read_only", "on")
    refused = 0
    try:
        story = Story(world)
        story.empty()
        said = "read-only transaction"
        until(lambda: world.children["intake"].said(said), WITHIN_S, "intake's refused write")
        refused = 1
        taken = world.rows("SELECT 1 FROM inbox WHERE event_id = %s", story.told[0].id)
        assert not taken, "an event was accepted although nothing can be written"
    finally:
        world.alter_system("default_transaction_read_only", None)
    story.finish()
    after = world.rows("SELECT count(*) AS n FROM dead_letter")[0]["n"]
    assert after == before, "an outage made dead letters"
    return Proof(refused, "intake said that the server refused its write")

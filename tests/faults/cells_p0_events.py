"""P0, events are produced and consumed: intake dies with events in its hands, or cannot say what it could not read."""

import uuid
from datetime import timedelta
from functools import partial
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.faults.cells import Proof, cell
from tests.faults.producing import Told, counted, sold
from tests.faults.proxy import Catch
from tests.faults.seed import PLAIN
from tests.faults.story import MORNING, Story
from tests.faults.waiting import until
from tests.faults.world import World

WITHIN_S = 90.0
HELD_S = 600.0
"""Longer than any cell: a process that is held there is killed there."""
POINTS = ("intake.poll:after", "inbox.accept:before", "inbox.accept:after")
ACKNOWLEDGED = "dead_letters.publish:after"
DEAD_LETTERS = "qm.dead-letters"
GROUP = "quartermaster-intake"
BURST = 200
KILLED = -9


@cell(2, "P0", "consumer kill -9 between poll and commit", holds=("I1", "I2"), short=True)
def consumer_killed(world: World) -> Proof:
    """With the messages just read, with their transaction about to be committed, and just committed."""
    fired, seen = 0, []
    for point in POINTS[1:2] if world.short else POINTS:
        story = Story(world)
        world.arm(point, "delay", HELD_S)
        story.empty()
        until(partial(world.fired, point), WITHIN_S, f"the failpoint {point}")
        intake = world.children["intake"]
        assert intake.alive, "intake ended before it was killed"
        intake.kill()
        assert intake.exit_code == KILLED, f"intake ended with {intake.exit_code}"
        taken = _taken(world, story)
        assert bool(taken) == (point == POINTS[-1]), f"{taken} events were in the inbox when intake died at {point}"
        world.restart("intake")
        story.finish()
        assert _taken(world, story) == len({one.id for one in story.told}), "an event is missing"
        fired += len(world.fired(point))
        seen.append(f"{point}: {taken} events in the inbox")
    return Proof(fired, f"when intake was killed: {', '.join(seen)}; afterwards all")


@cell(7, "P0", "poison message inside a burst; DLQ broker unreachable", holds=("I1", "I2"), short=True)
def poison_in_a_burst(world: World) -> Proof:
    """What cannot be read is kept, and its offset is not let go before the broker has it among the dead letters."""
    story = Story(world)
    before = MORNING - timedelta(hours=10)  # an hour before the shelf is counted empty: two counts never tie
    place, item = story.place, PLAIN
    poison = Told("qm.sales", f"{place}/{item}", uuid.uuid4().hex, b"\xff\xfe no event " + place.encode(), place, item)
    sales = [sold(place, item, 1, before + timedelta(seconds=number)) for number in range(1, BURST + 1)]
    # The producer of dead letters names their topic in all that it asks of the broker; nobody else ever does.
    trap = world.proxies["broker"].trap(Catch.RESET, DEAD_LETTERS.encode(), times=10**9)
    story.tell(counted(place, item, 2 * BURST, before), *sales[: BURST // 2], poison, *sales[BURST // 2 :])
    letter = until(partial(_letter, world, poison), WITHIN_S, "the dead letter in the database")
    until(lambda: trap.caught > 2, WITHIN_S, "attempts to publish the dead letter")
    intake = world.children["intake"]
    if not world.short:
        until(lambda: intake.said("of 1 messages were not acknowledged"), WITHIN_S, "the end of its patience")
    held = _committed(world, letter)
    assert held <= letter["kafka_offset"], f"offset {letter['kafka_offset']} was let go: {held} is committed"
    assert _letter(world, poison)["published_at"] is None, "it counts as published, and the broker was unreachable"
    fired = trap.caught
    if not world.short:
        world.arm(ACKNOWLEDGED, "delay", HELD_S)
    world.proxies["broker"].heal()
    if not world.short:
        # The broker has it, and dies whoever should have noted that: it is published once more.
        until(partial(world.fired, ACKNOWLEDGED), WITHIN_S, f"the failpoint {ACKNOWLEDGED}")
        intake.kill()
        assert _letter(world, poison)["published_at"] is None, "it counts as published before anybody noted it"
        world.restart("intake")
    came = _published(world, poison)
    assert came.startswith(f"qm.sales {letter['kafka_offset']} "), f"the dead letter says that it is from {came}"
    until(lambda: _letter(world, poison)["published_at"], WITHIN_S, "the note that it is published")
    # One more of its partition: a new session begins behind what is done, and lets go of nothing before it took more.
    story.tell(sold(place, item, 1, before + timedelta(seconds=BURST + 1)))
    until(lambda: _committed(world, letter) > letter["kafka_offset"], WITHIN_S, "the commit of its offset")
    story.empty()
    story.finish()
    return Proof(fired, f"{held} was committed while {letter['kafka_offset']} could not be published; it came: {came}")


def _taken(world: World, story: Story) -> int:
    """How many of its events the inbox has."""
    query = "SELECT count(*) AS n FROM inbox WHERE event_id = ANY(%s)"
    return int(world.rows(query, [one.id for one in story.told])[0]["n"])


def _letter(world: World, told: Told) -> dict[str, Any]:
    """What the database keeps of a message that could not be read; empty while it has nothing."""
    found = world.rows("SELECT * FROM dead_letter WHERE payload_sha256 = %s", told.sha256)
    return found[0] if found else {}


def _reader(world: World, group: str) -> Consumer:
    return Consumer(
        {"bootstrap.servers": world.proxies["broker"].address, "group.id": group, "enable.auto.commit": False,
         "auto.offset.reset": "earliest", "log_level": 2}
    )  # fmt: skip


def _committed(world: World, letter: dict[str, Any]) -> int:
    """The offset that intake has let go at the broker, of the message's partition; negative for none yet."""
    reader = _reader(world, GROUP)
    try:
        place = TopicPartition(letter["topic"], letter["partition"])
        return int(reader.committed([place], timeout=20)[0].offset)
    finally:
        reader.close()


def _published(world: World, told: Told) -> str:
    """Where a dead letter with these bytes came from, as the headers say that it has at the broker."""
    reader = _reader(world, uuid.uuid4().hex)

    def read() -> str:
        message = reader.poll(1.0)
        if message is None or message.error() is not None or message.value() != told.body:
            return ""
        headers = dict(message.headers() or [])
        said = [headers[name] for name in ("x-orig-topic", "x-orig-offset", "x-error-code")]
        return " ".join(one.decode() if isinstance(one, bytes) else str(one) for one in said)

    try:
        topic = reader.list_topics(DEAD_LETTERS, timeout=20).topics[DEAD_LETTERS]
        reader.assign([TopicPartition(DEAD_LETTERS, number, 0) for number in topic.partitions])
        return until(read, WITHIN_S, "the dead letter at the broker")
    finally:
        reader.close()

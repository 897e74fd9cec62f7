"""P0, the broker and the consumer group: killed, frozen, stormed, cut short and read anew. All on Apache Kafka."""

import asyncio
import logging
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.service import RPCError

from tests.faults.apache import kafka_world
from tests.faults.cells import Proof, cell
from tests.faults.children import Child
from tests.faults.producing import OK, sold
from tests.faults.story import MORNING, Story
from tests.faults.waiting import until
from tests.faults.world import World

_log = logging.getLogger(__name__)

WITHIN_S = 120.0
GROUP = "quartermaster-intake"
POLLED = "intake.poll:after"
BURST = 3_000
STORM_S, JOIN_S = 180.0, 2.0
FENCED = "was taken over by another consumer"


@cell(1, "P0", "broker kill -9 during produce", holds=("I1", "I2"), world=kafka_world)
def broker_killed(world: World) -> Proof:
    """Acknowledged before, unknown while it is away, retried after: what was acknowledged is there, and once."""
    story, broker = Story(world, within_s=WITHIN_S), world.children["broker"]
    story.empty()
    acknowledged: Counter[str] = Counter()
    sales = [sold(story.place, story.item, 1, MORNING - timedelta(seconds=n)) for n in range(1, BURST + 1)]
    with ThreadPoolExecutor(1) as telling:
        for number, start in enumerate(range(0, BURST, 500)):
            told = telling.submit(world.teller.tell, *sales[start : start + 500])
            if number % 2:
                broker.kill()
                world.restart("broker")
            acknowledged.update(told.result())
    story.told += sales
    query = "SELECT count(*) AS n FROM inbox WHERE event_id = ANY(%s)"
    wanted, ids = acknowledged[OK], [one.id for one in sales]
    until(lambda: world.rows(query, ids)[0]["n"] >= wanted, WITHIN_S, f"{wanted} acknowledged events in the inbox")
    story.finish()
    recovered = broker.log.read_text(errors="replace").count("no clean shutdown file was found")
    said = f"{wanted} of {BURST} acknowledged; the broker recovered its log {recovered} times"
    return Proof(broker.kills, said if recovered else "")


@cell(
    3, "P0", "consumer SIGSTOP beyond its session, another takes over, SIGCONT", holds=("I1", "I2"), world=kafka_world
)
def zombie_consumer(world: World) -> Proof:
    """Frozen with messages in its hands: when it wakes, its transaction moves no position and it drops the work."""
    story, intake = Story(world, within_s=WITHIN_S), world.children["intake"]
    world.arm(POLLED, "delay", 5.0)
    story.empty()
    until(partial(world.fired, POLLED), WITHIN_S, f"the failpoint {POLLED}")
    intake.pause()
    assert not _taken(world, story), "the events were accepted before intake was frozen"
    other = _another(world, "takeover")
    other.start()
    try:
        until(lambda: _taken(world, story) == len(story.told), WITHIN_S, "the other consumer taking the events in")
        before = _positions(world)
        intake.go_on()
        until(lambda: intake.said(FENCED), WITHIN_S, "the zombie's refused transaction")
        assert all(_positions(world)[place] >= offset for place, offset in before.items()), "a position went back"
        story.finish()
    finally:
        other.stop()
    taken = _taken(world, story)
    return Proof(len(world.fired(POLLED)), f"{taken} of {len(story.told)} events once; the zombie moved 0 rows")


@cell(
    4, "P0", "rebalance storm: join and leave every 2 s (classic protocol, then KIP-848)", holds=("I1", "I2"),
    world=kafka_world,
)  # fmt: skip
def rebalance_storm(world: World) -> Proof:
    """The same storm by each protocol; between them everybody leaves, for only an empty group changes its protocol."""
    story = Story(world, within_s=WITHIN_S)
    story.empty()
    storms = [_storm(world, story, "CLASSIC")]
    world.children["intake"].stop()
    until(lambda: _group(world)[1] == 0, WITHIN_S, "the group without members")
    world.configure("intake", kafka_group_protocol="consumer")
    storms.append(_storm(world, story, "CONSUMER"))
    story.finish()
    return Proof(sum(storm.joined for storm in storms), "; ".join(storm.said for storm in storms))


@dataclass
class Storm:
    """What happened in one storm."""

    protocol: str
    joined: int = 0
    killed: int = 0
    takeovers: int = 0
    """How often a partition's position got another owner in the database."""
    types: Counter[str] = field(default_factory=Counter)
    """By which protocol the broker said that the group works, while it had members."""

    @property
    def proven(self) -> bool:
        """Whether there was one."""
        return self.takeovers > 3 and bool(self.types)

    @property
    def said(self) -> str:
        """In words."""
        types = " and ".join(f"{kind} {times} times" for kind, times in self.types.items())
        return f"{self.joined} joined, {self.killed} were killed, {self.takeovers} takeovers, the group was {types}"


def _storm(world: World, story: Story, protocol: str) -> Storm:
    """Members come and are killed or stopped in turn while events come; no position ever goes back, and partitions do
    go from hand to hand, by this protocol alone."""
    storm, epochs, before = Storm(protocol), _epochs(world), _positions(world)
    began, least_s = time.monotonic(), 20.0 if world.short else STORM_S
    members: list[Child] = []
    try:
        # A slow machine gets the time for its processes to come up, so that there is a storm at all.
        while (passed := time.monotonic() - began) < least_s or (not storm.proven and passed < least_s + WITHIN_S):
            member = _another(world, f"storm-{protocol.lower()}-{storm.joined + 1}")
            member.start()
            members.append(member)
            storm.joined += 1
            at = MORNING - timedelta(seconds=storm.joined)
            story.tell(*(sold(story.place, story.item, 1, at) for _ in range(50)))
            time.sleep(JOIN_S)  # the storm itself
            now = _positions(world)
            assert all(now.get(place, 0) >= offset for place, offset in before.items()), f"{before} became {now}"
            before = now
            storm.takeovers = _epochs(world) - epochs
            with suppress(KafkaException, TimeoutError):  # it has no word for us in the middle of it
                kind, there = _group(world)
                storm.types.update([kind] if there else [])
            if len(members) > 2:
                leaver = members.pop(0)
                if storm.joined % 2:
                    leaver.kill()
                    storm.killed += 1
                else:
                    leaver.stop()
    finally:
        for member in members:
            member.stop()
    until(lambda: _taken(world, story) == len(story.told), WITHIN_S, "every event of the storm in the inbox")
    assert storm.proven, f"no storm of the {protocol} protocol: {storm.said}"
    assert set(storm.types) == {protocol}, f"not by the {protocol} protocol alone: {storm.said}"
    return storm


@cell(5, "P0", "committed offset deleted; stored position out of range", holds=("I1", "I2"), world=kafka_world)
def position_out_of_range(world: World) -> Proof:
    """The broker's memory of offsets is nothing to us. A position that the log does not have stops intake, loudly."""
    story, intake = Story(world, within_s=WITHIN_S), world.children["intake"]
    story.empty()
    until(lambda: _taken(world, story) == len(story.told), WITHIN_S, "the first events in the inbox")
    intake.stop()
    admin = AdminClient({"bootstrap.servers": world.proxies["broker"].address})
    places = [place for place, offset in _positions(world).items() if offset]
    deleted = _forget(admin)
    later = [sold(story.place, story.item, 1, MORNING - timedelta(minutes=n)) for n in range(1, 20)]
    story.tell(*later)
    world.restart("intake")
    until(lambda: _taken(world, story) == len(story.told), WITHIN_S, "intake going on from its own position")
    intake.stop()

    topic, partition = places[0]
    was = _positions(world)[topic, partition]
    _move(world, topic, partition, was + 1_000)
    intake.start()
    intake.died(WITHIN_S)
    code, stopped = intake.exit_code, _positions(world)[topic, partition]
    assert code, "intake ended as if all were well"
    assert stopped == was + 1_000, "intake moved a position that it could not read from"
    said = "LogChanged" if intake.said("LogChanged") else "log ends" if intake.said("the log ends at") else ""
    said = said or ("out of range" if intake.said("Offset out of range") else "")
    _move(world, topic, partition, was)
    world.restart("intake")
    story.finish()
    return Proof(1, f"{deleted} committed offsets deleted; intake ended with {code}: {said}" if said else "")


@cell(6, "P0", "topic replayed from 0 after Temporal retention expired", holds=("I2", "I3"), world=kafka_world)
def replayed_from_the_beginning(world: World) -> Proof:
    """Everything comes again under another log id when Temporal remembers nothing: the inbox and the keys know it."""
    stories = [Story(world, within_s=WITHIN_S) for _ in range(2)]
    for story in stories:
        story.play()
    forgotten = asyncio.run(_forget_workflows(world))
    booked, before = len(world.evidence().booked()), _duplicates(world)
    world.configure("intake", kafka_log_id="replayed")
    told = sum(len(story.told) for story in stories)
    until(lambda: _duplicates(world) - before >= told, WITHIN_S, f"{told} events recognised as duplicates")
    another = Story(world, within_s=WITHIN_S)
    another.play()
    assert len(world.evidence().booked()) == booked + 1, "a replayed event became an order"
    again = _duplicates(world) - before
    return Proof(again, f"{forgotten} workflows forgotten; {again} events came again" if forgotten else "")


def _another(world: World, name: str) -> Child:
    """One more process of intake, in the same group."""
    settings = world.children["intake"]
    child = world.process(name, [sys.executable, "-m", "workers.cli", "intake", "--events-only"])
    child.env = dict(settings.env)
    return child


def _taken(world: World, story: Story) -> int:
    query = "SELECT count(*) AS n FROM inbox WHERE event_id = ANY(%s)"
    return int(world.rows(query, [one.id for one in story.told])[0]["n"])


def _positions(world: World) -> dict[tuple[str, int], int]:
    query = "SELECT topic, partition, next_offset FROM kafka_position WHERE log_id = %s"
    found = world.rows(query, world.settings.kafka_log_id)
    return {(row["topic"], row["partition"]): row["next_offset"] for row in found}


def _epochs(world: World) -> int:
    return int(world.rows("SELECT coalesce(sum(owner_epoch), 0) AS n FROM kafka_position")[0]["n"])


def _move(world: World, topic: str, partition: int, offset: int) -> None:
    query = """UPDATE kafka_position SET next_offset = %s WHERE log_id = %s AND topic = %s AND partition = %s
               RETURNING next_offset"""
    assert world.rows(query, offset, world.settings.kafka_log_id, topic, partition)


def _duplicates(world: World) -> int:
    """Events that were recognised as taken in before, as the ledger counts them."""
    query = """SELECT coalesce(sum((convert_from(body, 'UTF8')::jsonb ->> 'duplicates')::int), 0) AS n
               FROM ledger_entry WHERE type = 'events.accepted'"""
    return int(world.rows(query)[0]["n"])


def _group(world: World) -> tuple[str, int]:
    """By which protocol our group works and how many members it has, in the broker's own words."""
    admin = AdminClient({"bootstrap.servers": world.proxies["broker"].address}, logger=_log)
    found = admin.describe_consumer_groups([GROUP], request_timeout=10)[GROUP].result(12)
    return found.type.name, len(found.members)


def _forget(admin: AdminClient) -> int:
    """Delete what the group committed at the broker, once its last member is gone; how many partitions that were."""

    def deleted() -> int:
        (listed,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)]).values()
        parts = [TopicPartition(part.topic, part.partition) for part in listed.result(10).topic_partitions]
        try:
            admin.delete_consumer_groups([GROUP])[GROUP].result(10)
        except KafkaException:
            return 0
        return len(parts)

    return until(deleted, WITHIN_S, "the deletion of the committed offsets")


async def _forget_workflows(world: World) -> int:
    """Delete every closed workflow, as retention does; how many."""
    client, gone = await world.client(), 0
    async for one in client.list_workflows("ExecutionStatus != 'Running'"):
        request = DeleteWorkflowExecutionRequest(
            namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=one.id, run_id=one.run_id)
        )
        try:
            await client.workflow_service.delete_workflow_execution(request)
        except RPCError:
            continue  # gone already
        gone += 1
    return gone

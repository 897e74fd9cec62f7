"""A shop's whole life in any order: events, twice, late, forged or broken; zombies, crashes, approvals, amendments."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.model.shop import ITEMS, LOCATION, NAMES, PEOPLE, POLICY, Laws, Proposal, Shop
from workflows.domain.errors import MalformedEvent
from workflows.domain.events import AnyData, Event, SaleRecorded, StockCounted, StockReceived, parse
from workflows.domain.people import Permission
from workflows.domain.policies import RiskTier
from workflows.domain.positions import movement_of, on_hand_after

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
PARTITIONS = 2


class Consumer:
    """One process of intake: what it has read of each partition, and not yet committed."""

    def __init__(self) -> None:
        self.owned: dict[int, tuple[int, int]] = {}
        """Epoch and next offset, by partition, as this process believes."""
        self.read: dict[int, list[tuple[int, bytes]]] = {}


class Shopping(RuleBasedStateMachine):
    """I1, I2, I4 and I7. `laws` are other ones where a bug is planted."""

    laws = Laws()

    def __init__(self) -> None:
        super().__init__()
        self.shop = Shop(self.laws)
        self.log: dict[int, list[bytes]] = {number: [] for number in range(PARTITIONS)}
        self.consumers = [Consumer(), Consumer()]
        self.written: list[tuple[int, bytes]] = []
        self.count = 0
        self.hashes: dict[str, list[str]] = {}
        """Every proposal hash that somebody may have on the screen."""
        self.released: dict[str, bool] = {}

    def _produce(self, data: AnyData, hours: int) -> None:
        self.count += 1
        event = Event.of(data, id=f"e{self.count}", source="till", time=NOON + timedelta(hours=hours))
        self._append(ITEMS.index(event.data.item) % PARTITIONS, event.to_bytes())  # type: ignore[union-attr]

    def _append(self, partition: int, raw: bytes) -> None:
        self.log[partition].append(raw)
        self.written.append((partition, raw))

    @rule(item=st.sampled_from(ITEMS), units=st.integers(1, 30), hours=st.integers(-5, 5))
    def sale(self, item: str, units: int, hours: int) -> None:
        """On time, early or late: what counts is when it says that it was."""
        self._produce(SaleRecorded(item=item, location=LOCATION, sale_id=f"s{self.count}", units=units), hours)

    @rule(item=st.sampled_from(ITEMS), units=st.integers(0, 40), hours=st.integers(-5, 5))
    def count_of_the_shelf(self, item: str, units: int, hours: int) -> None:
        self._produce(StockCounted(item=item, location=LOCATION, on_hand_units=units), hours)

    @rule(item=st.sampled_from(ITEMS), units=st.integers(1, 60), hours=st.integers(-5, 5))
    def receipt(self, item: str, units: int, hours: int) -> None:
        self._produce(StockReceived(item=item, location=LOCATION, units=units), hours)

    @precondition(lambda self: self.written)
    @rule(which=st.integers(0, 99), forged=st.booleans())
    def the_same_again(self, which: int, forged: bool) -> None:
        """A producer repeats itself; or somebody uses an id again for something else."""
        partition, raw = self.written[which % len(self.written)]
        if forged and raw.startswith(b"{"):
            told = json.loads(raw)
            told["time"] = "2025-03-03T11:11:11Z"
            raw = json.dumps(told).encode()
        self._append(partition, raw)

    @rule(partition=st.integers(0, PARTITIONS - 1))
    def rubbish(self, partition: int) -> None:
        self._append(partition, b"\xff no event %d" % self.count)

    @rule(who=st.integers(0, 1), partition=st.integers(0, PARTITIONS - 1))
    def rebalance(self, who: int, partition: int) -> None:
        """It takes the partition over; the other one does not hear of it."""
        consumer = self.consumers[who]
        consumer.owned[partition] = self.shop.take_over(partition)
        consumer.read.pop(partition, None)

    @rule(who=st.integers(0, 1), partition=st.integers(0, PARTITIONS - 1), most=st.integers(1, 9))
    def poll(self, who: int, partition: int, most: int) -> None:
        consumer = self.consumers[who]
        if partition in consumer.owned and partition not in consumer.read:
            epoch, start = consumer.owned[partition]
            batch = list(enumerate(self.log[partition]))[start : start + most]
            consumer.read[partition] = batch
            consumer.owned[partition] = epoch, start + len(batch)
            if not self.laws.moves_position_with_the_events:
                self.shop.next_offset[partition] = start + len(batch)

    @rule(who=st.integers(0, 1), partition=st.integers(0, PARTITIONS - 1))
    def commit(self, who: int, partition: int) -> None:
        consumer = self.consumers[who]
        if partition in consumer.read and not self.shop.accept(
            partition, consumer.owned[partition][0], consumer.read.pop(partition)
        ):
            consumer.owned.pop(partition)

    @rule(who=st.integers(0, 1))
    def crash(self, who: int) -> None:
        self.consumers[who] = Consumer()

    @rule()
    def the_topic_is_read_from_its_beginning(self) -> None:
        """Another log id: every position is new, and everything comes again."""
        self.shop.next_offset.clear()
        self.consumers = [Consumer(), Consumer()]

    @precondition(lambda self: self.shop.needs)
    @rule(which=st.integers(0, 9), units=st.sampled_from((20, 40, 120, 300)))
    def decide(self, which: int, units: int) -> None:
        """A batch is assessed; perhaps for the second time."""
        need = self.shop.needs[-1 - which % len(self.shop.needs)]
        self.shop.decide(need, units)
        self._shown(need)

    @rule(item=st.sampled_from(ITEMS), units=st.sampled_from((20, 120, 300)))
    def a_proposal_waits(self, item: str, units: int) -> None:
        """The long way from an empty shelf to a proposal, in one step: nothing went wrong on it."""
        self.count_of_the_shelf(item, 0, 5)
        partition = ITEMS.index(item) % PARTITIONS
        self.rebalance(0, partition)
        self.poll(0, partition, 10_000)
        self.commit(0, partition)
        if self.shop.needs:
            self.decide(0, units)

    def _shown(self, need: str) -> Proposal:
        proposal = self.shop.proposals[need]
        self.hashes.setdefault(need, []).append(proposal.proposal_hash)
        return proposal

    def _waiting(self, which: int) -> str:
        waiting = [need for need, one in self.shop.proposals.items() if one.state == "proposed"]
        return (waiting or list(self.shop.proposals))[which % len(waiting or self.shop.proposals)]

    @precondition(lambda self: self.shop.proposals)
    @rule(which=st.integers(0, 3), units=st.sampled_from((20, 40, 120, 300)))
    def amend(self, which: int, units: int) -> None:
        need = self._waiting(which)
        self.shop.rescore(need, units)
        self._shown(need)

    @precondition(lambda self: self.shop.proposals)
    @rule(which=st.integers(0, 3), who=st.sampled_from(NAMES), stale=st.booleans(), times=st.integers(1, 2))
    def approve(self, which: int, who: str, stale: bool, times: int) -> None:
        """Of what is shown now, or of what was shown first; once or twice."""
        need = self._waiting(which)
        for _ in range(times):
            self.shop.answer(need, who, self.hashes[need][0 if stale else -1])

    @precondition(lambda self: self.shop.proposals)
    @rule(which=st.integers(0, 3))
    def undo(self, which: int) -> None:
        """Whoever signed last takes it back."""
        need = self._waiting(which)
        if signed := self.shop.proposals[need].approvals:
            self.shop.undo(need, signed[-1].actor)

    @precondition(lambda self: self.shop.proposals)
    @rule(which=st.integers(0, 3))
    def expire(self, which: int) -> None:
        self.shop.expire(self._waiting(which))

    @precondition(lambda self: self.shop.proposals)
    @rule(which=st.integers(0, 3), stale=st.booleans())
    def release(self, which: int, stale: bool) -> None:
        """The workflow asks for it, or somebody who forged the request; each asks the gate, and both may ask twice."""
        need = self._waiting(which)
        for _ in range(2):
            before = self.shop.proposals[need]
            agreed = self._agreed(before)
            if self.shop.release(need, self.hashes[need][0 if stale else -1], NOON):
                self.released[need] = agreed

    def _agreed(self, proposal: Proposal) -> bool:
        """I4 in its own words: enough different people who may, of this very proposal, who did not take it back."""
        if proposal.tier is not RiskTier.REVIEW:
            return True
        signed = {
            one.actor for one in proposal.approvals
            if not one.withdrawn and one.proposal_hash == proposal.proposal_hash and one.units == proposal.units
        }  # fmt: skip
        may = {name for name in signed if name in PEOPLE and PEOPLE[name].may(Permission.ANSWER, LOCATION)}
        rich = {name for name in may if (PEOPLE[name].approval_limit or proposal.value) >= proposal.value}
        limit = POLICY.four_eyes_above
        return len(rich) >= (2 if limit is not None and proposal.value > limit else 1)

    @invariant()
    def nothing_risky_left_without_its_people(self) -> None:
        assert all(self.released.values()), f"I4: {[need for need, agreed in self.released.items() if not agreed]}"

    @invariant()
    def one_decision_and_one_line_for_each_need(self) -> None:
        needs = self.shop.needs
        assert len(set(needs)) == len(needs), f"I2: {needs}"
        assert len(set(self.shop.decided)) == len(self.shop.decided), f"I2: {self.shop.decided}"
        assert len({need for _, need, _ in self.shop.lines}) == len(self.shop.lines), f"I2: {self.shop.lines}"
        for item in ITEMS:
            waiting = [
                need for need in needs if need.split(":")[1] == item
                and (need not in self.shop.proposals or self.shop.proposals[need].state == "proposed")
            ]  # fmt: skip
            assert len(waiting) <= 1, f"I2: {waiting} are open together"

    @invariant()
    def the_shelf_is_the_fold_of_the_events(self) -> None:
        first: dict[tuple[str, str], Event] = {}
        for event in self.shop.taken:
            first.setdefault((event.source, event.id), event)
        for item in ITEMS:
            moved = [m for event in first.values() if (m := movement_of(event)) and m.item == item]
            assert self.shop.shelf.get(item, 0) == on_hand_after(moved), f"I7: {item}"

    def teardown(self) -> None:
        """I1: read to the end, everything that was written is in the inbox or among the dead letters."""
        for partition in range(PARTITIONS):
            self.rebalance(0, partition)
            self.poll(0, partition, 10_000)
            self.commit(0, partition)
        buried = {raw for _, _, raw in self.shop.dead}
        for _, raw in self.written:
            try:
                event = parse(raw)
            except MalformedEvent:
                assert raw in buried, f"I1: {raw!r} is nowhere"
                continue
            assert (event.source, event.id) in self.shop.inbox, f"I1: {event.id} is nowhere"
            known = [one for _, one in self.written if _same(one, event)]
            assert len(set(known)) == 1 or any(one in buried for one in known), f"I1: an id of two events: {event.id}"
        self.the_shelf_is_the_fold_of_the_events()


def _same(raw: bytes, event: Event) -> bool:
    try:
        other = parse(raw)
    except MalformedEvent:
        return False
    return (other.source, other.id) == (event.source, event.id)

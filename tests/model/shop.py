"""PostgreSQL as a shop's world sees it: each method is one transaction over plain dictionaries, with the real rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from tests.fakes.people import ADA, BOB, EVERYBODY
from workflows.domain import authority
from workflows.domain.authority import Signature
from workflows.domain.errors import MalformedEvent
from workflows.domain.events import Event, content_digest, parse
from workflows.domain.identity import digest, need_id
from workflows.domain.limits import Place
from workflows.domain.orders import order_cycle
from workflows.domain.people import Person
from workflows.domain.policies import Policy, RiskTier
from workflows.domain.positions import Movement, movement_of, on_hand_after

LOCATION, ITEMS = "LEEDS", ("OAT", "RYE")
UNIT_COST = Decimal(10)
POLICY = Policy(auto_value_limit=Decimal(300), four_eyes_above=Decimal(2000))
WATCH_LEVEL = 10
PEOPLE = {person.name: person for person in EVERYBODY}


@dataclass
class Laws:
    """What is in force; a planted bug replaces one."""

    dedupes: bool = True
    moves_position_with_the_events: bool = True
    fences_zombies: bool = True
    refuses_reused_ids: bool = True
    binds_to_hash: bool = True
    two_people: bool = True
    voids_when_amended: bool = True
    expiry_approves: bool = False
    gate_looks_at_withdrawals: bool = True
    fold: Callable[[Sequence[Movement]], int] = on_hand_after
    one_open_need: bool = True


@dataclass
class Approval:
    """A signature that was stored."""

    actor: str
    proposal_hash: str
    units: int
    complete: bool
    withdrawn: bool = False


@dataclass
class Proposal:
    """A decision as it is now, with everything that was said about it."""

    decision_id: str
    units: int
    revision: int = 1
    state: str = "proposed"
    approvals: list[Approval] = field(default_factory=list)
    released_units: int = 0

    @property
    def proposal_hash(self) -> str:
        """Of what the planner sees."""
        return digest([self.decision_id, self.revision, self.units])

    @property
    def value(self) -> Decimal:
        """In money."""
        return self.units * UNIT_COST

    @property
    def tier(self) -> RiskTier:
        """Whether a person must agree."""
        return RiskTier.REVIEW if self.value > POLICY.auto_value_limit else RiskTier.AUTO


@dataclass
class Shop:
    """The tables."""

    laws: Laws
    inbox: dict[tuple[str, str], str] = field(default_factory=dict)
    taken: list[Event] = field(default_factory=list)
    """Every event whose movement was applied, in that order."""
    dead: list[tuple[int, int, bytes]] = field(default_factory=list)
    duplicates: int = 0
    next_offset: dict[int, int] = field(default_factory=dict)
    epoch: dict[int, int] = field(default_factory=dict)
    shelf: dict[str, int] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    decided: list[str] = field(default_factory=list)
    """The needs that a decision was recorded for, one entry for each time."""
    proposals: dict[str, Proposal] = field(default_factory=dict)
    lines: list[tuple[str, str, int]] = field(default_factory=list)
    """(order, need, units) of every line ever written."""

    def take_over(self, partition: int) -> tuple[int, int]:
        """Own the partition: (epoch, next offset)."""
        self.epoch[partition] = self.epoch.get(partition, 0) + 1
        return self.epoch[partition], self.next_offset.get(partition, 0)

    def accept(self, partition: int, epoch: int, batch: Sequence[tuple[int, bytes]]) -> bool:
        """Take a batch in, and move the position with it; False: somebody else owns the partition."""
        if self.laws.fences_zombies and self.epoch.get(partition) != epoch:
            return False
        if batch and self.laws.moves_position_with_the_events:
            last = batch[-1][0] + 1
            # A zombie that is not fenced puts the position where it thinks that it is.
            fenced = self.laws.fences_zombies
            self.next_offset[partition] = max(self.next_offset.get(partition, 0), last) if fenced else last
        for offset, raw in batch:
            self._take(partition, offset, raw)
        return True

    def _take(self, partition: int, offset: int, raw: bytes) -> None:
        try:
            event = parse(raw)
        except MalformedEvent:
            self._bury(partition, offset, raw)
            return
        identity, sha256 = (event.source, event.id), content_digest(raw)
        known = self.inbox.get(identity)
        if known is not None and self.laws.dedupes:
            if known == sha256 or not self.laws.refuses_reused_ids:
                self.duplicates += 1
            else:
                self._bury(partition, offset, raw)
            return
        self.inbox[identity] = sha256
        self.taken.append(event)
        movement = movement_of(event)
        if movement is not None:
            moved = [m for e in self.taken if (m := movement_of(e)) and m.item == movement.item]
            self.shelf[movement.item] = self.laws.fold(moved)
            self._need(movement.item)

    def _bury(self, partition: int, offset: int, raw: bytes) -> None:
        if (partition, offset, raw) not in self.dead:
            self.dead.append((partition, offset, raw))

    def _need(self, item: str) -> None:
        mine = [need for need in self.needs if need.split(":")[1] == item]
        waits = mine and (mine[-1] not in self.proposals or self.proposals[mine[-1]].state == "proposed")
        if self.shelf[item] < WATCH_LEVEL and not (waits and self.laws.one_open_need):
            self.needs.append(need_id(LOCATION, item, len(mine) + 1))

    def decide(self, need: str, units: int) -> None:
        """Record the decision of a need, once however often the batch is repeated."""
        if need not in self.proposals:
            self.decided.append(need)
            self.proposals[need] = Proposal(need, units)

    def rescore(self, need: str, units: int) -> None:
        """The world moved while it waits: another revision, and what was signed is void."""
        proposal = self.proposals[need]
        if proposal.state != "proposed":
            return
        proposal.revision, proposal.units = proposal.revision + 1, units
        if self.laws.voids_when_amended:
            for one in proposal.approvals:
                one.withdrawn = True

    def answer(self, need: str, name: str, seen_hash: str) -> str:
        """Store an approval of what was seen; the refusal's code, or nothing."""
        proposal, person = self.proposals[need], PEOPLE.get(name)
        if proposal.state != "proposed":
            return "answered"
        if self.laws.binds_to_hash and seen_hash != proposal.proposal_hash:
            return "stale"
        if any(one.complete and not one.withdrawn for one in proposal.approvals):
            return "answered"
        refusal = self._refusal(proposal, name, person)
        if refusal is not None:
            return refusal
        two = self._needs_two(proposal)
        first = self._first(proposal)
        complete = authority.completes(first, proposal.units, needs_two=two)
        proposal.approvals.append(Approval(name, seen_hash, proposal.units, complete))
        return ""

    def _refusal(self, proposal: Proposal, name: str, person: Person | None) -> str | None:
        refused = authority.of_person(person, name, LOCATION)
        if refused is None and person is not None:
            refused = authority.of_value(person, proposal.value, "EUR")
            if refused is None and self._needs_two(proposal) and self.laws.two_people:
                refused = authority.of_signing(person, LOCATION, self._first(proposal), proposal.units)
        return str(refused.code) if refused else None

    def _needs_two(self, proposal: Proposal) -> bool:
        limits = POLICY.limits_for(Place(proposal.decision_id.split(":")[1], "food", "acme", LOCATION))
        return limits.needs_two(proposal.value, "EUR", new_supplier=False) is not None

    @staticmethod
    def _first(proposal: Proposal) -> Signature | None:
        standing = [one for one in proposal.approvals if not one.complete and not one.withdrawn]
        return Signature(standing[-1].actor, standing[-1].units) if standing else None

    def undo(self, need: str, name: str) -> None:
        """Somebody takes an own answer back; what was released stays."""
        proposal = self.proposals[need]
        if proposal.state == "proposed":
            for one in proposal.approvals:
                one.withdrawn = one.withdrawn or one.actor == name

    def expire(self, need: str) -> None:
        """Nobody answered in time."""
        proposal = self.proposals[need]
        if proposal.state == "proposed" and proposal.tier is RiskTier.REVIEW:
            if self.laws.expiry_approves:
                proposal.approvals.append(Approval("nobody", proposal.proposal_hash, proposal.units, True))
            else:
                proposal.state = "expired"

    def release(self, need: str, seen_hash: str, clock: datetime) -> bool:
        """The gate: put it on an order if what stands allows it, whoever asks, and once."""
        proposal = self.proposals.get(need)
        if proposal is None or proposal.state != "proposed":
            return False
        if self.laws.binds_to_hash and seen_hash != proposal.proposal_hash:
            return False
        standing = [
            one for one in proposal.approvals
            if one.complete and not (one.withdrawn and self.laws.gate_looks_at_withdrawals)
            and (one.proposal_hash == proposal.proposal_hash or not self.laws.binds_to_hash)
        ]  # fmt: skip
        if proposal.tier is RiskTier.REVIEW and not standing:
            return False
        proposal.state, proposal.released_units = "released", proposal.units
        self.lines.append((order_cycle(clock)[0], need, proposal.units))
        return True


NAMES = (ADA.name, BOB.name, "Grace", "Pia", "Vera", "Otto", "a stranger")
"""Approvers, one who may only up to 500, one who only looks, one who only operates, and nobody."""

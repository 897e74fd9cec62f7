"""A replay of many decisions: which of the recorded ones are asked for, how far it is, and what it came to."""

import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from pydantic import Field

from workflows.domain.evidence import EvidenceDamaged, EvidenceMissing, EvidenceSource
from workflows.domain.identity import Digest, Instant, Payload
from workflows.domain.ledger import Entry, EntryType, merkle_root
from workflows.domain.policy_timeline import body_of
from workflows.domain.replay import DecisionRef, Replayed

DECIDING = (EntryType.DECISION_PROPOSED, EntryType.HOLDS_RECORDED, EntryType.DECISION_CLOSED)
"""Types of the entries that record decisions."""
TOLD = 100
"""Decisions that are told one by one, in a result that stays small however many differ; all are counted."""
TOLD_EACH = 5
"""Deviations told of each."""
LONGEST = 300
"""Characters of one value."""


class Point(Payload):
    """How far the ledger was followed: entries in the order of (stream, seq), and the items of a batch's entry."""

    stream: str = ""
    seq: int = 0
    items: int = 0
    """Items of that entry that are done; 0: it is done whole."""


class ReplayRequest(Payload):
    """Which decisions are made again."""

    sample: int | None = Field(default=None, ge=1)
    """So many, picked by `rank` alone; None: all."""
    seed: int = 1
    since: Instant | None = None
    """Decided at or after, on the business clock."""
    until: Instant | None = None
    """Decided before."""
    threads: int = Field(default=1, ge=1, le=64)
    asked_by: str = "auditor"


class ReplayPlan(Payload):
    """What was fixed before the first decision: the same however often it is interrupted."""

    through: str
    """Only entries recorded up to here (the database's clock) are looked at."""
    highest_rank: Digest | None = None
    """The rank of the last decision of the sample; None: all are in it."""
    decisions: int = 0
    """How many that makes."""


class Counts(Payload):
    """How many, by what they came to."""

    decisions: int = 0
    equal: int = 0
    different: int = 0
    incomplete: int = 0
    """Something is missing, or cannot be used by this installation: never equal."""
    skipped: int = 0
    """Recorded in a count only, by a release that kept no list of holds: nothing names them."""
    compared: int = 0
    """Values."""

    def plus(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in Counts.model_fields})


class ReplayBatch(Payload):
    """What one stretch came to."""

    point: Point | None
    """Where the next one begins; None: this was the last."""
    counts: Counts
    told: tuple[Replayed, ...] = ()
    """Those that are not equal; the first of them."""
    not_recorded: Mapping[str, int] = {}
    """How many decisions lack what."""


class ReplayProgress(Payload):
    """How far it is, and in the end what it came to."""

    plan: ReplayPlan | None = None
    point: Point = Point()
    counts: Counts = Counts()
    told: tuple[Replayed, ...] = ()
    not_recorded: Mapping[str, int] = {}
    done: bool = False

    def and_then(self, batch: ReplayBatch) -> "ReplayProgress":
        """After one more stretch."""
        lacking = dict(self.not_recorded)
        for what, number in batch.not_recorded.items():
            lacking[what] = lacking.get(what, 0) + number
        return self.model_copy(
            update={
                "point": batch.point or self.point, "counts": self.counts.plus(batch.counts),
                "told": (*self.told, *batch.told)[:TOLD], "not_recorded": lacking, "done": batch.point is None,
            }
        )  # fmt: skip

    @property
    def faultless(self) -> bool:
        """Every decision came out equal."""
        return self.counts.equal == self.counts.decisions


class DecisionLedger(Protocol):
    """Reads the ledger for a replay: entries only, in chunks."""

    def now(self) -> str:
        """The newest instant at which anything can have been recorded, as the ledger spells it."""
        ...

    def deciding(self, after: Point, plan: ReplayPlan, request: ReplayRequest, limit: int) -> Sequence[Entry]:
        """The next entries of `DECIDING` after this point, by (stream, seq); those of the request's days only."""
        ...

    def chains(self, streams: Iterable[str]) -> Mapping[str, tuple[Entry, ...]]:
        """Each of these chains, whole; those that are not there are left out."""
        ...

    def policies(self) -> Sequence[Entry]:
        """Proposed and adopted policies."""
        ...

    def earlier_lists(self) -> Sequence[Digest]:
        """Lists of holds that no entry names, because their release recorded the root alone."""
        ...


class EarlierLists:
    """The lists of batches whose entries name none, by the root over them; read when the first one is asked for."""

    def __init__(self, ledger: DecisionLedger, evidence: EvidenceSource) -> None:
        self._ledger = ledger
        self._evidence = evidence
        self._by_root: dict[str, Digest] | None = None

    def of(self, body: Mapping[str, Any]) -> Digest | None:
        """The list that this entry's root proves; None where there is none."""
        if "items" in body:
            return str(body["items"])
        if self._by_root is None:
            self._by_root = {}
            for sha256 in self._ledger.earlier_lists():
                with suppress(EvidenceMissing, EvidenceDamaged):
                    items = json.loads(self._evidence.get(sha256))
                    self._by_root[merkle_root(str(item[2]).encode() for item in items)] = sha256
        return self._by_root.get(str(body.get("merkle_root")))


class Listed(NamedTuple):
    """One decision that the ledger records, and where."""

    point: Point
    ref: DecisionRef | None
    """None: `unnamed` holds of which the entry tells the number alone."""
    by: Entry
    unnamed: int = 0


def listed(entry: Entry, evidence: EvidenceSource, lists: EarlierLists, *, skip: int = 0) -> Iterator[Listed]:
    """The decisions that an entry records; of a batch those after the first `skip`.

    Raises:
        EvidenceMissing, EvidenceDamaged: the list of a batch's holds.
    """
    body, here = body_of(entry), Point(stream=entry.stream, seq=entry.seq)
    if entry.type == EntryType.DECISION_PROPOSED:
        decision = body["decision"]
        ref = DecisionRef(entry.stream, int(decision["revision"]), str(body["proposal_hash"]))
        yield Listed(here, ref, entry)
    elif entry.type == EntryType.DECISION_CLOSED:
        if "revision" in body and "hash" in body:
            yield Listed(here, DecisionRef(entry.stream, int(body["revision"]), str(body["hash"])), entry)
    elif entry.type != EntryType.HOLDS_RECORDED:
        return
    elif (named := lists.of(body)) is None:
        yield Listed(here, None, entry, unnamed=int(body["holds"]))
    else:
        items = json.loads(evidence.get(named))
        for number, item in enumerate(items[skip:], start=skip + 1):
            # The last item's point is the entry's own: the next look begins after the entry.
            yield Listed(here.model_copy(update={"items": number % len(items)}), DecisionRef(*item), entry)


def rank(ref: DecisionRef, seed: int) -> Digest:
    """A decision's place in the draw: by its name and the seed alone, so a sample can be drawn again."""
    return hashlib.sha256(f"{seed}/{ref.decision_id}/{ref.revision}".encode()).hexdigest()


def fixed(request: ReplayRequest, ledger: DecisionLedger, evidence: EvidenceSource) -> ReplayPlan:
    """Fix what is replayed. Of a sample, memory holds the ranks and nothing else."""
    plan, point, count = ReplayPlan(through=ledger.now()), Point(), 0
    lists = EarlierLists(ledger, evidence)
    lowest: list[int] = []  # of the sample so far, negated: the heap's first is the highest rank
    while entries := ledger.deciding(point, plan, request, CHUNK):
        for entry in entries:
            if request.sample is None:
                body = body_of(entry)
                count += int(body.get("holds", 1)) if entry.type != EntryType.DECISION_CLOSED else "revision" in body
                continue
            for one in _or_nothing(entry, evidence, lists):
                if one.ref is not None:
                    count += 1
                    _keep_lowest(lowest, int(rank(one.ref, request.seed), 16), request.sample)
        point = Point(stream=entries[-1].stream, seq=entries[-1].seq)
    if request.sample is None or count <= request.sample:
        return plan.model_copy(update={"decisions": count})
    return plan.model_copy(update={"decisions": request.sample, "highest_rank": f"{-lowest[0]:064x}"})


CHUNK = 500
"""Entries read at once."""


def _keep_lowest(heap: list[int], number: int, size: int) -> None:
    if len(heap) < size:
        heapq.heappush(heap, -number)
    else:
        heapq.heappushpop(heap, -number)


def _or_nothing(entry: Entry, evidence: EvidenceSource, lists: EarlierLists) -> list[Listed]:
    """A batch whose list is missing is in no sample; replayed whole, it is told as missing."""
    try:
        return list(listed(entry, evidence, lists))
    except (EvidenceMissing, EvidenceDamaged):
        return []


def chosen(ref: DecisionRef, plan: ReplayPlan, request: ReplayRequest) -> bool:
    """Whether it is in the sample."""
    return plan.highest_rank is None or rank(ref, request.seed) <= plan.highest_rank


def short(replayed: Replayed) -> Replayed:
    """The same within bounds, for a result that travels."""
    cut = tuple(
        one.model_copy(update={"recorded": one.recorded[:LONGEST], "now": one.now[:LONGEST]})
        for one in replayed.deviations[:TOLD_EACH]
    )
    return replayed.model_copy(update={"deviations": cut, "missing": replayed.missing[:TOLD_EACH]})

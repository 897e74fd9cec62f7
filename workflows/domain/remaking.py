"""Replays recorded decisions: opens each, scores them together, decides each again, and checks what came of it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workflows.domain.comparing import Compared
from workflows.domain.deciding import decide
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.evidence import EvidenceDamaged, EvidenceMissing, EvidenceSource
from workflows.domain.identity import Digest
from workflows.domain.ledger import Break, Entry, EntryType, verify_stream
from workflows.domain.policy_timeline import body_of, timeline_of
from workflows.domain.replay import ITEMS, Case, DecisionRef, Findings, Missing, Replayed, Verdict, open_case
from workflows.domain.replay_approval import check_approval
from workflows.domain.replay_order import check_order, check_outcome
from workflows.domain.replay_scores import Scored, score_all
from workflows.domain.replaying import (
    CHUNK,
    TOLD,
    Counts,
    DecisionLedger,
    EarlierLists,
    Listed,
    Point,
    ReplayBatch,
    ReplayPlan,
    ReplayRequest,
    chosen,
    fixed,
    listed,
    short,
)
from workflows.domain.scores import Scoring

AT_ONCE = 200
"""Decisions that are replayed together: bounds the memory, and the work that a killed worker loses."""
LOOKED_AT = 20_000
"""Decisions that one stretch looks through for those of a sample."""


@dataclass(frozen=True)
class Remade:
    """One decision's result, with every value that was compared."""

    replayed: Replayed
    every: tuple[Compared, ...]


def replay_all(cases: Sequence[Case], evidence: EvidenceSource, scoring: Scoring) -> list[Remade]:
    """Each case made again, in the order given."""
    found = [Findings() for _ in cases]
    on_the_way: list[Scored | None] = []
    for case, own in zip(cases, found, strict=True):
        opened = open_case(case, evidence, own)
        on_the_way.append(None if opened is None else Scored(opened=opened, found=own))
    score_all([one for one in on_the_way if one is not None], evidence, scoring)
    remade = []
    for case, own, scored in zip(cases, found, on_the_way, strict=True):
        if scored is not None:
            _decide_again(scored)
            check_approval(case, scored.opened, own)
            check_order(case, scored.opened, evidence, own)
            check_outcome(case, scored.opened, evidence, own)
        source = None if scored is None else scored.source
        release, packages = (None, {}) if source is None else (source.release, dict(source.packages))
        remade.append(Remade(own.result(case.ref, release, packages), tuple(own.every)))
    return remade


def _decide_again(scored: Scored) -> None:
    """From what was computed now; from what was recorded only where nothing can be computed."""
    opened, found = scored.opened, scored.found
    inputs = opened.inputs if scored.inputs is None else scored.inputs
    if scored.inputs is not None:
        found.compare("inputs", opened.inputs, scored.inputs)
    try:
        result = decide(inputs, opened.policy)
    except InvalidInput as error:
        found.missing.append(Missing(what=f"rule {inputs.rule}: {error}"))
        return
    found.compare("", opened.decision.result, result)


class Remembered:
    """An `EvidenceSource` that reads what many decisions share once; for one stretch, so that memory stays bounded."""

    def __init__(self, evidence: EvidenceSource) -> None:
        self._evidence = evidence
        self._kept: dict[Digest, bytes] = {}

    def get(self, sha256: str) -> bytes:
        """See the port."""
        if sha256 not in self._kept:
            self._kept[sha256] = self._evidence.get(sha256)
        return self._kept[sha256]


class Replaying:
    """Replays what a ledger records, with evidence and scoring from wherever they are given."""

    def __init__(
        self, ledger: DecisionLedger, evidence: Callable[[], EvidenceSource], scoring: Callable[[int], Scoring]
    ) -> None:
        """`evidence` gives a source for one stretch, `scoring` one with so many threads."""
        self._ledger = ledger
        self._evidence = evidence
        self._scoring = scoring

    def plan(self, request: ReplayRequest) -> ReplayPlan:
        """Fix what is replayed."""
        return fixed(request, self._ledger, self._evidence())

    def stretch(self, request: ReplayRequest, plan: ReplayPlan, point: Point) -> ReplayBatch:
        """Replay the next decisions after this point: the same ones whenever it is repeated."""
        evidence = Remembered(self._evidence())
        picked, damaged, unnamed, following = self._picked(request, plan, point, evidence)
        remade = replay_all(self.cases(picked, evidence), evidence, self._scoring(request.threads))
        results = [one.replayed for one in remade]
        verdicts = Counter(one.verdict for one in results)
        counts = Counts(
            decisions=len(results) + unnamed + sum(number for _, number in damaged), equal=verdicts[Verdict.EQUAL],
            different=verdicts[Verdict.DIFFERENT] + sum(n for one, n in damaged if one.verdict is Verdict.DIFFERENT),
            incomplete=verdicts[Verdict.INCOMPLETE]
            + sum(n for one, n in damaged if one.verdict is Verdict.INCOMPLETE),
            skipped=unnamed, compared=sum(one.compared for one in results),
        )  # fmt: skip
        told = [*(one for one, _ in damaged), *(one for one in results if one.verdict is not Verdict.EQUAL)]
        lacking = Counter(what for one in results for what in one.not_recorded)
        return ReplayBatch(
            point=following, counts=counts, told=tuple(map(short, told[:TOLD])), not_recorded=dict(lacking)
        )

    def one(self, decision_id: str, revision: int | None = None, *, threads: int = 1) -> list[Remade]:
        """Every revision of one decision, or the one that is named.

        Raises:
            NotFound: the ledger records no such decision.
        """
        evidence = Remembered(self._evidence())
        lists = EarlierLists(self._ledger, evidence)
        chain = self._ledger.chains([decision_id]).get(decision_id, ())
        found = [one for entry in chain for one in listed(entry, evidence, lists)] or self._hold(
            decision_id, evidence, lists
        )
        wanted = [one for one in found if one.ref and (revision is None or one.ref.revision == revision)]
        if not wanted:
            which = decision_id if revision is None else f"revision {revision} of {decision_id}"
            raise NotFound(f"the ledger records no decision {which}")
        return replay_all(self.cases(wanted, evidence), evidence, self._scoring(threads))

    def _hold(self, decision_id: str, evidence: EvidenceSource, lists: EarlierLists) -> list[Listed]:
        """A hold is in its batch's list only: the batches of its location are looked through."""
        location, point = decision_id.partition(":")[0], Point(stream=f"batch:{decision_id.partition(':')[0]}:")
        plan = ReplayPlan(through=self._ledger.now())
        while entries := self._ledger.deciding(point, plan, ReplayRequest(), CHUNK):
            for entry in entries:
                if entry.type != EntryType.HOLDS_RECORDED:
                    continue
                for one in listed(entry, evidence, lists):
                    if one.ref and one.ref.decision_id == decision_id:
                        return [one]
            point = Point(stream=entries[-1].stream, seq=entries[-1].seq)
            if not entries[-1].stream.startswith(f"batch:{location}:"):
                break
        return []

    def _picked(
        self, request: ReplayRequest, plan: ReplayPlan, point: Point, evidence: EvidenceSource
    ) -> tuple[list[Listed], list[tuple[Replayed, int]], int, Point | None]:
        """The next decisions that are asked for, batches whose list cannot be read, holds that nothing names, and where
        the next stretch begins."""
        picked: list[Listed] = []
        damaged: list[tuple[Replayed, int]] = []
        looked, unnamed, lists = 0, 0, EarlierLists(self._ledger, evidence)
        while entries := self._ledger.deciding(point, plan, request, CHUNK):
            for entry in entries:
                skip = point.items if (entry.stream, entry.seq) == (point.stream, point.seq) else 0
                point = Point(stream=entry.stream, seq=entry.seq)
                try:
                    found = list(listed(entry, evidence, lists, skip=skip))
                except (EvidenceMissing, EvidenceDamaged) as error:
                    if plan.highest_rank is None:
                        damaged.append(_unreadable(entry, error))
                    continue
                for one in found:
                    looked += 1
                    if one.ref is None:
                        unnamed += one.unnamed if plan.highest_rank is None and request.sample is None else 0
                    elif chosen(one.ref, plan, request):
                        picked.append(one)
                        if len(picked) == AT_ONCE:
                            return picked, damaged, unnamed, one.point
                if looked >= LOOKED_AT:
                    return picked, damaged, unnamed, point
        return picked, damaged, unnamed, None

    def cases(self, picked: Sequence[Listed], evidence: EvidenceSource) -> list[Case]:
        """Each with the entries that it is judged by."""
        chains = dict(self._ledger.chains(one.ref.decision_id for one in picked if one.ref))
        orders = {stream: _order_streams(chain) for stream, chain in chains.items()}
        actors = {entry.actor for chain in chains.values() for entry in chain if entry.type in _ANSWERS}
        wanted = {*(name for found in orders.values() for name in found), *(f"person:{name}" for name in actors)}
        chains |= self._ledger.chains(wanted)
        breaks = {stream: tuple(verify_stream(chain)) for stream, chain in chains.items()}
        lists = EarlierLists(self._ledger, evidence)
        policies = timeline_of(self._ledger.policies(), evidence)
        people = {name: chains[f"person:{name}"] for name in actors if f"person:{name}" in chains}
        cases = []
        for one in picked:
            assert one.ref is not None  # noqa: S101 - only what is named was picked
            own = one.ref.decision_id
            order = tuple(entry for name in orders.get(own, ()) for entry in chains.get(name, ()))
            streams = (own, *orders.get(own, ()))
            broken: tuple[Break, ...] = tuple(b for stream in streams for b in breaks.get(stream, ()))
            if one.by.stream not in streams:
                broken += tuple(verify_stream([one.by])) if one.by.seq == 1 else ()
            items = lists.of(body_of(one.by)) if one.by.type == EntryType.HOLDS_RECORDED else None
            cases.append(
                Case(
                    one.ref,
                    one.by,
                    chains.get(own, ()),
                    order,
                    policies=policies,
                    people=people,
                    breaks=broken,
                    items=items,
                )
            )
        return cases


_ANSWERS = {EntryType.VERDICT_RECORDED, EntryType.VERDICT_SIGNED}


def _order_streams(chain: Sequence[Entry]) -> list[str]:
    orders = [body_of(one).get("order") for one in chain if one.type == EntryType.DECISION_RELEASED]
    return [f"order:{order}" for order in orders]


def _unreadable(entry: Entry, error: Exception) -> tuple[Replayed, int]:
    """A batch of holds whose list is gone, told once for all of them."""
    body, found = body_of(entry), Findings()
    if isinstance(error, EvidenceMissing):
        found.missing.append(Missing(what=f"{ITEMS}: {error}", digest=str(body.get("items"))))
    else:
        found.wrong(f"bytes of the {ITEMS} {body.get('items')}", "as they were kept", error)
    holds = int(body["holds"])
    ref = DecisionRef(f"{entry.stream} ({holds} holds)", 1, str(body["merkle_root"]))
    return found.result(ref, None, {}), holds

"""A decision made again from the ledger and the evidence alone: equal to the last digit, or exactly what differs."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from activities.learning.learner import XgboostLearner
from activities.learning.scoring import XgboostScoring
from tests.fakes.recorded import MORNING, Books, assess, facts_of
from tests.unit.learning_world import LAST_DAY, row, series, steady_world
from workflows.domain.decisions import Hold, Proposal
from workflows.domain.errors import ModelUnusable, NotFound
from workflows.domain.identity import canonical, digest
from workflows.domain.ledger import EntryType
from workflows.domain.policies import Policy, RiskTier
from workflows.domain.remaking import Replaying
from workflows.domain.replay import Verdict
from workflows.domain.replaying import EarlierLists, Point, ReplayPlan, ReplayProgress, ReplayRequest, chosen, listed
from workflows.domain.scores import OpenReceipt

WORLD = steady_world(count=14, days=220)[0]
LOW, HIGH = Policy(auto_value_limit=Decimal(1)), Policy(auto_value_limit=Decimal(100_000))


@pytest.fixture(scope="module")
def model() -> bytes:
    learner = XgboostLearner(rows=2_000, rounds=8)
    return learner.train(WORLD, last_day=LAST_DAY, seed=7, progress=lambda *_: None)


@pytest.fixture(scope="module")
def scoring() -> XgboostScoring:
    return XgboostScoring(nthread=1)


@pytest.fixture
def books(model: bytes, scoring: XgboostScoring) -> Books:
    """A batch with everything in it: holds, orders, two suppliers, a fixed cost that is shared, a cold start."""
    two = (("S1", "4.20", 9), ("S2", "4.60", 1))
    batch = [facts_of(row(one, on_hand=3)) for one in WORLD[:3]]
    batch += [facts_of(row(one, on_hand=900)) for one in WORLD[3:5]]
    batch += [facts_of(row(one, on_hand=0), suppliers=two) for one in WORLD[5:8]]
    batch += [facts_of(row(one, on_hand=2), suppliers=(("S3", "3.10", 3),), order_cost="8") for one in WORLD[8:11]]
    owed = (OpenReceipt(units=30, ordered_days_ago=9, expected_in_days=-1),)
    batch.append(facts_of(row(WORLD[11], on_hand=1, open_receipts=owed), suppliers=two, wanted="S1"))
    batch.append(facts_of(row(series("new", [2, 0, 1]), on_hand=0), ordered_before=False))
    books = Books()
    books.record(assess(batch, model, scoring, policy=HIGH))
    return books


def replaying(books: Books, scoring: Any) -> Replaying:
    return Replaying(books.ledger, lambda: books.evidence, lambda threads: scoring)


def everything(books: Books, scoring: Any, request: ReplayRequest | None = None) -> ReplayProgress:
    """Stretch by stretch to the end."""
    replays, asked = replaying(books, scoring), request or ReplayRequest()
    progress = ReplayProgress(plan=replays.plan(asked))
    while not progress.done:
        assert progress.plan is not None
        progress = progress.and_then(replays.stretch(asked, progress.plan, progress.point))
    return progress


def told(progress: ReplayProgress) -> dict[str, list[str]]:
    return {one.decision_id: [d.what for d in one.deviations] for one in progress.told}


def proposals(books: Books) -> list[Proposal]:
    return [one.decision.result for one in books.decided if isinstance(one.decision.result, Proposal)]


def test_everything_comes_out_equal(books: Books, scoring: XgboostScoring) -> None:
    found = everything(books, scoring)

    assert found.told == ()
    assert (found.counts.decisions, found.counts.equal, found.counts.skipped) == (13, 13, 0)
    assert found.faultless
    assert found.not_recorded == {}
    assert found.counts.compared > 13 * 100
    # The batch has what it promises: holds, several suppliers, a shared order, explained forecasts.
    kinds = {type(one.decision.result) for one in books.decided}
    assert kinds == {Hold, Proposal}
    assert {one.supplier for one in proposals(books)} >= {"S1", "S3"}
    assert any(one.inputs.joint and one.inputs.joint.share for one in books.decided)
    assert any(option.outlook for one in books.decided for option in one.inputs.options)
    assert any(one.inputs.scores.drivers for one in books.decided)


def test_it_says_what_was_compared_and_what_decided(books: Books, scoring: XgboostScoring) -> None:
    (one,) = replaying(books, scoring).one("L1:i005:1")

    assert one.replayed.verdict is Verdict.EQUAL
    assert one.replayed.release == "0.4.0"
    assert one.replayed.made_with == {"xgboost": "3.2.0"}
    whats = {each.what for each in one.every}
    assert {"digest of the inputs", "digest of the snapshot", "digest of the model", "decision hash", "units",
            "inputs.scores.requirement_units", "inputs.scores.stockout_risk", "sentence", "tier"} <= whats  # fmt: skip


def test_one_and_two_threads_come_to_the_same(books: Books) -> None:
    found = [everything(books, XgboostScoring(nthread=n), ReplayRequest(threads=n)) for n in (1, 2)]
    assert found[0].counts == found[1].counts
    assert all(one.faultless for one in found)


def test_a_proposal_for_a_person_is_explained_again(model: bytes, scoring: XgboostScoring) -> None:
    books = Books()
    facts = [facts_of(row(one, on_hand=0), suppliers=(("S1", "4.20", 9), ("S2", "4.60", 1))) for one in WORLD[:3]]
    books.record(assess(facts, model, scoring, policy=LOW))
    assert {one.tier for one in proposals(books)} == {RiskTier.REVIEW}
    assert all(one.inputs.scores.drivers for one in books.decided)

    assert everything(books, scoring).faultless


def test_later_revisions_come_out_again(model: bytes, scoring: XgboostScoring) -> None:
    books, one = Books(), WORLD[5]
    books.record(assess([facts_of(row(one, on_hand=0))], model, scoring, policy=LOW))
    second = assess([facts_of(row(one, on_hand=4))], model, scoring, policy=LOW, revision=1)
    third = assess([facts_of(row(one, on_hand=900))], model, scoring, policy=LOW, revision=2)
    books.record(second)
    books.record(third, chains=True)

    found = everything(books, scoring)

    assert (found.counts.decisions, found.counts.equal) == (3, 3)
    assert [r.replayed.revision for r in replaying(books, scoring).one("L1:i005:1")] == [1, 2, 3]
    assert isinstance(books.of("L1:i005:1", 3).decision.result, Hold)
    (only,) = replaying(books, scoring).one("L1:i005:1", 2)
    assert only.replayed.revision == 2


def test_an_open_drift_alarm_is_part_of_what_was_decided(model: bytes, scoring: XgboostScoring) -> None:
    books = Books()
    segments = {one.segment for one in scoring.score([row(one) for one in WORLD[:2]], model)}
    alarms = {segment: ("errors grow",) for segment in segments}
    books.record(assess([facts_of(row(one, on_hand=0)) for one in WORLD[:2]], model, scoring, alarms=alarms))
    assert all(one.inputs.drift_alarms for one in books.decided)
    assert everything(books, scoring).faultless


# What is altered is named.


def swap(books: Books, sha256: str, change: Callable[[dict[str, Any]], None]) -> str:
    """Alter evidence and file it under its new digest, as somebody does who can recompute hashes."""
    document = json.loads(books.evidence.kept[sha256])
    change(document)
    body = canonical(document)
    books.evidence.kept[digest(body)] = body
    return digest(body)


@pytest.mark.parametrize("kind", ["inputs", "snapshot", "part", "model", "policy", "source", "decision", "items"])
def test_one_changed_byte_is_found_and_named(books: Books, scoring: XgboostScoring, model: bytes, kind: str) -> None:
    hold = next(one for one in books.decided if isinstance(one.decision.result, Hold))
    snapshot = hold.inputs.snapshot
    assert snapshot
    document = json.loads(books.evidence.kept[snapshot])
    address = {
        "inputs": hold.decision.inputs_digest, "snapshot": snapshot, "part": document["row"]["lead_times"]["$ref"],
        "model": digest(model), "policy": HIGH.digest, "source": document["source"],
        "decision": hold.decision.proposal_hash,
        "items": next(json.loads(e.body)["items"] for e in books.ledger.entries if e.type == "holds.recorded"),
    }[kind]  # fmt: skip
    body = bytearray(books.evidence.kept[address])
    body[len(body) // 2] ^= 1
    books.evidence.kept[address] = bytes(body)

    found = everything(books, scoring)

    assert found.counts.different >= 1
    assert not found.faultless
    assert any(address in d.what or address in d.now for one in found.told for d in one.deviations), told(found)
    if kind in ("inputs", "snapshot", "decision"):
        assert list(told(found)) == [hold.decision.decision_id]
        assert f"bytes of the {kind} {address}" in told(found)[hold.decision.decision_id]


@pytest.mark.parametrize("kind", ["inputs", "snapshot", "model", "policy", "source", "decision", "items"])
def test_missing_evidence_is_missing_and_never_equal(
    books: Books, scoring: XgboostScoring, model: bytes, kind: str
) -> None:
    hold = next(one for one in books.decided if isinstance(one.decision.result, Hold))
    assert hold.inputs.snapshot
    address = {
        "inputs": hold.decision.inputs_digest, "snapshot": hold.inputs.snapshot, "model": digest(model),
        "policy": HIGH.digest, "source": json.loads(books.evidence.kept[hold.inputs.snapshot])["source"],
        "decision": hold.decision.proposal_hash,
        "items": next(json.loads(e.body)["items"] for e in books.ledger.entries if e.type == "holds.recorded"),
    }[kind]  # fmt: skip
    del books.evidence.kept[address]

    found = everything(books, scoring)

    assert found.counts.incomplete >= 1
    assert found.counts.equal + found.counts.incomplete == found.counts.decisions == 13
    assert {lost.digest for one in found.told for lost in one.missing} == {address}


def test_a_changed_history_with_new_digests_gives_another_forecast(model: bytes, scoring: XgboostScoring) -> None:
    """Somebody rewrites the snapshot, the inputs that name it, and the decision: the scores give it away."""
    books = Books()
    decided = assess([facts_of(row(WORLD[5], on_hand=0))], model, scoring, policy=HIGH)
    books.record(decided)
    (one,) = decided
    assert one.inputs.snapshot

    def doubled(document: dict[str, Any]) -> None:
        history = document["row"]["history"]
        history["daily_units"] = [None if n is None else 3 * n for n in history["daily_units"]]

    forged_snapshot = swap(books, one.inputs.snapshot, doubled)
    inputs = one.inputs.model_copy(update={"snapshot": forged_snapshot})
    decision = one.decision.model_copy(update={"inputs_digest": digest(inputs)})
    books.ledger.entries.clear()
    books.record([one.model_copy(update={"decision": decision, "inputs": inputs})])

    found = everything(books, scoring)

    assert found.counts.different == 1
    (all_of_them,) = replaying(books, scoring).one("L1:i005:1")
    whats = {d.what for d in all_of_them.replayed.deviations}
    assert {"inputs.scores.demand_p50", "units", "sentence"} <= whats


def test_figures_that_were_rewritten_with_their_digests_do_not_come_out(model: bytes, scoring: XgboostScoring) -> None:
    """Scores and decision fit each other; only the model says otherwise."""
    books = Books()
    (one,) = assess([facts_of(row(WORLD[0], on_hand=0))], model, scoring, policy=HIGH)
    scores = one.inputs.scores.model_copy(update={"stockout_risk": Decimal("0.0001")})
    inputs = one.inputs.model_copy(update={"scores": scores})
    decision = one.decision.model_copy(update={"inputs_digest": digest(inputs)})
    books.record([one.model_copy(update={"decision": decision, "inputs": inputs})])

    (found,) = replaying(books, scoring).one("L1:i000:1")

    assert found.replayed.verdict is Verdict.DIFFERENT
    (apart,) = found.replayed.deviations
    assert (apart.what, apart.recorded) == ("inputs.scores.stockout_risk", "0.0001")


def test_a_hold_that_is_not_in_its_batch_is_told(books: Books, scoring: XgboostScoring) -> None:
    holds = [one for one in books.decided if isinstance(one.decision.result, Hold)]
    entry = next(e for e in books.ledger.entries if e.type == "holds.recorded")
    items = json.loads(books.evidence.kept[json.loads(entry.body)["items"]])
    books.ledger.entries.remove(entry)
    fewer = canonical(items[1:])
    books.evidence.kept[digest(fewer)] = fewer
    body = {**json.loads(entry.body), "items": digest(fewer)}
    books.ledger.append(entry.stream, EntryType.HOLDS_RECORDED, body)

    found = everything(books, scoring)

    assert found.counts.decisions == 12
    assert found.counts.different == len(holds) - 1
    assert all({"holds of the batch", "Merkle root of the batch"} <= set(whats) for whats in told(found).values())


def test_a_broken_chain_is_told(books: Books, scoring: XgboostScoring) -> None:
    number, entry = next((n, e) for n, e in enumerate(books.ledger.entries) if e.type == "decision.proposed")
    books.ledger.entries[number] = entry.model_copy(update={"actor": "somebody else"})

    assert told(everything(books, scoring)) == {entry.stream: [f"entry {entry.seq} of {entry.stream}"]}


def test_a_model_that_cannot_be_read_here_is_told_and_nothing_is_guessed(books: Books) -> None:
    class Older:
        def score(self, rows: Any, model: bytes, *, explain: bool = False) -> Any:
            raise ModelUnusable("it takes xgboost 9.9.9 or newer")

    found = everything(books, Older())

    assert found.counts.incomplete == found.counts.decisions
    assert all("it takes xgboost 9.9.9 or newer" in one.missing[0].what for one in found.told)


def test_an_unknown_decision_or_revision_is_refused(books: Books, scoring: XgboostScoring) -> None:
    for name, revision in (("L1:nobody:1", None), ("L1:i000:1", 7)):
        with pytest.raises(NotFound, match="records no decision"):
            replaying(books, scoring).one(name, revision)


def test_a_hold_is_found_by_its_name(books: Books, scoring: XgboostScoring) -> None:
    hold = next(one for one in books.decided if isinstance(one.decision.result, Hold))
    (found,) = replaying(books, scoring).one(hold.decision.decision_id)
    assert found.replayed.verdict is Verdict.EQUAL


# Many.


def test_a_sample_is_drawn_by_its_seed_alone(books: Books, scoring: XgboostScoring) -> None:
    def drawn(seed: int) -> set[str]:
        asked = ReplayRequest(sample=5, seed=seed)
        plan = replaying(books, scoring).plan(asked)
        assert plan.decisions == 5
        lists = EarlierLists(books.ledger, books.evidence)
        refs = [one.ref for e in books.ledger.entries for one in listed(e, books.evidence, lists) if one.ref]
        return {ref.decision_id for ref in refs if chosen(ref, plan, asked)}

    assert drawn(3) == drawn(3)
    assert len(drawn(3)) == 5
    assert drawn(3) != drawn(4)
    assert everything(books, scoring, ReplayRequest(sample=5, seed=3)).counts.equal == 5
    assert everything(books, scoring, ReplayRequest(sample=500)).counts.equal == 13


def test_a_stretch_goes_on_where_the_one_before_stopped(
    books: Books, scoring: XgboostScoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.domain.remaking.AT_ONCE", 2)
    replays, asked = replaying(books, scoring), ReplayRequest()
    progress, sizes = ReplayProgress(plan=replays.plan(asked)), []
    while not progress.done:
        assert progress.plan is not None
        batch = replays.stretch(asked, progress.plan, progress.point)
        assert replays.stretch(asked, progress.plan, progress.point) == batch, "the same whenever it is repeated"
        sizes.append(batch.counts.decisions)
        progress = progress.and_then(batch)
    assert progress.counts.equal == 13
    assert max(sizes) == 2


def test_only_the_days_that_are_asked_for(books: Books, scoring: XgboostScoring) -> None:
    assert everything(books, scoring, ReplayRequest(since=MORNING)).counts.decisions == 13
    assert everything(books, scoring, ReplayRequest(until=MORNING)).counts.decisions == 0


def test_what_is_recorded_after_the_plan_is_left_for_the_next_replay(
    books: Books, model: bytes, scoring: XgboostScoring
) -> None:
    replays = replaying(books, scoring)
    plan = replays.plan(ReplayRequest())
    books.record(assess([facts_of(row(WORLD[12], on_hand=0), number=2)], model, scoring, policy=HIGH))
    assert replays.stretch(ReplayRequest(), plan, Point()).counts.decisions == 13


def test_holds_without_a_list_are_counted_as_skipped(books: Books, scoring: XgboostScoring) -> None:
    books.ledger.append("batch:L0:0", EntryType.HOLDS_RECORDED, {"holds": 7, "merkle_root": "0" * 64})
    found = everything(books, scoring)
    assert (found.counts.decisions, found.counts.equal, found.counts.skipped) == (20, 13, 7)
    assert not found.faultless


def test_a_list_of_earlier_holds_is_proved_by_the_root_that_their_release_recorded(
    books: Books, scoring: XgboostScoring
) -> None:
    number, entry = next((n, e) for n, e in enumerate(books.ledger.entries) if e.type == "holds.recorded")
    body = json.loads(entry.body)
    del books.ledger.entries[number]
    books.ledger.append(entry.stream, EntryType.HOLDS_RECORDED, {k: v for k, v in body.items() if k != "items"})
    assert everything(books, scoring).counts.skipped == body["holds"]

    books.ledger.earlier = [body["items"]]
    found = everything(books, scoring)
    assert (found.counts.equal, found.counts.skipped, found.told) == (13, 0, ())
    hold = next(one for one in books.decided if isinstance(one.decision.result, Hold))
    (one,) = replaying(books, scoring).one(hold.decision.decision_id)
    assert "Merkle root of the batch" in {each.what for each in one.every}

    # Another list has another root, and names nothing.
    items = json.loads(books.evidence.kept[body["items"]])
    forged = canonical([[*items[0][:2], "0" * 64], *items[1:]])
    books.evidence.kept[digest(forged)] = forged
    books.ledger.earlier = [digest(forged)]
    assert everything(books, scoring).counts.skipped == body["holds"]


def test_an_empty_plan_is_no_success() -> None:
    assert ReplayPlan(through="x").decisions == 0

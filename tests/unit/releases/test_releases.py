"""Decisions of every release so far come out again as they were recorded, with what was not recorded listed."""

import json
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from activities.learning.scoring import XgboostScoring
from tests.fakes.elsewhere import replayed
from tests.fakes.recorded import Books, MemoryEvidence, MemoryLedger
from workflows.domain.ledger import Entry
from workflows.domain.remaking import Remade, Replaying, replay_all
from workflows.domain.replay import NO_LIST, Case, DecisionRef, Verdict
from workflows.domain.replay_approval import UNKNOWN_RIGHTS
from workflows.domain.replay_scores import NO_SNAPSHOT
from workflows.domain.replaying import Listed, Point

HERE = Path(__file__).parent
EARLIER = ("decision-loop", "decision-science", "console")
SCORING = XgboostScoring(nthread=1)


def entry(row: dict[str, Any]) -> Entry:
    return Entry.model_validate({**row, "body": row["body"].encode()})


class Release:
    """What a file holds, as a ledger with its evidence."""

    def __init__(self, name: str) -> None:
        self.told = json.loads((HERE / f"{name}.json").read_text())
        self.ledger = MemoryLedger([entry(row) for row in (*self.told["entries"], *self.told["policies"])])
        self.evidence = MemoryEvidence()
        self.evidence.kept = {sha256: body.encode() for sha256, body in self.told["evidence"].items()}

    def replay(self) -> dict[tuple[str, int], Remade]:
        """Every decision of the file."""
        replaying = Replaying(self.ledger, lambda: self.evidence, lambda _: SCORING)
        picked = []
        for one in self.told["decisions"]:
            ref = DecisionRef(one["decision_id"], one["revision"], one["proposal_hash"])
            own = [e for e in self.ledger.entries if e.stream == ref.decision_id and e.type == "decision.proposed"]
            by = [e for e in own if ref.proposal_hash.encode() in e.body] or [
                e for e in self.ledger.entries if e.stream == one["batch"] and e.type == "holds.recorded"
            ]  # fmt: skip
            picked.append(Listed(Point(), ref, by[0]))
        cases: list[Case] = replaying.cases(picked, self.evidence)
        return {(one.ref.decision_id, one.ref.revision): made
                for one, made in zip(cases, replay_all(cases, self.evidence, SCORING), strict=True)}  # fmt: skip


@pytest.mark.parametrize("name", EARLIER)
def test_what_an_earlier_release_decided_comes_out_again(name: str) -> None:
    release = Release(name)
    found = release.replay()

    assert {one.replayed.verdict for one in found.values()} == {Verdict.EQUAL}, [
        one.replayed for one in found.values() if one.replayed.verdict is not Verdict.EQUAL
    ]
    assert len(found) == len(release.told["decisions"]) >= 6
    # Nothing that could not be computed is passed over.
    assert all(NO_SNAPSHOT in one.replayed.not_recorded for one in found.values())
    for example, decision_id in release.told["examples"].items():
        one = found[decision_id, 1].replayed
        assert (NO_LIST in one.not_recorded) == example.startswith("hold "), example
        if example == "approve":
            assert (UNKNOWN_RIGHTS in one.not_recorded) == (name != "console")
        assert one.release is None
        assert one.compared > 20


@pytest.mark.parametrize("name", EARLIER)
def test_each_file_has_examples_of_what_its_release_could_do(name: str) -> None:
    examples = set(Release(name).told["examples"])
    assert examples >= {"auto", "review", "approve", "approve_edited", "reject", "expired", "hold covered",
                        "measured proposal"}  # fmt: skip
    if name != "decision-loop":
        assert examples >= {"several suppliers", "shared order", "scored again proposal", "hold cheaper_to_wait"}


def test_orders_and_outcomes_are_compared_too() -> None:
    whats = {each.what for one in Release("console").replay().values() for each in one.every}
    assert {"idempotency key", "lines_digest", "order line.units", "order line.unit_cost", "outcome.cost",
            "outcome.facts.forecast_p50", "approval rule", "released units"} <= whats  # fmt: skip


@pytest.mark.parametrize("name", EARLIER)
def test_one_changed_byte_of_an_earlier_release_is_found(name: str) -> None:
    release = Release(name)
    for sha256, body in release.evidence.kept.items():
        release.evidence.kept[sha256] = body.replace(b'"on_hand_units":', b'"on_hand_unitz":', 1)
        altered = {one.replayed.decision_id for one in release.replay().values()
                   if one.replayed.verdict is Verdict.DIFFERENT}  # fmt: skip
        release.evidence.kept[sha256] = body
        if b'"on_hand_units":' in body:
            assert altered == {json.loads(body)["need"]["need_id"]}
            return
    raise AssertionError("no inputs in the file")


def test_what_the_first_release_with_snapshots_decided_is_computed_again_from_the_history() -> None:
    books = Books()
    with zipfile.ZipFile(HERE / "ledger.zip") as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    books.ledger.entries = [Entry.model_validate(one) for one in json.loads(kept.pop("ledger.json"))]
    books.ledger.at = max(datetime.fromisoformat(one.recorded_at) for one in books.ledger.entries)
    books.evidence.kept = kept

    found = replayed(books)

    assert found.told == ()
    assert found.counts.equal == found.counts.decisions >= 30
    assert found.not_recorded == {}

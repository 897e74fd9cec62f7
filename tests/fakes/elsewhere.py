"""Decides in a process of its own, and replays there what another one decided: `python -m tests.fakes.elsewhere`.

`make FOLDER` trains a small model, decides a batch with it and writes its books; `replay FOLDER` reads them and prints
what they come to. The process says which XGBoost it has: the test puts the one that it means first on the path.
"""

import json
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import xgboost

from activities.learning.learner import XgboostLearner
from activities.learning.scoring import XgboostScoring
from tests.fakes.recorded import Books, assess, facts_of
from tests.unit.learning_world import LAST_DAY, row, steady_world
from workers.source import running_source
from workflows.domain.ledger import Entry
from workflows.domain.policies import Policy
from workflows.domain.remaking import Replaying
from workflows.domain.replaying import ReplayProgress, ReplayRequest

SUPPLIERS = (("S1", "4.20", 9), ("S2", "4.60", 1))
WORLD = steady_world(count=24, days=220)[0]
POLICY = Policy(auto_value_limit=Decimal(60))


def made() -> Books:
    """A model and a batch of decisions: holds, orders, and proposals that are explained."""
    model = XgboostLearner(rows=2_500, rounds=12).train(WORLD, last_day=LAST_DAY, seed=5, progress=lambda *_: None)
    facts = [
        facts_of(row(one, on_hand=400 if n % 4 == 0 else n), suppliers=SUPPLIERS[: 1 + n % 2])
        for n, one in enumerate(WORLD)
    ]  # fmt: skip
    books = Books()
    books.record(assess(facts, model, XgboostScoring(nthread=1), policy=POLICY, source=running_source()))
    return books


def written(books: Books, folder: Path) -> None:
    """Ledger and evidence as files."""
    (folder / "ledger.json").write_text(json.dumps([one.model_dump(mode="json") for one in books.ledger.entries]))
    for sha256, body in books.evidence.kept.items():
        (folder / sha256).write_bytes(body)


def read(folder: Path) -> Books:
    """The same books."""
    books = Books()
    entries = json.loads((folder / "ledger.json").read_text())
    books.ledger.entries = [Entry.model_validate(one) for one in entries]
    books.ledger.at = datetime.fromisoformat(entries[-1]["recorded_at"])
    books.evidence.kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}
    return books


def replayed(books: Books) -> ReplayProgress:
    """Everything in them."""
    replays, request = (
        Replaying(books.ledger, lambda: books.evidence, lambda n: XgboostScoring(nthread=n)),
        ReplayRequest(),
    )
    progress = ReplayProgress(plan=replays.plan(request))
    while not progress.done:
        assert progress.plan is not None
        progress = progress.and_then(replays.stretch(request, progress.plan, progress.point))
    return progress


def main(what: str, folder: Path) -> None:
    """Do it, and print one line of JSON."""
    if what == "make":
        books = made()
        written(books, folder)
        print(json.dumps({"xgboost": xgboost.__version__, "decisions": len(books.decided)}))
    else:
        print(json.dumps({"xgboost": xgboost.__version__, **replayed(read(folder)).model_dump(mode="json")}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

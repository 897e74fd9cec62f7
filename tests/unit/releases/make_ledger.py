"""Makes `ledger.zip`: decisions of the first release that records what was scored, with their model, all told.

`python -m tests.unit.releases.make_ledger`, on the last commit of that release and never again: what a later release
makes of it is what the test asks.
"""

import json
import zipfile
from pathlib import Path

from activities.learning.scoring import XgboostScoring
from tests.fakes.elsewhere import POLICY, SUPPLIERS, WORLD, made
from tests.fakes.recorded import Books, assess, facts_of
from tests.unit.learning_world import row, series
from workers.source import running_source
from workflows.domain.identity import digest

OUTPUT = Path(__file__).with_name("ledger.zip")


def books() -> Books:
    """A batch of everything, one decision in three revisions, and one from a supplier that somebody asked for."""
    found = made()
    (model,) = [body for body in found.evidence.kept.values() if digest(body) == found.decided[0].decision.model_digest]
    scoring, source = XgboostScoring(nthread=1), running_source()
    waiting = next(one for one in found.decided if one.inputs.scores.drivers)
    history = next(one for one in WORLD if one.item == waiting.inputs.item.item)
    for revision, stock in ((1, 5), (2, 900)):
        facts = [facts_of(row(history, on_hand=stock), suppliers=SUPPLIERS)]
        next_one = assess(facts, model, scoring, policy=POLICY, revision=revision, source=source)
        found.record(next_one, chains=True)
    more = [
        facts_of(row(WORLD[3], on_hand=0), number=2, suppliers=SUPPLIERS[1:], wanted="S2"),
        facts_of(row(series("young", [3, 0, 2]), on_hand=0), ordered_before=False),
        *(facts_of(row(one, on_hand=1), number=2, order_cost="6", suppliers=SUPPLIERS) for one in WORLD[4:8]),
    ]  # fmt: skip
    found.record(assess(more, model, scoring, policy=POLICY, source=source), "batch:L1:2")
    return found


def main() -> None:
    """Write the file."""
    found = books()
    with zipfile.ZipFile(OUTPUT, "w", zipfile.ZIP_LZMA) as archive:
        entries = json.dumps([one.model_dump(mode="json") for one in found.ledger.entries])
        for name, body in [("ledger.json", entries.encode()), *sorted(found.evidence.kept.items())]:
            archive.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_LZMA)


if __name__ == "__main__":
    main()

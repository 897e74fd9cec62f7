"""The planted bugs: each fits today's code, and the harness really finds those that are quick to find."""

from typing import Any

import pytest

from tests.bench.bench_faults import options
from tests.faults.bugs import BUGS, Bug
from tests.faults.cells import CellRun
from tests.faults.planted import Caught, NotPlanted, Score, catch_all, cells_to_catch_with, changed, found_by, planted
from tests.faults.running import Report
from tests.faults.world import CHECKOUT

QUICK = (5, 9)
"""An order that nobody agreed to, and a damaged record: planted whenever tests run. All are in the benchmark."""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: str(bug.number))
def test_a_planted_bug_fits_the_code_and_leaves_python(bug: Bug) -> None:
    assert bug.cells[0] in cells_to_catch_with()
    found = changed(bug)
    assert set(found) == {file for file, _, _ in bug.changes}
    for file, text in found.items():
        assert text != (CHECKOUT / file).read_text()
        if file.endswith(".py"):
            compile(text, file, "exec")


def test_a_bug_is_in_the_copy_and_nowhere_else() -> None:
    bug = BUGS[3]
    (file, _, new), *_ = bug.changes
    with planted(bug) as copy:
        assert new in (copy / file).read_text()
        assert new not in (CHECKOUT / file).read_text()
        assert (copy / "deploy" / "migrations" / "0001.catalog.sql").is_file()
    assert not copy.exists()


def test_the_fourteen_are_planted_each_once() -> None:
    assert [bug.number for bug in BUGS] == list(range(1, 15))


def test_a_bug_whose_place_is_gone_is_an_error() -> None:
    with pytest.raises(NotPlanted, match=r"bug 99: pyproject\.toml has 'no such words' 0 times"):
        changed(Bug(99, "none", "", (("pyproject.toml", "no such words", ""),), (26,)))


def test_what_a_cell_says_counts_only_if_it_holds_without_the_bug() -> None:
    one, other = Caught(1, "", 9, ("I2: twice",)), Caught(2, "", 26, ("I3: two",))
    missed = Caught(3, "", 0, ())
    assert Score([one, other], {9: True, 26: True}).ok
    assert not Score([one, other], {9: True, 26: False}).ok
    assert not Score([one, missed], {9: True}).ok
    assert Score([one, other, missed], {9: True, 26: False}).as_json()["caught"] == 1


def test_a_fault_that_did_not_fire_finds_nothing() -> None:
    def told(**more: Any) -> Report:
        return Report(runs=[CellRun(1, "P0", "", **more)])

    assert found_by(told(error="the fault did not fire: Proof(fired=0, marker='')")) == ()
    assert found_by(told(violations=["I2: twice"], error="NotInTime: a need")) == ("I2: twice", "NotInTime: a need")
    assert found_by(told(fired=True)) == ()


@pytest.mark.timeout(900)
def test_the_harness_finds_what_is_planted_and_nothing_without_it() -> None:
    said: list[str] = []
    score = catch_all([bug for bug in BUGS if bug.number in QUICK], say=said.append)
    assert score.ok, "\n".join(said)


def test_which_bugs_are_planted_can_be_told() -> None:
    assert options(["--planted"]).planted == []
    assert options(["--planted", "4,12"]).planted == [4, 12]
    assert options([]).planted is None

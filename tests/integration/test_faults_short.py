"""The short set of the fault matrix: the running system is broken in each phase, and every promise holds."""

import pytest

from tests.bench.bench_faults import options
from tests.faults.cells import all_cells
from tests.faults.running import run_cells


@pytest.mark.timeout(1500)
def test_every_promise_holds_while_the_system_is_broken() -> None:
    said: list[str] = []
    report = run_cells([cell for cell in all_cells() if cell.short], short=True, say=said.append)
    assert report.ok, "\n".join(said)
    assert len(report.runs) >= 9
    assert sum(run.kills + run.crashes for run in report.runs) > 0
    assert report.replayed > 0


def test_a_cell_that_does_not_exist_is_no_cell() -> None:
    assert options(["--cells", "1,5,26"]).cells == [1, 5, 26]
    with pytest.raises(SystemExit):
        options(["--cells", "one"])

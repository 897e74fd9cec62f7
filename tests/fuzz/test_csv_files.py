"""Whatever CSV file somebody brings, it is taken with exactly its rows, or refused with words that say where."""

import csv
import io
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.fuzz.bent_tables import bent_file
from tests.fuzz.csv_kinds import BESIDE, KINDS, KINDS_BY_NAME, Kind, says, seen
from workflows.domain.errors import InvalidInput
from workflows.domain.tables import MOST_PROBLEMS, WHOLE_FILE, Unusable

EACH = 900
"""Of each kind; the sum is asserted below."""
SEED = 20260304
OF_THE_FORM = re.compile(
    r"is empty|is a broken gzip file|is not UTF-8|is not a CSV file|lacks \d+ of|no sale could be read|has a header and"
    r"|one date tells no period|is not gzipped|is a zip archive|lies before|line \d+: "
)
"""Words about a whole file; anything else names a line."""
LINELESS_COLUMN = re.compile(r"cannot be read as CSV|not UTF-8|NUL|cells, and|has no name|the first line names|at most")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_bent_file_is_taken_with_exactly_its_rows_or_refused_with_its_line(kind: Kind, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED} {kind.name}")  # noqa: S311 - rubbish, the same each time
    path, ended = tmp_path / "given.csv", Counter[str]()
    for number in range(EACH):
        raw = bent_file(chance, kind.columns, kind.rows, zipped=kind.zipped)
        path.write_bytes(raw)
        what = f"{kind.name} {number}: {raw[:600]!r}"
        try:
            _expect_rows(kind, raw, kind.read(path, raw), what)
            ended["taken"] += 1
        except InvalidInput as error:
            _expect_words(kind, raw, error, what)
            ended["refused"] += 1
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error
    assert ended.total() == EACH
    assert min(ended.values()) > EACH // 20, ended
    assert len(ended) == 2


def test_there_are_ten_thousand_of_them() -> None:
    assert EACH * len(KINDS) >= 10_000
    assert len(KINDS) == len(KINDS_BY_NAME) == 12


@pytest.mark.parametrize(
    ("kind", "column"), [(kind, column) for kind in KINDS for column in kind.wrong],
    ids=lambda one: one if isinstance(one, str) else one.name,
)  # fmt: skip
def test_one_bad_cell_is_named_by_its_line_and_column(kind: Kind, column: str, tmp_path: Path) -> None:
    rows = [list(row) for row in kind.rows]
    rows[1][kind.columns.index(column)] = kind.wrong[column]
    text = io.StringIO()
    csv.writer(text).writerows([kind.columns, *rows])
    path = tmp_path / "given.csv"
    path.write_text(text.getvalue())

    with pytest.raises(InvalidInput) as refused:
        kind.read(path, path.read_bytes())

    if isinstance(refused.value, Unusable):
        (problem,) = refused.value.problems
        assert problem.line == 3
        # A limit that nobody knows and its value are one thing; so are an answer and the units that go with it.
        assert problem.column in (column, "value", "")
        assert problem.column or kind.name == "verdicts"
    else:
        assert "line 3: " in str(refused.value)
        assert column in str(refused.value)


def _expect_words(kind: Kind, raw: bytes, error: InvalidInput, what: str) -> None:
    if isinstance(error, Unusable):
        assert kind.desk, what
        _expect_places(error, kind, raw, what)
    else:
        assert not kind.desk, f"{what}: {error}"
        assert OF_THE_FORM.search(str(error)), f"{what}: {error}"
        assert len(str(error)) < 1_000, what


def _expect_places(error: Unusable, kind: Kind, raw: bytes, what: str) -> None:
    lines = max(raw.count(b"\n"), raw.count(b"\r"), raw.count(b"\n") + raw.count(b"\r")) + 1
    assert 0 < len(error.problems) <= MOST_PROBLEMS
    for problem in error.problems:
        words = f"{what}: {problem}"
        assert 1 <= problem.line <= lines or (problem.line == WHOLE_FILE and kind.name == "limits"), words
        assert 0 < len(problem.reason) <= 400, words
        assert problem.column or LINELESS_COLUMN.search(problem.reason) or kind.name in ("limits", "verdicts"), words


def _expect_rows(kind: Kind, raw: bytes, told: list[dict[str, object]], what: str) -> None:
    there = seen(kind, raw)
    assert there is not None, what
    if kind.name == "limits":
        there = [row for row in there if row["value"].strip()]
    if kind.name == "verdicts":
        there = [row for row in there if row["meaning"].strip()]
    assert len(told) == len(there), f"{what}: {told}"
    assert kind.public or not any(BESIDE in row for row in there), f"{what}: cells beyond the last column were lost"
    if kind.name in ("limits", "study demand"):  # by scope, and by item: in another order than in the file
        for row in told:
            named = [
                one
                for one in there
                if all(says(one.get(n, ""), v, guarded=kind.desk) for n, v in row.items() if n != "quantity")
            ]
            assert named, f"{what}: {row}"
        return
    for row, cells in zip(told, there, strict=True):
        for column, cell in cells.items():
            if cell.strip() and column in row:
                assert says(cell, row[column], guarded=kind.desk), (
                    f"{what}: {column}: {cell!r} was read as {row[column]!r}"
                )

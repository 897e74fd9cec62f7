"""What is written reads back unchanged; what cannot be read is told with line and reason, whatever was sent."""

import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.domain.catalog import Item
from workflows.domain.files import (
    COLUMNS,
    SHAPES,
    FileKind,
    catalog_cells,
    catalog_rows,
    verdict_commands,
)
from workflows.domain.limits import Override
from workflows.domain.policies import Policy
from workflows.domain.policy_files import policy_document, policy_rows
from workflows.domain.tables import (
    MOST_PROBLEMS,
    Shape,
    Unusable,
    guarded,
    read_table,
    unguarded,
    write_table,
)

TEXT = st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), max_size=40)
PLAIN = Shape(required=("a", "b"), numbers=("b",))
ITEMS = "item,name,category,price,goodwill_per_unit\n"


def file_of(kind: FileKind, rows: list[dict[str, str]]) -> bytes:
    return "".join(write_table(COLUMNS[kind], rows)).encode()


def problems(raw: bytes | str, kind: FileKind = FileKind.ITEMS) -> list[tuple[int, str]]:
    data = raw if isinstance(raw, bytes) else raw.encode()
    with pytest.raises(Unusable) as caught:
        catalog_rows(kind, read_table(data, SHAPES[kind]), "EUR")
    assert all(one.reason for one in caught.value.problems)
    return [(one.line, one.column) for one in caught.value.problems]


@given(text=TEXT)
def test_no_cell_is_a_formula_and_each_reads_back(text: str) -> None:
    cell = guarded(text)
    assert unguarded(cell) == text
    assert not cell.startswith(("=", "@", "\t", "\r"))
    if cell.startswith(("+", "-")):
        assert cell[1:].replace(",", ".").replace(".", "", 1).isdigit(), "a plain number"


@pytest.mark.parametrize("text", ["=1+1", "+SUM(A1)", "-2+3", "@x", "\tx", "\rx", '=HYPERLINK("http://x")', "\uff1d1"])
def test_what_a_spreadsheet_would_run_stands_after_an_apostrophe(text: str) -> None:
    assert guarded(text) == f"'{text}"
    assert guarded(guarded(text)) == f"''{text}"


@given(rows=st.lists(st.tuples(TEXT.filter(lambda text: text.strip() != ""), TEXT), max_size=8))
def test_any_cells_read_back_as_they_were_written(rows: list[tuple[str, str]]) -> None:
    raw = "".join(write_table(("a", "b"), [{"a": a, "b": b} for a, b in rows])).encode()
    assert [(row.cells["a"], row.cells["b"]) for row in read_table(raw, PLAIN)] == rows


MONEY = st.decimals(0, 10**9, places=4, allow_nan=False)
NAME = st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), max_size=200)


@settings(max_examples=150, deadline=None)
@given(
    items=st.lists(
        st.builds(
            Item, item=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True), name=NAME, category=NAME,
            price=MONEY, goodwill_per_unit=MONEY,
        ),
        max_size=5, unique_by=lambda item: item.item,
    )
)  # fmt: skip
def test_an_exported_catalog_is_imported_unchanged(items: list[Item]) -> None:
    raw = file_of(FileKind.ITEMS, [catalog_cells(item, "EUR") for item in items])
    assert [row for _, row in catalog_rows(FileKind.ITEMS, read_table(raw, SHAPES[FileKind.ITEMS]), "EUR")] == items


@settings(max_examples=100, deadline=None)
@given(
    auto=st.decimals(0, 5000, places=2, allow_nan=False),
    overrides=st.lists(
        st.builds(
            Override, item=st.sampled_from([None, "OAT-1L"]),
            category=NAME.filter(lambda text: text.strip() != ""),
            auto_value_limit=st.decimals(0, 5000, places=2, allow_nan=False), new_item_asks=st.booleans(),
            service=st.sampled_from([None, {"measure": "fill", "target": "0.97"}]),
        ),
        max_size=4, unique_by=lambda one: one.scope,
    ),
)  # fmt: skip
def test_an_exported_policy_is_imported_unchanged(auto: Decimal, overrides: list[Override]) -> None:
    policy = Policy.model_validate(
        {"auto_value_limit": auto, "overrides": overrides, "attention": {"wage_per_hour": "38.5"}, "autonomy": "L4"}
    )
    raw = file_of(FileKind.LIMITS, policy_rows(policy))
    document = policy_document(read_table(raw, SHAPES[FileKind.LIMITS]))
    assert Policy.model_validate(document).digest == policy.digest


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_ways_of_spreadsheets_are_all_read(separator: str, end: str, mark: str) -> None:
    lines = [["Price", "ITEM", "name", "goodwill_per_unit", "category"], ['"9.90"', "A", '"a ""b"""', "", "x"]]
    raw = mark + end.join(separator.join(line) for line in lines) + end + separator * 4 + end
    ((line, item),) = catalog_rows(FileKind.ITEMS, read_table(raw.encode(), SHAPES[FileKind.ITEMS]), "EUR")
    assert (line, item) == (2, Item(item="A", name='a "b"', category="x", price=Decimal("9.9")))


def test_a_decimal_comma_is_read_where_it_can_mean_one_thing() -> None:
    header = ITEMS.replace(",", ";")
    ((_, item),) = catalog_rows(
        FileKind.ITEMS, read_table(f"{header}A;1,5;x;9,90;0\n".encode(), SHAPES[FileKind.ITEMS]), "EUR"
    )
    assert (getattr(item, "name", None), getattr(item, "price", None)) == ("1,5", Decimal("9.9"))
    assert problems(f"{header}A;n;x;1,234;0\n") == [(2, "price")], "thousands, or a third decimal?"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [(1, "")]),
        ("item,name\nA,b\n", [(1, "category"), (1, "price"), (1, "goodwill_per_unit")]),
        (ITEMS.replace("price", "preis") + "A,b,c,1,0\n", [(1, "preis"), (1, "price")]),
        ("item,item,name,category,price,goodwill_per_unit\n", [(1, "item")]),
        (ITEMS + "A,b,c,much,0\nB,b,c,-1,0\nC,b,c,1e999,0\n", [(2, "price"), (3, "price"), (4, "price")]),
        (ITEMS + "A,b,c,1,0\nA,b,c,2,0\n", [(3, "item")]),
        (ITEMS + "A,b,c,1\nB,b,c,1,0,7\n", [(2, ""), (3, "")]),
        (ITEMS + 'A,"b\nb",c,1,0\n\nBAD CODE,b,c,1,0\n', [(5, "item")]),
        (ITEMS + 'A,"b,c,1,0\n', [(2, "")]),
        (ITEMS.strip() + ",currency\nA,b,c,1,0,USD\nB,b,c,x,0,EUR\n", [(2, "currency"), (3, "price")]),
        ("item,name,category,price,goodwill_per_unit\n" + "A,b,c,1,0\x00\n", [(2, "")]),
    ],
)
def test_every_problem_is_told_with_its_line(text: str, found: list[tuple[int, str]]) -> None:
    assert problems(text) == found


def test_bytes_that_are_no_text_and_a_file_full_of_problems() -> None:
    assert problems(ITEMS.encode() + "A,Käse,c,1,0\n".encode("latin-1")) == [(2, "")]
    with pytest.raises(Unusable) as caught:
        catalog_rows(FileKind.ITEMS, read_table((ITEMS + "A,b,c,x,0\n" * 250).encode(), SHAPES[FileKind.ITEMS]), "EUR")
    assert (len(caught.value.problems), caught.value.more) == (MOST_PROBLEMS, 150)


def test_limits_that_are_none_are_told_with_their_lines() -> None:
    rows = [
        ",,,,auto_value_limit,100", ",,,,nonsense,1", ",,,,review_value_limit,abc", "A,,,,service.target,2",
        ",,acme,,review_days,3", ",,,,auto_value_limit,200", "A,,,,item,B", ",,,,version,3", ",,,,service.measure,fill",
    ]  # fmt: skip
    raw = "item,category,supplier,location,limit,value\n" + "\n".join(row for row in rows) + "\n"
    with pytest.raises(Unusable) as caught:
        policy_document(read_table(raw.replace(",,,,", ",,,,").encode(), SHAPES[FileKind.LIMITS]))
    told = {one.line for one in caught.value.problems}
    assert {3, 4, 5, 6, 7, 8, 9, 10} <= told


def test_the_same_file_gives_the_same_commands_and_rows_without_a_meaning_give_none() -> None:
    head = "decision_id,proposal_hash,meaning,units,reason,comment,sentence\n"
    raw = f"{head}A:B:1,{'0' * 64},reject,,other,no,x\nA:B:2,{'1' * 64},,,,,x\nA:B:3,{'2' * 64},approve_edited,12,,,x\n"
    rows = read_table(raw.encode(), SHAPES[FileKind.VERDICTS])
    commands = verdict_commands(rows, "d" * 64)
    assert [(line, one.decision_id, one.meaning, one.units) for line, one in commands] == [
        (2, "A:B:1", "reject", None), (4, "A:B:3", "approve_edited", 12),
    ]  # fmt: skip
    assert commands == verdict_commands(rows, "d" * 64)
    assert commands != verdict_commands(rows, "e" * 64)
    for bad in ("reject,,,", "approve,12,,", "approve_edited,,,", "expire,,,", "maybe,,,", "approve_edited,-1,,"):
        with pytest.raises(Unusable):
            verdict_commands(
                read_table(f"{head}A:B:1,{'0' * 64},{bad},x\n".encode(), SHAPES[FileKind.VERDICTS]), "d" * 64
            )


def test_ten_thousand_broken_files_are_told_and_none_breaks_the_reader() -> None:
    chance = random.Random(11)  # noqa: S311 - a reproducible mixture
    good = (ITEMS + 'A,b,c,1,0\nB,"x\ny",c,2.5,0\n').encode()
    limits = file_of(FileKind.LIMITS, policy_rows(Policy()))
    pool = [
        b",",
        b";",
        b'"',
        b"\n",
        b"\r",
        b"\x00",
        b"\xff",
        b"=",
        b"1e9999",
        b"NaN",
        b"Infinity",
        "é".encode(),
        b"item",
    ]
    told = 0
    for n in range(10_000):
        kind = (FileKind.ITEMS, FileKind.LIMITS, FileKind.VERDICTS)[n % 3]
        raw = bytearray(limits if kind is FileKind.LIMITS else good)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(raw) + 1)
            action = chance.randrange(3)
            if action == 0:
                raw[at:at] = chance.choice(pool)
            elif action == 1:
                del raw[at : at + chance.randint(1, 9)]
            else:
                raw[at:at] = raw[chance.randrange(len(raw) + 1) :][: chance.randint(1, 30)]
        told += _told(bytes(raw), kind)
    assert told > 5_000


def _told(raw: bytes, kind: FileKind) -> bool:
    """Whether the file was refused, with reasons that can be shown and stored."""
    try:
        rows = read_table(raw, SHAPES[kind])
        if kind is FileKind.LIMITS:
            policy_document(rows)
        elif kind is FileKind.VERDICTS:
            verdict_commands(rows, "d" * 64)
        else:
            catalog_rows(kind, rows, "EUR")
    except Unusable as error:
        reasons = [one.reason for one in error.problems]
    else:
        return False
    assert reasons
    assert all(reason and "\x00" not in reason for reason in reasons)
    return True

"""The demo's exit code is what its books say: every contradiction is named, and a short or passive demo is excused."""

from pathlib import Path
from typing import Any

import pytest

from workers.demo import Stretch, broken_invariants, remember, remembered, unseen_parts
from workflows.domain.errors import InvalidInput

ORDERS = {("key-1", "lines-1"), ("key-2", "lines-2")}


def counts(**changes: Any) -> dict[str, Any]:
    """Books that balance, with these changes."""
    whole = {
        "events": 100, "dead_lettered": 0, "needs": 30, "holds": 10, "proposals": 20, "auto_released": 11, "blocked": 1,
        "tasks_opened": 8, "approved": 3, "rejected": 2, "expired": 1, "voided": 1, "open": 1, "orders_placed": 2,
        "orders_at_supplier": 2, "receipts": 9, "outcomes": 12, "outcomes_due": 0, "models_trained": 2,
        "model_promoted": 0, "ledger_entries": 70, "ledger_ok": True,
    }  # fmt: skip
    return whole | changes


def test_books_that_balance_are_whole() -> None:
    assert broken_invariants(counts(), ORDERS, set(ORDERS)) == []
    assert unseen_parts(counts()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ledger_ok": False}, "the ledger does not verify"),
        ({"holds": 9}, "needs is 30, but holds + proposals is 29"),
        ({"blocked": 0}, "proposals is 20, but auto_released + blocked + tasks_opened is 19"),
        ({"open": 0}, "tasks_opened is 8, but approved + rejected + expired + voided + open is 7"),
        ({"outcomes_due": 4}, "4 outcomes are still due"),
    ],
)
def test_every_contradiction_is_named(changes: dict[str, Any], words: str) -> None:
    assert broken_invariants(counts(**changes), ORDERS, ORDERS) == [words]


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        ({("key-1", "lines-1")}, "orders differ: 1 only here, 0 only at the suppliers"),
        (ORDERS | {("key-3", "lines-3")}, "orders differ: 0 only here, 1 only at the suppliers"),
        ({("key-1", "lines-1"), ("key-2", "other lines")}, "orders differ: 1 only here, 1 only at the suppliers"),
    ],
)
def test_an_order_that_one_side_does_not_have_as_the_other_has_it_is_named(
    theirs: set[tuple[str, str]], words: str
) -> None:
    assert broken_invariants(counts(), ORDERS, theirs) == [words]


def test_all_contradictions_are_named_at_once() -> None:
    assert len(broken_invariants(counts(ledger_ok=False, holds=0, outcomes_due=1), ORDERS, set())) == 4


@pytest.mark.parametrize("name", ["events", "holds", "rejected", "receipts", "outcomes", "models_trained"])
def test_a_whole_stretch_without_a_part_of_the_loop_is_named(name: str) -> None:
    assert unseen_parts(counts(**{name: 0})) == [f"{name} is 0"]


@pytest.mark.parametrize("name", ["dead_lettered", "blocked", "expired", "voided", "open", "model_promoted"])
def test_what_need_not_happen_is_not_asked_for(name: str) -> None:
    assert unseen_parts(counts(**{name: 0})) == []


def test_a_passive_demo_sends_nothing_and_an_order_at_the_suppliers_is_a_broken_promise() -> None:
    nothing = counts(orders_placed=0, orders_at_supplier=0, receipts=0)

    assert unseen_parts(nothing, passive=True) == []
    assert broken_invariants(nothing, set(), set(), passive=True) == []
    assert broken_invariants(counts(), ORDERS, ORDERS, passive=True) == [
        "2 orders reached the suppliers although nothing may be sent"
    ]


def test_a_demo_remembers_what_it_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    begun = Stretch(feed="online-retail", file=Path("rows.csv"), days=9, seed=3)

    remember(tmp_path / "demo", begun)

    assert remembered(tmp_path / "demo") == begun.model_copy(update={"file": tmp_path / "rows.csv"})


@pytest.mark.parametrize("note", [None, "", '{"feed": 1}'])
def test_without_a_demo_there_is_nothing_to_resume(tmp_path: Path, note: str | None) -> None:
    if note is not None:
        (tmp_path / "demo.json").write_text(note)

    with pytest.raises(InvalidInput, match=r"no demo in .* to resume"):
        remembered(tmp_path)

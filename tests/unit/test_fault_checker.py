"""The fault harness's checker sees what it says that it checks, also where the product says that all is well."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.faults.checker import Evidence, Row, check

POLICY = b'{"auto_value_limit":"5000","scopes":[{"limits":{"auto_value_limit":"6000"}}]}'


class Told(Evidence):
    """Evidence whose tables hold these rows, and whose supplier booked this order."""

    def __init__(self, tables: dict[str, list[Row]], lines: list[Row]) -> None:
        super().__init__("", Path("absent"), Path("absent"))
        self._tables, self._lines = tables, lines

    def rows(self, query: str, *arguments: Any) -> list[Row]:
        return next((rows for words, rows in self._tables.items() if words in query), [])

    def booked(self) -> list[Row]:
        return [{"key": "k", "order_id": "o-1", "lines": self._lines}] if self._lines else []


def ordered(units: int, tier: str = "auto") -> Told:
    """An order of so many units at 10 each."""
    proposal = {
        "decision_id": "n-1", "proposal_hash": "h", "tier": tier, "units": units, "unit_cost": Decimal(10),
        "document": POLICY,
    }  # fmt: skip
    sent = {"stream": "order:o-1", "at": "2025-03-03T05:00:00.000000Z"}
    tables: dict[str, list[Row]] = {"FROM replenishment": [proposal], "type = 'order.sent'": [sent]}
    return Told(tables, [{"need_id": "n-1", "units": units}])


def test_an_order_below_every_limit_needs_nobody() -> None:
    assert check(ordered(600), "I4") == []


def test_an_order_above_the_policys_limit_that_nobody_was_asked_about_is_seen() -> None:
    (found,) = check(ordered(601), "I4")

    assert "ordered without a person" in found.detail


def test_an_order_of_a_proposal_for_people_that_nobody_agreed_to_is_seen() -> None:
    (found,) = check(ordered(1, "review"), "I4")

    assert "0 of 1 approvals" in found.detail


def test_a_need_that_was_proposed_more_often_than_it_was_decided_is_seen() -> None:
    counts = {"AS known": [{"stream": "n-1", "n": 2, "known": 1}, {"stream": "n-2", "n": 2, "known": 2}]}

    (found,) = check(Told(counts, []), "I2")

    assert "n-1" in found.detail

"""A number of a few letters never keeps a machine busy: it is a number within reason, or no number."""

from decimal import Decimal
from pathlib import Path

import pytest

from connectors.studies.items import read_items, read_rules
from workflows.domain.errors import InvalidInput
from workflows.domain.policy_changes import read_document
from workflows.domain.spelled import decimal_of
from workflows.domain.studies import Terms

BEYOND = ("1e-999999999", "1E+999999999", "0e-999999999", "-1e401")


@pytest.mark.parametrize("text", ["0", "-0", "1.50", "1e400", "-1E-400", "Infinity"])
def test_what_is_within_reason_is_exact(text: str) -> None:
    assert decimal_of(text) == Decimal(text)


@pytest.mark.parametrize("text", BEYOND)
def test_what_would_never_end_as_an_integer_is_refused_where_documents_are_read(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="beyond every range"):
        decimal_of(text)
    with pytest.raises(InvalidInput, match="beyond every range"):
        read_document(f'{{"refused_memory_days": {text}}}')
    rules, items = tmp_path / "rules.json", tmp_path / "items.csv"
    rules.write_text(f'{{"rounds": {text}}}')
    with pytest.raises(InvalidInput, match="beyond every range"):
        read_rules(rules)
    items.write_text(f"item,location,lead_time_periods\na,L,{text}\n")
    with pytest.raises(InvalidInput, match=r"items\.csv line 2: lead_time_periods '.*' is beyond every range"):
        read_items(items, Terms())

"""`items.csv`, `state.csv` and `rules.json`: what items cost, what is there at the start, and what is asked."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from connectors.feeds.rowfile import file_content
from connectors.studies.demand import Key
from connectors.studies.table import Table, is_nothing, number, thousandths
from workflows.domain.errors import InvalidInput
from workflows.domain.spelled import decimal_of
from workflows.domain.studies import StudyRules, Terms

KEY = ("item", "location")
ARRIVES = re.compile(r"arrives_([1-9][0-9]{0,3})")


@dataclass(frozen=True)
class ItemRows:
    """The items' own terms, and the category columns."""

    terms: dict[Key, Terms] = field(default_factory=dict)
    """Over the defaults already. Items that share all terms share the object."""
    categories: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    category_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """What is there at the end of the start period, in thousandths of a unit."""

    on_hand: int
    arrivals: tuple[int, ...]


def keyed(table: Table) -> Iterator[tuple[Key, list[str]]]:
    """The rows with their item and location, each of them once.

    Raises:
        InvalidInput: while iterating: no name, or a second row.
    """
    i_item, i_location = (table.columns.index(name) for name in KEY)
    seen: set[Key] = set()
    for row in table.rows():
        key = (row[i_item].strip(), row[i_location].strip())
        if not key[0]:
            raise table.fault("the item has no name")
        if key in seen:
            raise table.fault(f"a second row of item {key[0][:60]} at {key[1][:60]}")
        seen.add(key)
        yield key, row


def read_items(path: Path, defaults: Terms) -> ItemRows:
    """Read the file.

    Raises:
        InvalidInput: with file and line: a column is missing, a term cannot be read, or a row is there twice.
    """
    table = Table(path, KEY)
    named = {name: position for position, name in enumerate(table.columns) if name in Terms.model_fields}
    others = [(name, i) for i, name in enumerate(table.columns) if name and name not in (*KEY, *Terms.model_fields)]
    spelled: dict[tuple[str, ...], Terms] = {}
    rows = ItemRows(category_names=tuple(name for name, _ in others))
    for key, row in keyed(table):
        words = tuple(row[position] for position in named.values())
        terms = spelled.get(words)
        if terms is None:
            terms = spelled[words] = _terms(table, dict(zip(named, words, strict=True))).over(defaults)
        rows.terms[key] = terms
        rows.categories[key] = tuple(row[position].strip() for _, position in others)
    return rows


def _terms(table: Table, words: dict[str, str]) -> Terms:
    values: dict[str, Any] = {}
    for name, text in words.items():
        if not is_nothing(text):
            try:
                values[name] = number(text)
            except ValueError as error:
                raise table.fault(f"{name} {error}") from None
    try:
        return Terms.model_validate(values)
    except ValidationError as error:
        raise table.fault(_explained(error)) from None


def read_state(path: Path) -> dict[Key, State]:
    """Read the file.

    Raises:
        InvalidInput: with file and line: a column is missing, a number cannot be read, or a row is there twice.
    """
    table = Table(path, (*KEY, "on_hand"))
    i_stock = table.columns.index("on_hand")
    coming = {int(found[1]): i for i, name in enumerate(table.columns) if (found := ARRIVES.fullmatch(name))}
    states = {}
    for key, row in keyed(table):
        arrivals = [0] * max(coming, default=0)
        for number_, position in coming.items():
            arrivals[number_ - 1] = _units(table, f"arrives_{number_}", row[position])
            if arrivals[number_ - 1] < 0:
                raise table.fault(f"arrives_{number_} is negative")
        states[key] = State(_units(table, "on_hand", row[i_stock]), tuple(arrivals))
    return states


def _units(table: Table, name: str, text: str) -> int:
    try:
        return 0 if is_nothing(text) else thousandths(text)
    except ValueError as error:
        raise table.fault(f"{name} {error}") from None


def read_rules(path: Path) -> StudyRules:
    """Read the file.

    Raises:
        InvalidInput: it is no JSON object, or a rule is missing or impossible.
    """
    content = file_content(path)
    try:
        document = json.loads(content.decode("utf-8-sig"), parse_float=decimal_of)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise InvalidInput(f"{path.name} is not JSON: {error}") from None
    try:
        return StudyRules.model_validate(document)
    except ValidationError as error:
        raise InvalidInput(f"{path.name}: {_explained(error)}") from None


def _explained(error: ValidationError) -> str:
    """The first fault in words."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']} (it is {first['input']!s:.60})" if where else str(first["msg"])

"""A population is every item of a period with its place in the ledger, so that a sample can be drawn from all there is.

The period counts by when the database recorded an entry (days in UTC, inclusive). The proof beside the file says how
many entries there are of each type, counted apart from the writing of the file, and which signed checkpoint of the tree
they stand in: whoever holds the ledger or a copy of the tree can recount.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from pydantic import Field

from workflows.domain.identity import Digest, Instant, Payload, canonical
from workflows.domain.ledger import Entry, EntryType
from workflows.domain.tables import write_row, write_table


class PopulationKind(StrEnum):
    """What is exported."""

    DECISIONS = "decisions"
    """Every revision that was decided: proposals, and the holds of each batch one by one."""
    ORDERS = "orders"
    """Every purchase order, as it was prepared for sending."""
    APPROVALS = "approvals"
    """Every answer that counted, first signatures too."""
    ENTRIES = "entries"
    """Every entry of the ledger."""


TYPES: Mapping[PopulationKind, tuple[EntryType, ...] | None] = MappingProxyType({
    PopulationKind.DECISIONS: (EntryType.DECISION_PROPOSED, EntryType.HOLDS_RECORDED),
    PopulationKind.ORDERS: (EntryType.ORDER_PREPARED,),
    PopulationKind.APPROVALS: (EntryType.VERDICT_RECORDED, EntryType.VERDICT_SIGNED),
    PopulationKind.ENTRIES: None,
})  # fmt: skip
"""Types of the entries that the items of a kind stand in; None: any."""


class Wanted(Payload):
    """What is exported."""

    what: PopulationKind
    since: date
    until: date


class Item(Payload):
    """One item and where it stands."""

    type: str
    id: str
    """Of the decision, order or answered decision; of an entry, its chain."""
    revision: int | None = None
    outcome: str = ""
    """`hold` or a proposal's tier; an answer's meaning; empty for what has none."""
    supplier: str = ""
    units: int | None = None
    value: str = ""
    currency: str = ""
    content: str = ""
    """Hash of the item itself: a decision's or proposal's hash, an order's key."""
    count: int = 1
    """More than one: holds of an earlier release, of which a batch's entry has only the number."""
    actor: str
    occurred_at: str
    recorded_at: str
    stream: str
    seq: int
    place: int | None = None
    """Which of the batch's items, from 0; None: the entry is about one item."""
    body_sha256: Digest
    hash: Digest
    leaf: int | None = None
    """The entry's index in the tree, from 0; None: the notary had not seen it."""


COLUMNS = tuple(Item.model_fields)


class TreeHead(Payload):
    """The newest signed checkpoint when the population was read."""

    number: int
    size: int
    """Entries in the tree."""
    root: Digest
    signed_at: Instant
    note: str
    """The whole signed note, as anchors have it."""


class Counted(Payload):
    """Entries of one type in the period."""

    type: str
    entries: int
    items: int
    """Decisions, orders, answers that stand in them."""


class Bound(Payload):
    """The first or the last entry of a population."""

    stream: str
    seq: int
    recorded_at: str
    hash: Digest


class Proof(Payload):
    """What makes a population provably whole."""

    format: str = "quartermaster.population.v1"
    wanted: Wanted
    entries: int
    """Entries written to the file."""
    items: int
    rows: int
    counted: tuple[Counted, ...]
    counted_apart: Mapping[str, int] = Field(default_factory=dict)
    """Entries of each type in the period by a count of its own, of the same instant."""
    first: Bound | None = None
    last: Bound | None = None
    without_leaf: int
    """Entries of the population that are in no checkpoint yet."""
    beyond_checkpoint: int
    """Entries that have a leaf, but one that the checkpoint does not cover yet."""
    tree: TreeHead | None
    """None: no notary has signed anything yet."""
    read_at: str
    """The database's clock; what was committed later is not in it."""
    sha256: Digest | None = None
    """Of the file."""

    @property
    def whole(self) -> bool:
        """Whether everything that was counted apart is in the file."""
        return {one.type: one.entries for one in self.counted} == dict(self.counted_apart)

    @property
    def told(self) -> dict[str, Any]:
        """What the ledger keeps of the export."""
        tree = self.tree.model_dump(include={"number", "size", "root"}) if self.tree else None
        counts = {"entries": self.entries, "items": self.items, "without_leaf": self.without_leaf}
        wanted = {"kind": str(self.wanted.what), "since": self.wanted.since, "until": self.wanted.until}
        return {"what": "population", **wanted, **counts, "tree": tree, "sha256": self.sha256}


class Tally:
    """Counts a population while it is written."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._entries: Counter[str] = Counter()
        self._items: Counter[str] = Counter()
        self._rows = self._without = self._beyond = 0
        self._first: Bound | None = None
        self._last: Bound | None = None

    def entry(self, entry: Entry, items: list[Item], leaf: int | None, tree: TreeHead | None) -> None:
        """Count one entry and the items that stand in it."""
        self._entries[entry.type] += 1
        self._items[entry.type] += sum(one.count for one in items)
        self._rows += len(items)
        self._without += leaf is None
        self._beyond += leaf is not None and (tree is None or leaf >= tree.size)
        self._last = Bound(stream=entry.stream, seq=entry.seq, recorded_at=entry.recorded_at, hash=entry.hash)
        self._first = self._first or self._last

    def proof(self, apart: Mapping[str, int], tree: TreeHead | None, read_at: str) -> Proof:
        """What was counted."""
        counted = tuple(
            Counted(type=kind, entries=entries, items=self._items[kind])
            for kind, entries in sorted(self._entries.items())
        )
        return Proof(
            wanted=self._wanted, entries=self._entries.total(), items=self._items.total(), rows=self._rows,
            counted=counted, counted_apart=dict(sorted(apart.items())), first=self._first, last=self._last,
            without_leaf=self._without, beyond_checkpoint=self._beyond, tree=tree, read_at=read_at,
        )  # fmt: skip


def items_of(
    what: PopulationKind, entry: Entry, body: Mapping[str, Any], held: list[Any] | None, leaf: int | None
) -> list[Item]:  # fmt: skip
    """The items that stand in an entry. `held` are the holds that a batch's entry names: [id, revision, hash] each."""
    names = ("type", "actor", "occurred_at", "recorded_at", "stream", "seq", "body_sha256", "hash")
    own: dict[str, Any] = {**{name: getattr(entry, name) for name in names}, "leaf": leaf, "id": entry.stream}
    if what is PopulationKind.ENTRIES:
        return [Item(**own)]
    match entry.type:
        case EntryType.DECISION_PROPOSED:
            return [Item(**{**own, **_proposal(body)})]
        case EntryType.HOLDS_RECORDED if held is None:
            return [Item(**{**own, "id": str(body.get("batch", entry.stream)), "outcome": "hold",
                            "count": int(body.get("holds", 1))})]  # fmt: skip
        case EntryType.HOLDS_RECORDED:
            return [
                Item(**{**own, "id": one[0], "revision": one[1], "content": one[2], "outcome": "hold", "place": place})
                for place, one in enumerate(held or ())
            ]
        case EntryType.ORDER_PREPARED:
            return [Item(**{**own, **_order(entry.stream, body)})]
    told = {"outcome": body.get("meaning"), "units": body.get("units"), "revision": body.get("revision"),
            "content": body.get("proposal_hash") or ""}  # fmt: skip
    return [Item(**{**own, **told})]


def _proposal(body: Mapping[str, Any]) -> dict[str, Any]:
    decision = body.get("decision") or {}
    result = decision.get("result") or {}
    return {
        "id": decision.get("decision_id", ""), "revision": decision.get("revision"),
        "outcome": str(result.get("tier", result.get("kind", ""))), "supplier": str(result.get("supplier", "")),
        "units": result.get("units"), "value": str(result.get("value", "")),
        "currency": str(result.get("currency", "")), "content": str(body.get("proposal_hash", "")),
    }  # fmt: skip


def _order(stream: str, body: Mapping[str, Any]) -> dict[str, Any]:
    order = body.get("order") or {}
    lines = order.get("lines") or ()
    return {
        "id": stream.removeprefix("order:"), "supplier": str(order.get("supplier", "")),
        "units": sum(int(line.get("units", 0)) for line in lines) if lines else None,
        "currency": str(order.get("currency", "")), "content": str(body.get("key", "")),
    }  # fmt: skip


class PopulationFormat(StrEnum):
    """How the file is written."""

    CSV = "csv"
    JSONL = "jsonl"


def header(form: PopulationFormat) -> Iterator[str]:
    """What stands before the first row."""
    if form is PopulationFormat.CSV:
        yield from write_table(COLUMNS, ())


def line(form: PopulationFormat, item: Item) -> str:
    """One row: of a CSV file guarded against formulas, of JSON Lines in canonical form."""
    if form is PopulationFormat.JSONL:
        return canonical(item).decode() + "\n"
    told = json.loads(canonical(item))
    return write_row(COLUMNS, {name: "" if value is None else str(value) for name, value in told.items()})


class Populations(Protocol):
    """Reads populations from the ledger, in the order in which entries were recorded, then of chain and number."""

    def export(self, wanted: Wanted, take: Callable[[Item], None]) -> Proof:
        """Give every item to `take`, one at a time, and prove how many there are; memory does not grow with them."""
        ...

"""What is known of an order in flight on a day: the same figures from the books when training and a row when scoring.

Nothing that is known only afterwards is among them: not the day it came, not its state, not how it ended.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from activities.learning.windows import Floats, Ints
from workflows.domain.deliveries import DeliveryRecord
from workflows.domain.scores import KeptPromises, LeadTimes, OpenReceipt

NAMES = (
    "promised_days", "dated", "elapsed_days", "left_days", "shipped_days_ago", "log_units", "log_lines", "log_value",
    "ordered_weekday", "promised_weekday", "ordered_month", "lane_late_rate", "supplier_late_rate",
    "supplier_judged_bits",
)  # fmt: skip
MONOTONE = tuple(1 if name.endswith("_rate") else 0 for name in NAMES)
"""A worse record never makes lateness less likely."""
YEAR_DAYS = 365
"""Promises older than this are forgotten; the same in the query that counts them for a scoring row."""
RATE_STEPS = 20
"""Rates are told in twentieths: finer, a supplier's rate creeps by the day, and trees take it for a calendar."""
RATE_PRIOR = 10
"""Orders that the prior of a rate is worth."""

Matrix = npt.NDArray[np.float32]


def vector(
    *, ordered_on: date, promised_days: int, elapsed_days: int, dated: bool, shipped_days_ago: int | None,
    units: int, lines: int, value: float, lane: KeptPromises, supplier: KeptPromises, base_rate: float,
) -> list[float]:  # fmt: skip
    """One order on one day, in the order of NAMES. Rates shrink lane to supplier to `base_rate`."""
    supplier_rate = (supplier.late + RATE_PRIOR * base_rate) / (supplier.judged + RATE_PRIOR)
    lane_rate = (lane.late + RATE_PRIOR * supplier_rate) / (lane.judged + RATE_PRIOR)
    return [
        promised_days, float(dated), elapsed_days, promised_days - elapsed_days,
        float("nan") if shipped_days_ago is None else shipped_days_ago, float(np.log1p(units)),
        float(np.log1p(lines)), float(np.log1p(value)), ordered_on.weekday(),
        (ordered_on.weekday() + promised_days) % 7, ordered_on.month, round(lane_rate * RATE_STEPS),
        round(supplier_rate * RATE_STEPS), supplier.judged.bit_length(),
    ]  # fmt: skip


def vector_of(receipt: OpenReceipt, seen: LeadTimes, today: date, base_rate: float) -> list[float] | None:
    """An open receipt today; None where no promise of it lies ahead: then there is nothing to be asked. Where the
    supplier named no day, the catalog's lead time is the promise."""
    promised = seen.promised_days if receipt.promised_days is None else receipt.promised_days
    if receipt.revised or promised < receipt.ordered_days_ago:
        return None
    return vector(
        ordered_on=today - timedelta(days=receipt.ordered_days_ago), promised_days=promised,
        elapsed_days=receipt.ordered_days_ago, dated=receipt.dated, shipped_days_ago=receipt.shipped_days_ago,
        units=receipt.order_units, lines=receipt.order_lines, value=float(receipt.order_value), lane=seen.lane_kept,
        supplier=seen.supplier_kept, base_rate=base_rate,
    )  # fmt: skip


@dataclass(frozen=True)
class Snapshots:
    """Orders on days on which they were in flight, in the order of those days."""

    vectors: Matrix
    late: Floats
    weights: Floats
    """One over the days that an order was to be looked at. Not over those on which it was still open: that would weigh
    by the outcome."""
    days: Ints
    """Ordinal of the order's day: what time splits are cut by."""


def is_late(record: DeliveryRecord, last_day: date) -> bool | None:
    """Whether the promise was broken; None until the promised day is over, even for what came early: judging the quick
    ones first would call every supplier punctual."""
    if last_day <= record.promised_on:
        return None
    return record.received_on is None or record.received_on > record.promised_on


def snapshots(records: Sequence[DeliveryRecord], last_day: date, base_rate: float) -> Snapshots:
    """Each judged order on its first day, half way to its promise, and the day before it, while it was in flight."""
    books = _Books(records)
    vectors, late, weights, days = [], [], [], []
    # By all of it, so that the order in which the records came leaves no trace.
    for record in sorted(records, key=lambda one: (one.ordered_on, one.model_dump_json())):
        outcome = is_late(record, last_day)
        promised = (record.promised_on - record.ordered_on).days
        if outcome is None or promised < 0:
            continue
        ages = sorted({0, promised // 2, max(0, promised - 1)})
        for age in ages:
            if not _open_at(record, age):
                continue
            on = record.ordered_on + timedelta(days=age)
            shipped = record.shipped_on if record.shipped_on is not None and record.shipped_on <= on else None
            vectors.append(
                vector(
                    ordered_on=record.ordered_on, promised_days=promised, elapsed_days=age, dated=record.dated,
                    shipped_days_ago=None if shipped is None else (on - shipped).days, units=record.units,
                    lines=record.lines, value=float(record.value),
                    lane=books.kept(on, record.supplier, record.location), supplier=books.kept(on, record.supplier),
                    base_rate=base_rate,
                )
            )  # fmt: skip
            late.append(float(outcome))
            weights.append(1 / len(ages))
            days.append(record.ordered_on.toordinal())
    return Snapshots(
        np.array(vectors, dtype=np.float32).reshape(-1, len(NAMES)), np.array(late), np.array(weights),
        np.array(days, dtype=np.int64),
    )  # fmt: skip


def _open_at(record: DeliveryRecord, age: int) -> bool:
    # In the hour it was ordered it was open, even if it came the same day.
    return age == 0 or record.received_on is None or (record.received_on - record.ordered_on).days > age


class _Books:
    """How many promises a supplier or lane had kept and broken by any day, of the year before that day."""

    def __init__(self, records: Sequence[DeliveryRecord]) -> None:
        events: dict[tuple[str, ...], list[tuple[int, int, bool]]] = defaultdict(list)
        for record in records:
            ordered = record.ordered_on.toordinal()
            judged = record.promised_on.toordinal() + 1
            late = record.received_on is None or record.received_on > record.promised_on
            for key in ((record.supplier,), (record.supplier, record.location)):
                events[key].append((judged, max(judged, ordered + YEAR_DAYS), late))
        self._judged = {key: _sorted(found, late_only=False) for key, found in events.items()}
        self._late = {key: _sorted(found, late_only=True) for key, found in events.items()}

    def kept(self, on: date, *key: str) -> KeptPromises:
        """As of the end of this day."""
        return KeptPromises(judged=_within(self._judged[key], on), late=_within(self._late[key], on))


def _sorted(events: Sequence[tuple[int, int, bool]], *, late_only: bool) -> tuple[Ints, Ints]:
    kept = [(begins, ends) for begins, ends, late in events if late or not late_only]
    begins = np.sort(np.array([begin for begin, _ in kept], dtype=np.int64))
    return begins, np.sort(np.array([end for _, end in kept], dtype=np.int64))


def _within(found: tuple[Ints, Ints], on: date) -> int:
    day = on.toordinal()
    return int(np.searchsorted(found[0], day, side="right") - np.searchsorted(found[1], day, side="right"))

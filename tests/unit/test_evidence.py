"""Evidence is folded, packed and given back to the byte; what was changed is never given back at all."""

import json
import zlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.learning import outside
from activities.learning.outside import LibraryCalendars
from activities.learning.windows import windows_of
from connectors.postgres.evidence_codec import dictionary, pack, unpack
from tests.unit.learning_world import row as row_of
from tests.unit.learning_world import series
from workers.source import PACKAGES, code_digest, running_source
from workflows.domain.drivers import DriverSeries
from workflows.domain.errors import InvalidInput
from workflows.domain.evidence import (
    EvidenceDamaged,
    EvidenceKind,
    EvidenceMissing,
    Folder,
    Kept,
    Snapshot,
    fold,
    references,
    unfold,
)
from workflows.domain.identity import canonical, digest
from workflows.domain.scores import DemandHistory, KeptPromises, LeadTimes, OpenReceipt, Promotion, ScoringRow

DAY = date(2025, 3, 2)
SOURCE = "5" * 64
codes = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True)
numbers = st.integers(-(2**31), 2**31)
counts = st.integers(0, 2**31)
days = st.dates(date(2000, 1, 1), date(2100, 1, 1))
amounts = st.decimals(0, 10**9, places=4)


def listed(of: st.SearchStrategy[int], most: int = 30) -> st.SearchStrategy[tuple[int, ...]]:
    """A tuple of them."""
    return st.lists(of, max_size=most).map(tuple)


lead_times = st.builds(
    LeadTimes, lane_days=listed(counts), supplier_days=listed(counts), promised_days=counts,
    everyone_slips=listed(numbers), slips=listed(numbers), supplier_kept=st.builds(KeptPromises, judged=counts),
)  # fmt: skip
drivers = st.builds(
    DriverSeries, name=st.just("footfall"), first_day=days, known_ahead=st.booleans(),
    values=st.lists(st.none() | st.decimals(-999, 999, places=6), max_size=9).map(tuple),
)  # fmt: skip


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """A need with up to three suppliers, some of whose lead times stand at open receipts too."""
    laws = draw(st.lists(lead_times, min_size=1, max_size=3))
    law = st.sampled_from(laws)
    rows = st.builds(
        ScoringRow, item=codes, location=codes, category=st.text(max_size=9), supplier=codes, last_day=days,
        history=st.builds(
            DemandHistory, first_day=days, daily_units=st.lists(st.none() | counts, max_size=40).map(tuple)
        ),
        promotions=st.lists(st.builds(Promotion, first_day=days, last_day=days), max_size=3).map(tuple),
        drivers=st.lists(drivers, max_size=2).map(tuple), country=st.none() | st.just("GB"),
        holidays=st.none() | st.lists(days, max_size=4).map(tuple), on_hand_units=numbers,
        open_receipts=st.lists(
            st.builds(
                OpenReceipt, units=counts, ordered_days_ago=counts, lead_times=st.none() | law, order_value=amounts,
                late_risk=st.none() | st.decimals(0, 1, places=4),
            ),
            max_size=3,
        ).map(tuple),
        lead_times=law, review_days=st.integers(1, 99), shortage_per_unit=amounts, holding_per_unit_day=amounts,
    )  # fmt: skip
    first = draw(rows)
    others = [
        first.model_copy(update={"supplier": f"other-{n}", "lead_times": one, "review_days": n + 1})
        for n, one in enumerate(laws)
    ]
    strangers = draw(st.lists(rows, max_size=1))
    return Snapshot(row=first, alternatives=(*others, *strangers), source=SOURCE)


class Shelf:
    """`EvidenceSource` in memory."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    def get(self, sha256: str) -> bytes:
        """The bytes, or the error that the port promises."""
        if sha256 not in self.objects:
            raise EvidenceMissing(f"no evidence is kept under {sha256}")
        return self.objects[sha256]


def row(units: Sequence[int], **changes: Any) -> ScoringRow:
    """A row with this history."""
    return row_of(series("SKU", units), **changes)


@given(snapshots())
@settings(max_examples=60, deadline=None)
def test_what_was_folded_unfolds_to_the_same_and_stands_under_its_own_digests(snapshot: Snapshot) -> None:
    sha256, objects = fold(snapshot)
    assert unfold(sha256, Shelf(objects)) == snapshot
    for name, body in objects.items():
        assert digest(body) == name
        assert canonical(json.loads(body)) == body, "the bytes are canonical, however quickly they were written"
    assert set(references(objects[sha256])) == set(objects) - {sha256}
    assert fold(snapshot) == Folder().fold(snapshot) == (sha256, objects), "the same again"


@given(snapshots())
@settings(max_examples=20, deadline=None)
def test_a_missing_part_is_named(snapshot: Snapshot) -> None:
    sha256, objects = fold(snapshot)
    for part in references(objects[sha256]):
        rest = {name: body for name, body in objects.items() if name != part}
        with pytest.raises(EvidenceMissing, match=part):
            unfold(sha256, Shelf(rest))


def test_what_needs_share_is_kept_once() -> None:
    law = LeadTimes(lane_days=tuple(range(400)), promised_days=7)
    needs = [Snapshot(row=row([n] * 300, item=f"SKU-{n}", lead_times=law), source=SOURCE) for n in range(20)]
    folder = Folder()
    objects = {name: body for need in needs for name, body in folder.fold(need)[1].items()}
    assert len(objects) == 20 + 1
    assert sum(body.count(b"lane_days") for body in objects.values()) == 1


@given(st.sampled_from(EvidenceKind), st.binary(max_size=400) | snapshots().map(lambda one: canonical(one)))
@settings(max_examples=60, deadline=None)
def test_what_was_packed_unpacks_to_the_same(kind: EvidenceKind, body: bytes) -> None:
    packed = pack(digest(body), Kept(kind, body))
    assert unpack(packed, dictionary()[1] if packed.dictionary else b"") == body
    assert len(packed.body) <= len(body) == packed.size


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_changed_byte_is_found_wherever_it_is(data: st.DataObject) -> None:
    body = canonical(row([1, 2, 3] * 100))
    packed = pack(digest(body), Kept(data.draw(st.sampled_from([EvidenceKind.SNAPSHOT, EvidenceKind.ITEMS])), body))
    place = data.draw(st.integers(0, len(packed.body) - 1))
    changed = bytearray(packed.body)
    changed[place] ^= data.draw(st.integers(1, 255))
    words = dictionary()[1] if packed.dictionary else b""
    for damaged in (bytes(changed), packed.body[:place]):
        with suppress(EvidenceDamaged):
            assert unpack(packed._replace(body=damaged), words) == body, "what means nothing changes nothing"


def test_damage_names_the_digest_and_the_kind() -> None:
    body = canonical(row([1, 2, 3] * 100))
    packed = pack(digest(body), Kept(EvidenceKind.ITEMS, body))
    half = len(packed.body) // 2
    for damaged in (packed.body[:half], packed.body[half:], packed.body + b"\0", zlib.compress(b"another")):
        with pytest.raises(EvidenceDamaged, match=rf"{packed.sha256} \(items\)"):
            unpack(packed._replace(body=damaged), b"")
    as_it_is = packed._replace(codec="raw", body=body[:-1] + b" ")
    with pytest.raises(EvidenceDamaged, match=digest(as_it_is.body)):
        unpack(as_it_is, b"")


def test_a_stream_that_unpacks_to_too_much_is_damaged_and_fills_no_memory() -> None:
    bomb = pack(digest(b"\0" * 10_000_000), Kept(EvidenceKind.MODEL, b"\0" * 10_000_000))
    with pytest.raises(EvidenceDamaged, match=r"\(model\) is damaged"):
        unpack(bomb._replace(size=9), b"")


def test_small_objects_are_small_and_the_dictionary_is_kept_as_it_is() -> None:
    name, words = dictionary()
    assert digest(words) == name
    assert len(words) <= 32_768, "zlib looks back no further"
    kept = pack(name, Kept(EvidenceKind.DICTIONARY, words))
    assert (kept.codec, kept.dictionary, kept.body) == ("raw", None, words)
    hold = canonical({"decided_at": "2025-03-07T06:00:00.000000Z", "result": {"kind": "hold", "reason": "covered"}})
    with_words, without = (
        pack(digest(hold), Kept(EvidenceKind.DECISION, hold)),
        pack(digest(hold), Kept(EvidenceKind.ITEMS, hold)),
    )
    assert len(with_words.body) < len(without.body) * 0.7


def test_the_code_is_known_by_every_file_and_its_place(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    (package / "one.py").write_text("ONE = 1\n")
    seen = [code_digest([package])]
    (package / "inner" / "two.py").write_text("TWO = 2\n")
    seen.append(code_digest([package]))
    (package / "inner" / "two.py").rename(package / "two.py")
    seen.append(code_digest([package]))
    (package / "two.py").write_text("TWO = 3\n")
    seen.append(code_digest([package]))
    (package / "notes.txt").write_text("no code")
    assert len(set(seen)) == 4
    assert code_digest([package]) == seen[-1]


def test_a_decision_names_the_libraries_that_its_numbers_come_from() -> None:
    source = running_source()
    assert set(source.packages) == set(PACKAGES)
    assert source.packages["numpy"] == np.__version__
    assert running_source() is source


def test_recorded_holidays_are_looked_at_whatever_a_later_calendar_says(monkeypatch: pytest.MonkeyPatch) -> None:
    there = row([3] * 400).model_copy(update={"country": "GB", "subdivision": "ENG"})
    told = there.model_copy(update={"holidays": LibraryCalendars().holidays(there)})
    assert told.holidays == tuple(sorted(told.holidays or ()))
    assert date(there.last_day.year - 1, 12, 25) in (told.holidays or ())

    def seen(one: ScoringRow) -> list[float]:
        found = windows_of([one]).outside
        assert found is not None
        return list(found.values.ravel())

    usual = seen(there)
    assert seen(told) == usual, "recording them changes no number"
    monkeypatch.setattr(outside, "_holidays", lambda *_: frozenset({there.last_day.toordinal() + 5}))
    assert seen(there) != usual, "another version of the calendar says otherwise"
    assert seen(told) == usual


def test_places_without_a_calendar_record_none_and_unknown_ones_are_said() -> None:
    somewhere = row([3] * 9)
    assert LibraryCalendars().holidays(somewhere) is None
    with pytest.raises(InvalidInput, match="does not know the country 'XX'"):
        LibraryCalendars().holidays(somewhere.model_copy(update={"country": "XX"}))


def test_money_keeps_its_digits() -> None:
    law = LeadTimes(promised_days=3)
    receipt = OpenReceipt(units=1, ordered_days_ago=0, order_value=Decimal("10.5000"))
    snapshot = Snapshot(row=row([1], open_receipts=(receipt,), lead_times=law), source=SOURCE)
    sha256, objects = fold(snapshot)
    assert b'"order_value":"10.5000"' in objects[sha256]

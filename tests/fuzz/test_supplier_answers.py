"""Whatever a supplier answers, it is a proven yes, a proven no or an unknown: never a guess, never another error."""

import random
from collections import Counter
from collections.abc import Awaitable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.erp.http_supplier import HttpSuppliers
from tests.fuzz.answering import AnyAnswers, answer
from workflows.domain.capabilities import DedupeLevel, Manifest
from workflows.domain.errors import OrderKeyKnown, OutcomeUnknown, SupplierRefused, Unavailable
from workflows.domain.identity import order_id, order_key
from workflows.domain.orders import Draft, DraftState, OrderLine, PurchaseOrder, SupplierAnswer

MANY = 10_500
"""Answers in all, over real connections; asserted below."""
SEED = 20260303
KEY = order_key("acme", "LEEDS", "2025-03-03", 1)
ORDER = PurchaseOrder(
    order_id=order_id("acme", "LEEDS", "2025-03-03", 1), key=KEY, supplier="acme", location="LEEDS",
    cycle="2025-03-03", currency="EUR", ordered_at=datetime(2025, 3, 3, 6, tzinfo=UTC),
    lines=(OrderLine(line_no=1, need_id="LEEDS:OAT:1", item="OAT", units=12, unit_cost=Decimal("4.20")),),
)  # fmt: skip
DRAFT = Draft(key=KEY, draft="D-000001", state=DraftState.DRAFT)
MANIFEST = Manifest(name="fuzzed", level=DedupeLevel.L1, drafts=True, longest_transaction_s=1, http_timeout_s=2)
DOCUMENTED: dict[str, tuple[type[Exception], ...]] = {
    "place": (SupplierRefused, OrderKeyKnown, OutcomeUnknown, Unavailable),
    "draft": (SupplierRefused, OrderKeyKnown, OutcomeUnknown, Unavailable),
    "confirm_draft": (SupplierRefused, OrderKeyKnown, OutcomeUnknown, Unavailable),
    "cancel_draft": (SupplierRefused, OrderKeyKnown, OutcomeUnknown, Unavailable),
    "find": (Unavailable,),
    "drafts": (Unavailable,),
}
CHANGES = {"place", "draft", "confirm_draft", "cancel_draft"}


def calls(suppliers: HttpSuppliers) -> dict[str, Awaitable[Any]]:
    """Every question and request that the connector knows, not begun yet."""
    return {
        "place": suppliers.place(ORDER),
        "find": suppliers.find("acme", KEY),
        "draft": suppliers.draft(ORDER),
        "drafts": suppliers.drafts("acme", KEY),
        "cancel_draft": suppliers.cancel_draft("acme", DRAFT),
        "confirm_draft": suppliers.confirm_draft("acme", DRAFT),
    }


async def called(suppliers: HttpSuppliers, name: str) -> Any:
    made = calls(suppliers)
    try:
        return await made[name]
    finally:
        for other, call in made.items():
            if other != name:
                call.close()  # type: ignore[attr-defined]  # coroutines that were never begun


def storable(text: str) -> bool:
    """Whether a text column takes it: an answer that cannot be noted is asked for again for ever."""
    return "\x00" not in text and len(text) <= 1_000 and text.encode(errors="replace").decode() == text


@pytest.mark.timeout(900)
async def test_any_answer_is_a_proven_yes_a_proven_no_or_an_unknown() -> None:
    chance, came = random.Random(SEED), Counter[str]()  # noqa: S311 - rubbish, the same each time
    async with AnyAnswers() as server:
        suppliers = HttpSuppliers(server.address, manifest=MANIFEST)
        for number in range(MANY):
            name = list(DOCUMENTED)[number % len(DOCUMENTED)]
            server.says, words, status = answer(chance, KEY)
            what = f"{name} {status} {server.says[:600]!r}"
            try:
                found = await called(suppliers, name)
            except DOCUMENTED[name] as error:
                came[type(error).__name__] += 1
                _expect_words(str(error), what)
                if isinstance(error, (SupplierRefused, OrderKeyKnown)) or (
                    isinstance(error, Unavailable) and name in CHANGES
                ):
                    _expect_a_proven_no(words, status, what)
            else:
                came["yes" if found not in (None, ()) else "none"] += 1
                _expect_proven(found, words, status, what)
            await server.over()
        await suppliers.aclose()
        assert server.asked == came.total() == MANY >= 10_000
    print(f"{came.total():,} answers: {dict(came)}")
    assert came.keys() >= {"yes", "none", "SupplierRefused", "OrderKeyKnown", "OutcomeUnknown", "Unavailable"}


def _expect_words(text: str, what: str) -> None:
    assert storable(text), f"{text!r} in {what}"


def _expect_a_proven_no(words: bytes, status: int | None, what: str) -> None:
    """Only the supplier's own words are a no."""
    assert status is None or 400 <= status < 600, what
    assert b"carried_out" in words, what
    assert b"false" in words, what


def _expect_proven(found: Any, words: bytes, status: int | None, what: str) -> None:
    """A yes names our key; that there is nothing is said by the supplier itself."""
    match found:
        case None if b"carried_out" in words:
            assert status in {None, 200, 201, 404}, what
        case SupplierAnswer() | Draft():
            assert found.key == KEY, what
            assert status in {None, 200, 201}, what
            number = found.supplier_number if isinstance(found, SupplierAnswer) else found.draft
            assert number, what
            assert storable(number), what
            assert KEY.encode() in words, what
        case tuple():
            assert status in {None, 200}, what
            assert KEY.encode() in words, what
            assert all(storable(one.draft) and storable(one.supplier_number or "") for one in found), what
        case _:
            # `cancel_draft` has no more to say than that it was carried out.
            assert status in {None, 200, 201}, what

"""Places orders over HTTP. Only an answer that proves it is a yes or a no; anything else is an unknown outcome.

A no is a problem document (RFC 9457) that says `"carried_out": false`; a yes is a 200 or 201 that names our key. A 404
page of some proxy is neither, and would otherwise pass for "there is no such order".

    answer to a request that changes something          raised
    no connection was made                              Unavailable
    401, 403, 408, 425, 429, and a proven no            TurnedAway: Unavailable, and yet an answer
    503, and a proven no                                Unavailable
    409, 422, and a proven no because of the key        OrderKeyKnown: look, never send it blindly again
    any other 4xx, and a proven no                      SupplierRefused
    5xx, redirects, pages, broken or late answers       OutcomeUnknown
"""

import re
from collections.abc import Callable

from pydantic import TypeAdapter, ValidationError

from connectors.erp.http_address import NOT_SENT, UNANSWERED, HttpAddress, HttpAnswer, brief
from connectors.erp.order_list import HttpOrderLists
from workflows.domain.capabilities import DedupeLevel, Manifest
from workflows.domain.errors import OrderKeyKnown, OutcomeUnknown, SupplierRefused, TurnedAway, Unavailable
from workflows.domain.failpoints import Effect
from workflows.domain.orders import Draft, PurchaseOrder, SupplierAnswer

MANIFEST = Manifest(
    name="http", level=DedupeLevel.L3, longest_transaction_s=2, http_timeout_s=10, memory_s=24 * 3600
)  # fmt: skip
"""What a supplier behind our own protocol promises, unless whoever operates the engine knows otherwise."""
LATER = frozenset({401, 403, 408, 425, 429, 503})
"""A proven no with one of these is about us or the moment, not about the order."""
ABOUT_THE_KEY = frozenset({"duplicate-key", "key-reused", "in-flight", "not-a-draft"})
"""Problems of a 409 or 422 that say something of what the supplier has, and nothing of what we asked for."""
NO_SUCH_PAGE = "no-such-page"
"""A problem of a wrong address of ours."""
LONGEST_NUMBER = 200
UNREADABLE = "(a number that cannot be read)"
"""Of a second order: whatever it is called, it is one too many."""
MOST_OTHERS = 20
_KEY = re.compile(r"[0-9a-f]{64}")
_DRAFT = re.compile(r"[A-Za-z0-9._-]{1,100}")
_DRAFTS: TypeAdapter[tuple[Draft, ...]] = TypeAdapter(tuple[Draft, ...])
_JSON = {"Content-Type": "application/json"}


class HttpSuppliers:
    """Suppliers behind one HTTP address. Its redirects and the machine's proxy settings are not followed."""

    def __init__(
        self, base_url: str, *, manifest: Manifest = MANIFEST, propagate: Callable[[], dict[str, str]] = dict
    ) -> None:
        """`propagate` gives the headers that carry the trace.

        Raises:
            ValueError: the address is not a plain http or https address.
        """
        self._manifest = manifest
        self._address = HttpAddress(base_url, manifest.http_timeout_s, propagate)

    @property
    def manifest(self) -> Manifest:
        """What is declared of the supplier's system."""
        return self._manifest

    @property
    def lists(self) -> HttpOrderLists:
        """The suppliers' own lists of orders, over the same connections."""
        return HttpOrderLists(self._address)

    @property
    def base_url(self) -> str:
        """The configured address."""
        return str(self._address.base)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._address.aclose()

    async def place(self, order: PurchaseOrder) -> SupplierAnswer:
        """Place the order once, however often this is called with the same key.

        Raises:
            SupplierRefused: the supplier said no; final.
            OrderKeyKnown: the supplier knows the key: `find` what it has.
            OutcomeUnknown: the request may have been carried out; `find` before sending again.
            Unavailable: the request certainly did not get through.
        """
        answer = await self._change(Effect("supplier.place"), order.supplier, "/orders", order)
        return _placed(answer, order.supplier, order.key)

    async def find(self, supplier: str, key: str) -> SupplierAnswer | None:
        """The order under this key, or None when the supplier itself says that there is none.

        Raises:
            Unavailable: the supplier could not be asked, or its answer proves nothing.
        """
        answer = await self._look(supplier, "/orders", key)
        if answer.status == 404 and answer.proves_no and answer.problem in {"no-such-order", ""}:
            return None
        if answer.status == 200 and (placed := _named(answer, key)) is not None:
            return placed
        raise _unreadable(answer, supplier, "an order")

    async def draft(self, order: PurchaseOrder) -> Draft:
        """Make a draft; called twice it makes two.

        Raises:
            SupplierRefused, OrderKeyKnown, OutcomeUnknown, Unavailable: as `place`.
        """
        answer = await self._change(Effect("supplier.draft"), order.supplier, "/drafts", order)
        try:
            made = Draft.model_validate(answer.document)
        except ValidationError:
            made = None
        if made is None or made.key != order.key:
            raise OutcomeUnknown(f"{order.supplier} answered {answer.status} without naming the draft")
        return made

    async def drafts(self, supplier: str, key: str) -> tuple[Draft, ...]:
        """All drafts under this key, oldest first, whatever became of them; with what is in them, where it is said.

        Raises:
            Unavailable: the supplier could not be asked, or its answer proves nothing.
        """
        answer = await self._look(supplier, "/drafts", key)
        listed = answer.document.get("drafts")
        if answer.status != 200 or answer.document.get("key") != key or not isinstance(listed, list):
            raise _unreadable(answer, supplier, "drafts")
        try:
            return _DRAFTS.validate_python([{"key": key, **one} for one in listed])
        except (ValidationError, TypeError):
            raise _unreadable(answer, supplier, "drafts") from None

    async def cancel_draft(self, supplier: str, draft: Draft) -> None:
        """Let a draft go; what is cancelled stays so.

        Raises:
            OrderKeyKnown: it is none any more: somebody confirmed it.
            OutcomeUnknown, Unavailable: as `place`.
        """
        path = f"/drafts/{_name_of(draft)}/cancel"
        answer = await self._change(Effect("supplier.cancel_draft"), supplier, path)
        if not answer.document:
            raise OutcomeUnknown(f"{supplier} answered {answer.status}, which does not say that a draft is cancelled")

    async def confirm_draft(self, supplier: str, draft: Draft) -> SupplierAnswer:
        """Order what was drafted. A draft that is confirmed already answers with its number.

        Raises:
            SupplierRefused: the supplier said no; final.
            OrderKeyKnown: it is cancelled, or something else is the matter with the draft: list them.
            OutcomeUnknown, Unavailable: as `place`.
        """
        path = f"/drafts/{_name_of(draft)}/confirm"
        answer = await self._change(Effect("supplier.confirm_draft"), supplier, path)
        return _placed(answer, supplier, draft.key)

    async def _change(self, effect: Effect, supplier: str, path: str, order: PurchaseOrder | None = None) -> HttpAnswer:
        """The answer to a request that changes something, if it may be a yes."""
        headers = {**_JSON, "Idempotency-Key": order.key} if order else _JSON
        body = order.model_dump_json().encode() if order else b"{}"
        await effect.__aenter__()
        try:
            answer = await self._address.ask("POST", path, content=body, headers=headers)
            # It was carried out: whoever fails here makes it an answer that never came.
            await effect.__aexit__(None)
        except NOT_SENT as error:
            raise Unavailable(f"{supplier} could not be reached: {brief(error)}") from error
        except (*UNANSWERED, Unavailable) as error:
            raise OutcomeUnknown(f"no readable answer from {supplier}: {brief(error)}") from error
        if answer.status in {200, 201}:
            return answer
        if answer.proves_no and (answer.status in LATER or answer.problem == NO_SUCH_PAGE):
            raise _not_now(answer, answer.reason)
        if answer.proves_no and answer.status in {409, 422} and answer.problem in ABOUT_THE_KEY:
            raise OrderKeyKnown(answer.reason)
        if answer.proves_no and answer.status in {404, 410} and order is None:
            # Something is the matter with the draft, and not with the order: listing them is right.
            raise OrderKeyKnown(answer.reason)
        if answer.proves_no and answer.status < 500:
            raise SupplierRefused(answer.reason)
        raise OutcomeUnknown(f"{supplier} answered {answer.status}, which proves nothing")

    async def _look(self, supplier: str, path: str, key: str) -> HttpAnswer:
        if _KEY.fullmatch(key) is None:
            raise ValueError("an order's key is a SHA-256 in lower-case hex")
        try:
            return await self._address.ask("GET", f"{path}/{key}", params={"supplier": supplier})
        except UNANSWERED as error:
            raise Unavailable(f"{supplier} could not be asked: {brief(error)}") from error


def _placed(answer: HttpAnswer, supplier: str, key: str) -> SupplierAnswer:
    if (placed := _named(answer, key)) is not None:
        return placed
    raise OutcomeUnknown(f"{supplier} answered {answer.status} without naming the order")


def _named(answer: HttpAnswer, key: str) -> SupplierAnswer | None:
    try:
        placed = SupplierAnswer.model_validate(answer.document)
    except ValidationError:
        return None
    others = tuple(number if _readable(number) else UNREADABLE for number in placed.others[:MOST_OTHERS])
    placed = placed.model_copy(update={"others": others})
    return placed if placed.key == key and _readable(placed.supplier_number) else None


def _readable(number: str) -> bool:
    """Whether it can be a number of somebody's: what is stored for good has an end and can be shown."""
    return 0 < len(number) <= LONGEST_NUMBER and number.isprintable()


def _unreadable(answer: HttpAnswer, supplier: str, what: str) -> Unavailable:
    return _not_now(answer, f"{supplier} answered {answer.status} when asked for {what}: {answer.reason}")


def _not_now(answer: HttpAnswer, reason: str) -> Unavailable:
    turned_away = answer.proves_no and answer.status < 500
    return (TurnedAway(reason) if turned_away else Unavailable(reason)).later(answer.wait_seconds)


def _name_of(draft: Draft) -> str:
    """The draft's own name, which the supplier chose, as a part of a path."""
    if _DRAFT.fullmatch(draft.draft) is None:
        raise OutcomeUnknown(f"the supplier names a draft in a way that cannot be asked for: {draft.draft[:100]!r}")
    return draft.draft

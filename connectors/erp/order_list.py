"""Reads a supplier's own list of orders, page by page. An entry that cannot be read is told as such."""

import re
from typing import Any

from pydantic import ValidationError

from connectors.erp.http_address import UNANSWERED, HttpAddress, HttpAnswer, TooLarge, brief
from workflows.domain.errors import Unavailable, explained
from workflows.domain.order_lists import ListedOrder, ListedPage, NotListed, readable

PAGE = 100
MAX_CURSOR_CHARS = 1_000
MAX_LINES = 10_000
NOT_OFFERED = frozenset({404, 405, 501})
_KEY = re.compile(r"[0-9a-f]{64}")


class HttpOrderLists:
    """The `OrderLists` port over `GET /orders?supplier=S&after=CURSOR&limit=N`."""

    def __init__(self, address: HttpAddress) -> None:
        self._address = address

    async def listed(self, supplier: str, after: str | None) -> ListedPage:
        """See the port."""
        answer = await self._page(supplier, after, PAGE)
        if answer.status in NOT_OFFERED and answer.proves_no:
            raise NotListed(f"{supplier} tells no list of its orders: {answer.reason}")
        found, further = answer.document.get("orders"), answer.document.get("next")
        if answer.status != 200 or not isinstance(found, list) or not (further is None or isinstance(further, str)):
            raise Unavailable(f"{supplier} answered {answer.status} when asked for its list: {answer.reason}")
        if further is not None and (len(further) > MAX_CURSOR_CHARS or not further.isprintable() or further == after):
            raise Unavailable(f"{supplier} tells no way on in its list: next is {further[:100]!r}")
        return ListedPage(orders=tuple(entry(one) for one in found), next=further)

    async def _page(self, supplier: str, after: str | None, limit: int) -> HttpAnswer:
        asked = {"supplier": supplier, "limit": limit, **({} if after is None else {"after": after})}
        try:
            return await self._address.ask("GET", "/orders", params=asked)
        except TooLarge as error:
            if limit == 1:
                raise Unavailable(f"an order in the list of {supplier} cannot be read: {brief(error)}") from error
            return await self._page(supplier, after, max(1, limit // 5))
        except UNANSWERED as error:
            raise Unavailable(f"{supplier} could not be asked for its list: {brief(error)}") from error


def entry(document: Any) -> ListedOrder:
    """One entry of the list; whatever is wrong with it is told in it."""
    told: dict[str, Any] = document if isinstance(document, dict) else {}
    named = told.get("key")
    key = named if isinstance(named, str) and _KEY.fullmatch(named) else ""
    try:
        lines = told.get("lines")
        if not isinstance(lines, list) or len(lines) > MAX_LINES:
            raise ValueError(f"lines is no list of at most {MAX_LINES}")
        # Drafts have no number yet.
        known = {name: value for name, value in told.items() if value is not None}
        found = ListedOrder.model_validate({**known, "key": key, "unreadable": ""})
        number = readable(found.supplier_number, 200)
        return found.model_copy(update={"supplier_number": number, "currency": readable(found.currency, 20)})
    except ValidationError as error:
        wrong = explained(error)
    except ValueError as error:
        wrong = str(error)
    says = told.get("supplier_number")
    return ListedOrder(
        key=key, supplier_number=readable(says, 200) if isinstance(says, str) else "",
        unreadable=readable(wrong, 200) or "it is no object",
    )  # fmt: skip

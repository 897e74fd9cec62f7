"""Places orders over HTTP. Only an answer that proves it is a yes or a no; anything else is an unknown outcome.

A no is a problem document (RFC 9457) that says `"carried_out": false`; a yes is a 200 or 201 that names our key. A 404
page of some proxy is neither, and would otherwise pass for "there is no such order".

    answer to `place`                                   raised
    no connection was made                              Unavailable
    401, 403, 429, 503, and a proven no                 Unavailable
    any other 4xx, and a proven no                      SupplierRefused
    5xx, redirects, pages, broken or late answers       OutcomeUnknown
"""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
from pydantic import ValidationError

from workflows.domain.errors import OutcomeUnknown, SupplierRefused, Unavailable
from workflows.domain.orders import PurchaseOrder, SupplierAnswer

MAX_ANSWER_BYTES = 1024 * 1024
MAX_REASON_CHARS = 300
LATER = frozenset({401, 403, 429, 503})
"""A proven no with one of these is about us or the moment, not about the order."""
_KEY = re.compile(r"[0-9a-f]{64}")
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class _Answer:
    """A response, read to its end."""

    def __init__(self, status: int, media_type: str, body: bytes, retry_after: str | None) -> None:
        self.status = status
        self.retry_after = retry_after
        self.document: dict[str, Any] = {}
        if media_type.split(";")[0].strip().lower() in {"application/json", "application/problem+json"}:
            try:
                read = json.loads(body)
            except (ValueError, RecursionError):
                return
            self.document = read if isinstance(read, dict) else {}

    @property
    def proves_no(self) -> bool:
        """The supplier itself says that nothing was carried out."""
        return self.status >= 400 and self.document.get("carried_out") is False

    @property
    def reason(self) -> str:
        """What the supplier says, bounded."""
        said = self.document.get("detail") or self.document.get("title") or f"HTTP {self.status}"
        wait = f" (retry after {self.retry_after[:40]})" if self.retry_after else ""
        return (str(said) + wait)[:MAX_REASON_CHARS]


class HttpSuppliers:
    """Suppliers behind one HTTP address. Its redirects and the machine's proxy settings are not followed."""

    def __init__(
        self, base_url: str, *, timeout_seconds: float = 10.0, propagate: Callable[[], dict[str, str]] = dict
    ) -> None:
        """`timeout_seconds` bounds a whole call; `propagate` gives the headers that carry the trace.

        Raises:
            ValueError: the address is not a plain http or https address.
        """
        try:
            self._base = httpx.URL(base_url.rstrip("/"))
        except httpx.InvalidURL:
            raise ValueError(f"{base_url!r} is not an address") from None
        if self._base.scheme not in {"http", "https"} or not self._base.host:
            raise ValueError(f"{base_url!r} is not an http or https address")
        if self._base.userinfo or self._base.query or self._base.fragment:
            raise ValueError("a supplier's address has no user, query or fragment")
        self._timeout_s = timeout_seconds
        self._propagate = propagate
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_seconds, connect=min(5.0, timeout_seconds)),
            follow_redirects=False,
            trust_env=False,
            headers={"Accept": "application/json, application/problem+json", "Accept-Encoding": "identity"},
        )

    @property
    def base_url(self) -> str:
        """The configured address."""
        return str(self._base)

    async def place(self, order: PurchaseOrder) -> SupplierAnswer:
        """Place the order once, however often this is called with the same key.

        Raises:
            SupplierRefused: the supplier said no; final.
            OutcomeUnknown: the request may have been carried out; `find` before sending again.
            Unavailable: the request certainly did not get through.
        """
        try:
            answer = await self._ask(
                "POST",
                "/orders",
                content=order.model_dump_json().encode(),
                headers={"Content-Type": "application/json", "Idempotency-Key": order.key},
            )
        except _NOT_SENT as error:
            raise Unavailable(f"{order.supplier} could not be reached: {_brief(error)}") from error
        except (httpx.HTTPError, TimeoutError, _TooLarge) as error:
            raise OutcomeUnknown(f"no readable answer from {order.supplier}: {_brief(error)}") from error
        if answer.status in {200, 201}:
            if (placed := _placed(answer, order.key)) is not None:
                return placed
            raise OutcomeUnknown(f"{order.supplier} answered {answer.status} without naming the order")
        if answer.proves_no and answer.status in LATER:
            raise Unavailable(answer.reason)
        if answer.proves_no and answer.status < 500:
            raise SupplierRefused(answer.reason)
        raise OutcomeUnknown(f"{order.supplier} answered {answer.status}, which proves nothing")

    async def find(self, supplier: str, key: str) -> SupplierAnswer | None:
        """The order under this key, or None when the supplier itself says that there is none.

        Raises:
            Unavailable: the supplier could not be asked, or its answer proves nothing.
        """
        if _KEY.fullmatch(key) is None:
            raise ValueError("an order's key is a SHA-256 in lower-case hex")
        try:
            answer = await self._ask("GET", f"/orders/{key}", params={"supplier": supplier})
        except (httpx.HTTPError, TimeoutError, _TooLarge) as error:
            raise Unavailable(f"{supplier} could not be asked: {_brief(error)}") from error
        if answer.status == 200 and (placed := _placed(answer, key)) is not None:
            return placed
        if answer.status == 404 and answer.proves_no:
            return None
        raise Unavailable(f"{supplier} answered {answer.status} when asked for an order: {answer.reason}")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, **parts: Any) -> _Answer:
        url = self._base.copy_with(path=self._base.path.rstrip("/") + path)
        request = self._client.build_request(method, url, headers={**self._propagate(), **(headers or {})}, **parts)
        if (request.url.scheme, request.url.host, request.url.port) != (
            self._base.scheme,
            self._base.host,
            self._base.port,
        ):
            raise ValueError("a request may go to the configured supplier only")
        async with asyncio.timeout(self._timeout_s):
            response = await self._client.send(request, stream=True)
            try:
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise _TooLarge(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
            finally:
                await response.aclose()
        media_type = response.headers.get("Content-Type", "")
        return _Answer(response.status_code, media_type, bytes(body), response.headers.get("Retry-After"))


class _TooLarge(Exception):
    """The answer does not end where a sensible one would."""


def _placed(answer: _Answer, key: str) -> SupplierAnswer | None:
    try:
        placed = SupplierAnswer.model_validate(answer.document)
    except ValidationError:
        return None
    return placed if placed.key == key and placed.supplier_number else None


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()[:MAX_REASON_CHARS]

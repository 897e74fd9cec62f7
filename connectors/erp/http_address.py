"""Asks one HTTP address and reads the whole answer. Redirects and the machine's proxy settings are not followed."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx

from connectors.certificates import believed_for
from workflows.domain.pacing import retry_after_seconds

MAX_ANSWER_BYTES = 1024 * 1024
MAX_REASON_CHARS = 300
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
"""No connection was made: certainly nothing was carried out."""


class TooLarge(Exception):
    """The answer does not end where a sensible one would."""


UNANSWERED = (httpx.HTTPError, TimeoutError, TooLarge)
"""No answer that can be read."""


class HttpAnswer:
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
    def problem(self) -> str:
        """The last part of the problem's type; empty: it has none."""
        return str(self.document.get("type") or "").rpartition(":")[2][:100]

    @property
    def wait_seconds(self) -> float | None:
        """How long the supplier asks us to stay away, where it says so."""
        return retry_after_seconds(self.retry_after, datetime.now(UTC))

    @property
    def reason(self) -> str:
        """What the supplier says, bounded."""
        said = self.document.get("detail") or self.document.get("title") or f"HTTP {self.status}"
        wait = f" (retry after {self.retry_after[:40]})" if self.retry_after else ""
        # Whoever notes it keeps it as text: no NUL and no half of a character.
        words = (str(said) + wait).replace("\x00", " ").encode(errors="replace").decode()
        return words.strip()[:MAX_REASON_CHARS] or f"HTTP {self.status}"


class HttpAddress:
    """One address, and the connections to it."""

    def __init__(self, base_url: str, timeout_seconds: float, propagate: Callable[[], dict[str, str]]) -> None:
        """`timeout_seconds` bounds a whole call; `propagate` gives the headers that carry the trace.

        Raises:
            ValueError: the address is not a plain http or https address.
            InvalidInput: SSL_CERT_FILE names no certificates.
        """
        try:
            self.base = httpx.URL(base_url.rstrip("/"))
        except httpx.InvalidURL:
            raise ValueError(f"{base_url!r} is not an address") from None
        if self.base.scheme not in {"http", "https"} or not self.base.host:
            raise ValueError(f"{base_url!r} is not an http or https address")
        if self.base.userinfo or self.base.query or self.base.fragment:
            raise ValueError("a supplier's address has no user, query or fragment")
        self._timeout_s = timeout_seconds
        self._propagate = propagate
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_seconds, connect=min(5.0, timeout_seconds)),
            follow_redirects=False,
            trust_env=False,
            verify=believed_for(self.base.scheme),
            headers={"Accept": "application/json, application/problem+json", "Accept-Encoding": "identity"},
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, **parts: Any) -> HttpAnswer:
        """The whole answer.

        Raises:
            httpx.HTTPError, TimeoutError, TooLarge: there is none that can be read; see `NOT_SENT`.
        """
        url = self.base.copy_with(path=self.base.path.rstrip("/") + path)
        request = self._client.build_request(method, url, headers={**self._propagate(), **(headers or {})}, **parts)
        if (request.url.scheme, request.url.host, request.url.port) != (
            self.base.scheme,
            self.base.host,
            self.base.port,
        ):
            raise ValueError("a request may go to the configured supplier only")
        async with asyncio.timeout(self._timeout_s):
            response = await self._client.send(request, stream=True)
            try:
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise TooLarge(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
            finally:
                await response.aclose()
        media_type = response.headers.get("Content-Type", "")
        return HttpAnswer(response.status_code, media_type, bytes(body), response.headers.get("Retry-After"))


def brief(error: BaseException) -> str:
    """The error in words, bounded."""
    return f"{type(error).__name__} {error}".strip()[:MAX_REASON_CHARS]

"""A supplier that answers with any bytes whatever, over real connections, and what it may well have meant by them."""

import asyncio
import json
import random
import zlib
from types import TracebackType
from typing import Any, Self

from tests.fuzz.mutations import bent, garbled

STATUSES = (200, 201, 201, 202, 204, 301, 400, 401, 403, 404, 404, 409, 409, 410, 413, 422, 429, 500, 502, 503, 599, 99)
MEDIA_TYPES = (
    "application/json", "application/json", "application/json", "application/problem+json", "application/problem+json",
    "text/html", "", "application/json; charset=utf-16", "APPLICATION/JSON", "\x00", "é" * 50, "application/jsonx",
)  # fmt: skip
HEADERS = (
    b"Content-Encoding: gzip", b"Content-Encoding: br", b"Content-Encoding: deflate", b"Transfer-Encoding: chunked",
    b"Content-Length: 5", b"Content-Length: 99999", b"Content-Length: -1", b"Content-Length: x", b"Retry-After: 5",
    b"Retry-After: Wed, 21 Oct 2099 07:28:00 GMT", b"Retry-After: -9", b"Retry-After: 1e999", b"Retry-After: \xff\x00",
    b"Set-Cookie: a=b", b"Location: http://127.0.0.1:9/", b": nameless", b"X-Long: " + b"x" * 70_000, b"Retry-After: "
    + b"9" * 300, b"Connection: upgrade", b"HTTP/1.1 200 OK", b"Retry-After: \xe2\x82\xac",
)  # fmt: skip


def documents(key: str) -> tuple[dict[str, Any], ...]:
    """What a supplier says under this key, before it is bent."""
    other = "0" * 64
    problem = {"type": "urn:quartermaster:no-such-order", "title": "No such order", "carried_out": False, "status": 404}
    return (
        {"key": key, "supplier_number": "S-1", "promised_at": "2025-03-06T06:00:00Z"},
        {"key": key, "supplier_number": "S-1", "others": ["S-2"], "lines_digest": "1" * 64},
        {"key": other, "supplier_number": "S-9"},
        {"key": key, "supplier_number": ""},
        problem,
        problem | {"type": "urn:quartermaster:duplicate-key", "title": "Known", "supplier_number": "S-1", "key": key},
        problem | {"carried_out": True},
        {name: said for name, said in problem.items() if name != "carried_out"},
        {"key": key, "drafts": []},
        {"key": key, "drafts": [{"draft": "D-000001", "state": "draft", "supplier_number": None}]},
        {"key": key, "drafts": [{"draft": "D-1", "state": "confirmed", "supplier_number": "S-1"}] * 2},
        {"key": key, "draft": "D-000001", "state": "draft"},
        {"orders": [], "next": None},
        {"draft": "D-000001", "state": "cancelled"},
    )


def answer(chance: random.Random, key: str) -> tuple[bytes, bytes, int | None]:
    """The bytes of an answer, the words in it, and its status where the bytes have the one that was meant."""
    document = chance.choice(documents(key))
    body = bent(chance, document) if chance.random() < 0.6 else json.dumps(document).encode()
    # Half of the time a status that goes with what is said: the rest would be refused for that alone.
    usual = (404, 409, 422, 429) if "carried_out" in document else (200, 201)
    status, lines = chance.choice(usual if chance.random() < 0.5 else STATUSES), list[bytes]()
    lines.append(f"HTTP/1.1 {status} {chance.choice(('OK', 'No', ''))}".encode())
    lines.append(b"Content-Type: " + chance.choice(MEDIA_TYPES).encode())
    packed = body
    if chance.random() < 0.15:
        lines.append(chance.choice(HEADERS))
        packed = zlib.compress(body) if lines[-1].endswith(b"deflate") and chance.random() < 0.5 else body
    elif chance.random() < 0.7:
        lines.append(b"Content-Length: %d" % len(body))
    raw = b"\r\n".join(lines) + b"\r\n\r\n" + packed
    # JSON may come in UTF-16, too.
    words = body.replace(b"\x00", b"")
    if chance.random() < 0.15:
        return garbled(chance, raw), raw + words, None
    if chance.random() < 0.02:
        return chance.randbytes(chance.randint(0, 400)), b"", None
    return raw, words, status


class AnyAnswers:
    """A server that reads a request, writes `says` and hangs up."""

    def __init__(self) -> None:
        self.says = b""
        self.asked = 0
        self._over = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """Where it is."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line.partition(b":")[2]))
            writer.write(self.says)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._over.set()

    async def over(self) -> None:
        """Return once the newest request's connection was hung up on: it is not taken for a usable one."""
        await self._over.wait()
        self._over.clear()

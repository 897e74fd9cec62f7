"""One connection through a proxy, and what can happen to it.

    Condition   of everything that passes
        HEALTHY
        SLOW           each chunk waits
        DARK           swallowed both ways: a black hole
        DEAF           requests pass, and answers are swallowed: carried out, nobody told
        BROKEN         reset
    Catch       of one request, found by byte markers in what the client sends (in this order, on one connection)
        DROP_ANSWER    forwarded, and the connection is cut when the answer comes: carried out, nobody told
        TRUNCATE       forwarded, and the connection is cut after `bytes` bytes of the answer
        RESET          the connection is cut before the request is forwarded whole
        HOLD_REQUEST   not forwarded until `release`: the caller waits, the server knows nothing of it
        HOLD_ANSWER    forwarded; the answer waits until `release`: carried out, the caller waits

Markers are looked for in the bytes as they are: what is compressed or encrypted is not found.
"""

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.proxy import Proxy

CHUNK = 65_536
Address = Path | tuple[str, int]
"""A Unix socket, or host and port."""


class Condition(StrEnum):
    """How everything passes."""

    HEALTHY = "healthy"
    SLOW = "slow"
    DARK = "dark"
    BROKEN = "broken"
    DEAF = "deaf"


class Catch(StrEnum):
    """What happens to a request that a trap caught."""

    DROP_ANSWER = "drop_answer"
    TRUNCATE = "truncate"
    RESET = "reset"
    HOLD_REQUEST = "hold_request"
    HOLD_ANSWER = "hold_answer"


@dataclass(eq=False)
class Trap:
    """Waits for a request. `sprung` is set when it caught one; `answered` when the server has answered that one."""

    catch: Catch
    markers: tuple[bytes, ...]
    times: int = 1
    bytes: int = 0
    """For TRUNCATE: how much of the answer passes."""
    caught: int = 0
    sprung: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)
    released: bool = False


class Link:
    """One connection and its counterpart."""

    def __init__(self, proxy: "Proxy", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.proxy, self.client, self.to_client = proxy, reader, writer
        self.to_server: asyncio.StreamWriter | None = None
        self.progress: dict[int, tuple[int, bytes]] = {}
        self.lost_requests = self.lost_answers = False
        """Bytes of that way were swallowed: it can only be cut."""
        self.held: Trap | None = None
        self.moved = asyncio.Event()
        self.answer: Trap | None = None
        """What happens to the next bytes from the server."""
        self.left = 0

    @property
    def lossy(self) -> bool:
        """Bytes are missing on it, so it will never heal."""
        return self.lost_requests or self.lost_answers

    async def carry(self) -> None:
        """Both ways, until either side ends or is cut."""
        if self.proxy.condition is Condition.BROKEN:
            self.cut()
            return
        try:
            reader, self.to_server = await self._connect()
        except OSError:
            self.cut()
            return
        ways = [asyncio.ensure_future(self._requests()), asyncio.ensure_future(self._answers(reader))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for writer in (self.to_client, self.to_server):
            writer.close()

    def cut(self) -> None:
        """Abort both sides: a reset, not an end."""
        self.proxy.counts["cut"] += 1
        for writer in (self.to_client, self.to_server):
            if writer is not None:
                writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        target = self.proxy.target
        if isinstance(target, Path):
            return await asyncio.open_unix_connection(str(target), limit=CHUNK)
        return await asyncio.open_connection(*target, limit=CHUNK)

    async def _requests(self) -> None:
        assert self.to_server is not None
        with suppress(ConnectionError):
            while chunk := await self.client.read(CHUNK):
                await self._slowed()
                if self.lost_requests or self.proxy.condition is Condition.DARK:
                    self.lost_requests = self._swallowed()
                    continue
                trap = self.proxy.spring(self, chunk)
                if trap is not None and trap.catch is Catch.RESET:
                    self.cut()
                    return
                if trap is not None and trap.catch is Catch.HOLD_REQUEST:
                    await self._hold(trap)
                elif trap is not None:
                    self.answer, self.left = trap, trap.bytes
                self.to_server.write(chunk)
                await self.to_server.drain()

    async def _answers(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(CHUNK):
                await self._slowed()
                if self.lost_answers or self.proxy.condition in {Condition.DARK, Condition.DEAF}:
                    self.lost_answers = self._swallowed()
                    continue
                trap = self.answer
                if trap is not None:
                    trap.answered.set()
                    if trap.catch is Catch.DROP_ANSWER:
                        self.cut()
                        return
                    if trap.catch is Catch.TRUNCATE:
                        self.to_client.write(chunk[: self.left])
                        await self.to_client.drain()
                        self.left -= len(chunk)
                        if self.left <= 0:
                            self.cut()
                            return
                        continue
                    await self._hold(trap)
                    self.answer = None
                self.to_client.write(chunk)
                await self.to_client.drain()

    async def _hold(self, trap: Trap) -> None:
        if trap.released:
            return
        self.held = trap
        self.moved.clear()
        await self.moved.wait()

    async def _slowed(self) -> None:
        if self.proxy.condition is Condition.SLOW:
            self.proxy.counts["slowed"] += 1
            await asyncio.sleep(self.proxy.slow_s)

    def _swallowed(self) -> bool:
        self.proxy.counts["swallowed"] += 1
        return True

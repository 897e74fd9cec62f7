"""A proxy that breaks connections in the ways networks do, exactly where it is told, and counts what it did.

All calls may come from any thread; the bytes flow on one event loop in a thread of its own (`Proxies`).

    condition   everything that passes: HEALTHY, SLOW (each chunk waits), DARK (swallowed: a black hole), BROKEN (reset)
    trap        one request, found by byte markers in what the client sends (in this order, on one connection):
                DROP_ANSWER    forwarded, and the connection is cut when the answer comes: carried out, nobody told
                TRUNCATE       forwarded, and the connection is cut after `bytes` bytes of the answer
                RESET          the connection is cut before the request is forwarded whole
                HOLD_REQUEST   not forwarded until `release`: the caller waits, the server knows nothing of it
                HOLD_ANSWER    forwarded; the answer waits until `release`: carried out, the caller waits
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
CHUNK = 65_536
Address = Path | tuple[str, int]
"""A Unix socket, or host and port."""


class Condition(StrEnum):
    """How everything passes."""

    HEALTHY = "healthy"
    SLOW = "slow"
    DARK = "dark"
    BROKEN = "broken"


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
    _released: bool = False


class Proxies:
    """The event loop that proxies run on, in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="proxies", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        """End the loop; close the proxies first."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)


class Proxy:
    """Listens in front of one server. Connections that are open when the condition changes change with it."""

    def __init__(self, proxies: Proxies, name: str, target: Address, listen: Address = ("127.0.0.1", 0)) -> None:
        self.name, self.target = name, target
        self.condition = Condition.HEALTHY
        self.slow_s = 0.0
        self.counts: Counter[str] = Counter()
        """Connections made; chunks slowed and swallowed; connections cut; requests caught, by what happened to them."""
        self._proxies, self._traps = proxies, list[Trap]()
        self._links: set[_Link] = set()
        self._server = proxies.run(self._listen(listen))
        self.port: int = 0 if isinstance(listen, Path) else self._server.sockets[0].getsockname()[1]

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self.port}"

    def slow(self, seconds: float) -> None:
        """Every chunk waits so long, each way."""
        self.slow_s = seconds
        self.condition = Condition.SLOW

    def darken(self) -> None:
        """A black hole: connections are taken, and no byte comes out."""
        self.condition = Condition.DARK

    def break_all(self) -> None:
        """Cut what is open, and cut what comes."""
        self.condition = Condition.BROKEN
        self.cut()

    def heal(self) -> None:
        """Everything passes, nothing waits in a trap; connections that lost bytes are cut: they would never heal."""
        self._proxies.run(self._heal())

    def trap(self, catch: Catch, *markers: bytes, times: int = 1, bytes: int = 0) -> Trap:
        """Catch the next requests that have these markers."""
        trap = Trap(catch, markers, times, bytes)
        self._traps.append(trap)
        return trap

    def release(self, trap: Trap) -> None:
        """Let what the trap holds pass."""
        self._proxies.run(self._release(trap))

    def cut(self) -> None:
        """Cut every open connection once; new ones pass."""
        self._proxies.run(self._cut())

    def close(self) -> None:
        """Stop listening and cut what is open."""
        self._proxies.run(self._close())

    async def _listen(self, listen: Address) -> asyncio.Server:
        if isinstance(listen, Path):
            listen.unlink(missing_ok=True)
            return await asyncio.start_unix_server(self._take, str(listen), limit=CHUNK)
        return await asyncio.start_server(self._take, *listen, limit=CHUNK)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        link = _Link(self, reader, writer)
        self._links.add(link)
        try:
            await link.carry()
        finally:
            self._links.discard(link)

    async def _heal(self) -> None:
        self.condition, self._traps = Condition.HEALTHY, []
        for link in list(self._links):
            if link.lossy or link.held is not None:
                link.cut()

    async def _release(self, trap: Trap) -> None:
        trap._released = True
        for link in list(self._links):
            if link.held is trap:
                link.held = None
                link.moved.set()

    async def _cut(self) -> None:
        for link in list(self._links):
            link.cut()

    async def _close(self) -> None:
        self._server.close()
        await self._cut()

    def _spring(self, link: "_Link", chunk: bytes) -> Trap | None:
        """The trap whose last marker this chunk brings, if any; each connection goes through the markers by itself."""
        for trap in self._traps:
            if trap.caught >= trap.times:
                continue
            step, kept = link.progress.get(id(trap), (0, b""))
            text = kept + chunk
            while step < len(trap.markers) and (at := text.find(trap.markers[step])) >= 0:
                text = text[at + len(trap.markers[step]) :]
                step += 1
            if step < len(trap.markers):
                link.progress[id(trap)] = (
                    step,
                    text[-(len(trap.markers[step]) - 1) :] if len(trap.markers[step]) > 1 else b"",
                )
                continue
            link.progress.pop(id(trap), None)
            trap.caught += 1
            self.counts[trap.catch] += 1
            trap.sprung.set()
            return trap
        return None


class _Link:
    """One connection and its counterpart."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.proxy, self.client, self.to_client = proxy, reader, writer
        self.to_server: asyncio.StreamWriter | None = None
        self.progress: dict[int, tuple[int, bytes]] = {}
        self.lossy = False
        """Bytes were swallowed: it can only be cut."""
        self.held: Trap | None = None
        self.moved = asyncio.Event()
        self.answer: Trap | None = None
        """What happens to the next bytes from the server."""
        self.left = 0

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
                if await self._swallowed():
                    continue
                trap = self.proxy._spring(self, chunk)
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
                if await self._swallowed():
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
        if trap._released:
            return
        self.held = trap
        self.moved.clear()
        await self.moved.wait()

    async def _swallowed(self) -> bool:
        condition = self.proxy.condition
        if condition is Condition.SLOW:
            self.proxy.counts["slowed"] += 1
            await asyncio.sleep(self.proxy.slow_s)
        elif condition is Condition.DARK:
            self.proxy.counts["swallowed"] += 1
            self.lossy = True
        return self.lossy

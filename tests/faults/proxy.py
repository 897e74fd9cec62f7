"""A proxy that breaks connections in the ways networks do, exactly where it is told, and counts what it did.

All calls may come from any thread; the bytes flow on one event loop in a thread of its own (`Proxies`). What can
happen to everything (`Condition`) and to one request (`Catch`) is in `links`.
"""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from tests.faults.links import CHUNK, Address, Catch, Condition, Link, Trap
from workers.servers.postgres import LONGEST_SOCKET_PATH

__all__ = ["Catch", "Condition", "Proxies", "Proxy", "Trap"]

T = TypeVar("T")


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
        self.run(self._ended())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def _ended(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Proxy:
    """Listens in front of one server. Connections that are open when the condition changes change with it."""

    def __init__(self, proxies: Proxies, name: str, target: Address, listen: Address = ("127.0.0.1", 0)) -> None:
        self.name, self.target = name, target
        self.condition = Condition.HEALTHY
        self.slow_s = 0.0
        self.counts: Counter[str] = Counter()
        """Connections made; chunks slowed and swallowed; connections cut; requests caught, by what happened to them."""
        self._proxies, self._traps = proxies, list[Trap]()
        self._links: set[Link] = set()
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

    def deafen(self) -> None:
        """Requests pass, and no answer comes back."""
        self.condition = Condition.DEAF

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
            if len(os.fsencode(listen)) > LONGEST_SOCKET_PATH:
                raise ValueError(f"{listen} is too long for a socket: set TMPDIR to a shorter path")
            listen.unlink(missing_ok=True)
            return await asyncio.start_unix_server(self._take, str(listen), limit=CHUNK)
        return await asyncio.start_server(self._take, *listen, limit=CHUNK)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        link = Link(self, reader, writer)
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
        trap.released = True
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

    def spring(self, link: Link, chunk: bytes) -> Trap | None:
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

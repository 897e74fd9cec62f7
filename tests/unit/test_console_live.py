"""Open pages hear what moves, in order and without a gap; nobody slow, signed out or greedy holds anything up."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from console import live as live_module
from console.auth import sign_in_token
from console.live import STREAMS_PER_PERSON, LiveHub
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.live import MemoryLive
from workflows.domain.live import LiveKind

PATIENCE = 60.0


async def always() -> bool:
    return True


class Listener:
    """Reads a stream's frames as (event, id, data)."""

    def __init__(self, frames: AsyncIterator[bytes]) -> None:
        self.frames = frames

    async def next(self) -> tuple[str, str | None, Any]:
        frame = (await asyncio.wait_for(anext(self.frames), PATIENCE)).decode()
        fields = dict(line.split(": ", 1) for line in frame.strip().splitlines())
        return fields["event"], fields.get("id"), json.loads(fields["data"])

    async def until(self, name: str) -> list[tuple[str, str | None, Any]]:
        """Everything up to and with the first frame of this name."""
        found = [await self.next()]
        while found[-1][0] != name:
            found.append(await self.next())
        return found


async def test_a_stream_tells_what_moves_after_it_began() -> None:
    live = MemoryLive()
    before = live.tell(decision_id="A:1")
    hub = LiveHub(live)
    async with aclosing(hub.stream("Ada", before, always)) as frames:
        listener = Listener(frames)
        assert (await listener.next())[:2] == ("hello", before)
        told = asyncio.ensure_future(listener.next())
        await _until(lambda: live.listeners == 1)
        new = live.tell(LiveKind.ORDER, order_id="O:1", state="placed")
        assert await told == ("order", new, {"order_id": "O:1", "state": "placed"})
    await _until(lambda: live.listeners == 0)
    assert hub.streams == 0, "nobody looks: nothing is read"


async def test_a_stream_resumes_after_the_last_event_that_was_heard_on_another_replica() -> None:
    live = MemoryLive()
    ids = [live.tell(decision_id=f"A:{n}") for n in range(700)]
    async with aclosing(LiveHub(live).stream("Ada", ids[9], always)) as frames:
        listener = Listener(frames)
        await listener.next()
        assert [(await listener.next())[1] for _ in ids[10:]] == ids[10:]


async def test_nothing_is_told_twice_or_left_out_while_a_stream_catches_up() -> None:
    live = MemoryLive()
    first = live.tell(decision_id="A:0")
    hub = LiveHub(live)
    async with aclosing(hub.stream("Bob", first, always)) as other, aclosing(hub.stream("Ada", first, always)) as mine:
        await anext(other)
        listener = Listener(mine)
        await listener.next()
        heard = []
        for n in range(50):
            live.tell(decision_id=f"A:{n}")
            if n % 7 == 0:
                await asyncio.sleep(0)
        heard = [(await listener.next())[1] for _ in range(50)]
    assert heard == [event.event_id for event in live.events[1:]]


async def test_who_was_away_too_long_reads_the_page_anew_and_then_goes_on() -> None:
    live = MemoryLive()
    for n in range(live_module.BACKLOG + 600):
        live.tell(decision_id=f"A:{n}")
    newest = live.events[-1].event_id
    for floor, after in (("0-0", "1-1"), ("9-1", "3-1")):
        live.floor = floor
        async with aclosing(LiveHub(live).stream("Ada", after, always)) as frames:
            listener = Listener(frames)
            await listener.next()
            assert await listener.next() == ("reset", newest, {})
            newest = live.tell(decision_id="new")
            assert (await listener.next())[:2] == ("task", newest)


async def test_a_slow_page_is_cut_off_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "QUEUE", 5)
    live = MemoryLive()
    first = live.tell(decision_id="A:0")
    hub = LiveHub(live)
    async with aclosing(hub.stream("Slow", first, always)) as slow, aclosing(hub.stream("Ada", first, always)) as quick:
        sleeper, listener = Listener(slow), Listener(quick)
        live.tell(decision_id="A:1")
        for one in (sleeper, listener):
            await one.next()
            assert (await one.next())[0] == "task"
        for n in range(20):
            live.tell(decision_id=f"B:{n}")
            assert (await listener.next())[0] == "task"
        assert await sleeper.until("bye") == [("bye", None, {"why": "slow"})]
    async with aclosing(hub.stream("Slow", live.events[1].event_id, always)) as again:
        listener = Listener(again)
        await listener.next()
        assert [(await listener.next())[2]["decision_id"] for _ in range(20)] == [f"B:{n}" for n in range(20)]


async def test_a_quiet_stream_beats_and_says_whether_anybody_reads() -> None:
    live = MemoryLive()
    hub = LiveHub(live, beat_seconds=0.05)
    async with aclosing(hub.stream("Ada", "0-0", always)) as frames:
        listener = Listener(frames)
        assert await listener.until("beat") == [
            ("hello", "0-0", {"beat_seconds": 0.05}),
            ("beat", None, {"fresh": True}),
        ]
        live.away = True
        while (await listener.next())[2] != {"fresh": False}:
            pass
        live.away = False
        new = live.tell(decision_id="A:1")
        told = [one for one in await listener.until("task") if one[0] != "beat"]
        assert [one[1] for one in told] == [new], "an outage loses nothing"


async def test_the_end_of_the_session_ends_the_stream() -> None:
    signed_in = [True]

    async def still_in() -> bool:
        return signed_in[0]

    hub = LiveHub(MemoryLive(), beat_seconds=0.05)
    async with aclosing(hub.stream("Ada", "0-0", still_in)) as frames:
        listener = Listener(frames)
        await listener.until("beat")
        signed_in[0] = False
        assert (await listener.until("bye"))[-1] == ("bye", None, {"why": "session"})


async def test_nobody_has_more_streams_than_a_browser_can_spare() -> None:
    hub = LiveHub(MemoryLive())
    open_ones = [hub.stream("Ada", "0-0", always) for _ in range(STREAMS_PER_PERSON)]
    for frames in open_ones:
        await anext(frames)
    assert hub.full("Ada")
    assert not hub.full("Bob")
    assert (await Listener(hub.stream("Ada", "0-0", always)).next())[2] == {"why": "many"}
    await open_ones[0].aclose()
    assert not hub.full("Ada")
    for frames in open_ones:
        await frames.aclose()


def test_a_stream_needs_a_session_and_a_place_that_is_one() -> None:
    with TestClient(ConsoleOverFakes(live=MemoryLive()).app, follow_redirects=False) as client:
        assert client.get("/live/events").status_code == 303
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        for bad in ("x", "1", "1-1-1", "-1-1", "1" * 30 + "-1"):
            assert client.get("/live/events", params={"after": bad}).status_code == 422
    with TestClient(ConsoleOverFakes().app, follow_redirects=False) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        assert client.get("/live/events").status_code == 404


async def test_a_server_stops_at_once_with_streams_open_and_a_client_resumes_at_the_next() -> None:
    live = MemoryLive()
    begin = live.tell(decision_id="A:0")
    async with _served(live) as client:
        await client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        async with client.stream("GET", "/live/events", params={"after": begin}) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            lines = answer.aiter_lines()
            live.tell(decision_id="A:1")
            last = await _next_task(lines)
            await client.stop(PATIENCE)  # the server itself would wait for much longer
            assert 'data: {"why":"restart"}' in [line async for line in lines]

    missed = live.tell(decision_id="A:2")
    async with _served(live) as client:
        await client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        async with client.stream("GET", "/live/events", headers={"Last-Event-ID": last}) as answer:
            assert await _next_task(answer.aiter_lines()) == missed


async def _next_task(lines: AsyncIterator[str]) -> str:
    """The id of the next task's event."""
    while await asyncio.wait_for(anext(lines), PATIENCE) != "event: task":
        pass
    return (await anext(lines)).removeprefix("id: ")


class _Client(httpx.AsyncClient):
    """A browser, and the server that it looks at."""

    def __init__(self, console: ConsoleOverFakes, server: uvicorn.Server, serving: "asyncio.Future[None]") -> None:
        port = server.servers[0].sockets[0].getsockname()[1]
        super().__init__(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False)
        self.console, self._server, self._serving = console, server, serving

    async def stop(self, patience: float) -> None:
        """As `run_console` does."""
        await self.console.app.state.live.aclose()
        self._server.should_exit = True
        await asyncio.wait_for(asyncio.shield(self._serving), patience)


@asynccontextmanager
async def _served(live: MemoryLive) -> AsyncIterator[_Client]:
    console = ConsoleOverFakes(live=live)
    server = uvicorn.Server(
        uvicorn.Config(console.app, host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=600)
    )
    serving = asyncio.ensure_future(server.serve())
    await _until(lambda: server.started)
    async with _Client(console, server, serving) as client:
        yield client
        await client.stop(PATIENCE)


async def _until(condition: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_signing_out_ends_the_stream_and_the_stream_does_not_prolong_the_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_module.LiveHub.__init__, "__kwdefaults__", {"beat_seconds": 0.05})
    live = MemoryLive()
    async with _served(live) as client:
        await client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        (secret, kept), *_ = client.console.sessions.kept.items()
        async with client.stream("GET", "/live/events", params={"after": "0-0"}) as answer:
            lines = answer.aiter_lines()
            seen = kept.seen_at
            for _ in range(3):
                while await asyncio.wait_for(anext(lines), PATIENCE) != "event: beat":
                    pass
            assert kept.seen_at == seen
            del client.console.sessions.kept[secret]
            assert 'data: {"why":"session"}' in [line async for line in lines]

"""Serves the console over fakes on the loopback interface and notes what a browser asked for and complained about."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from console.auth import sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes

STARTS_WITHIN = 20.0
AXE_RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "resultTypes": ["violations"],  # to describe all that is well takes longer than to look at it
}


class Served:
    """The console on a free port, which it keeps when it is stopped and started again."""

    def __init__(self, console: ConsoleOverFakes) -> None:
        self.console = console
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self._port = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.start()

    @property
    def origin(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Serve until `stop`."""
        config = uvicorn.Config(
            self.console.app, host="127.0.0.1", port=self._port, log_level="warning", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_until(lambda: self._server is not None and self._server.started, "the console did not start")
        self._port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        """No longer answer, as while a process is replaced."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(STARTS_WITHIN)
        self._server = None

    def run(self, doing: Coroutine[Any, Any, object]) -> None:
        """Do it on the server's own loop and wait for it."""
        assert self._server is not None
        asyncio.run_coroutine_threadsafe(doing, self._server.servers[0].get_loop()).result(STARTS_WITHIN)

    def soon(self, act: Callable[[], object]) -> None:
        """Do it on the server's own loop, where fakes that wake streams belong."""
        assert self._server is not None
        self._server.servers[0].get_loop().call_soon_threadsafe(act)

    def watch(self, context: BrowserContext) -> None:
        """Note every request and everything that the browser complains about (CSP breaches among them)."""
        context.on("request", lambda request: self.asked.append(request.url))
        context.on("console", lambda message: self.complaints.append(message.text))
        context.on("weberror", lambda error: self.complaints.append(f"script failed: {error.error}"))

    def sign_in(self, page: Page, name: str = "Ada") -> None:
        """Open a session as this person."""
        page.goto(f"{self.origin}/sign-in?token={sign_in_token(KEY, name)}")

    def blame(self) -> list[str]:
        """What no page may do: ask another origin, breach the policy for contents, fail in a script."""
        strangers = [f"asked {url}" for url in self.asked if not url.startswith((self.origin + "/", "data:", "blob:"))]
        words = ("Content Security Policy", "script failed")
        return strangers + [text for text in self.complaints if any(word in text for word in words)]


@contextmanager
def beside(chromium: Browser, served: Served, name: str, *, scripts: bool = True) -> Iterator[Page]:
    """A second person at a browser of their own, at the same time."""
    context = chromium.new_context(java_script_enabled=scripts, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(15_000)
    served.watch(context)
    page = context.new_page()
    served.sign_in(page, name)
    try:
        yield page
    finally:
        context.close()


def wait_until(condition: Callable[[], object], otherwise: str, seconds: float = STARTS_WITHIN) -> None:
    """Go on once the condition holds.

    Raises:
        AssertionError: it did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


def axe(page: Page) -> list[str]:
    """The accessibility rules that the page breaks now, each with where: `assert axe(page) == []`."""
    found = Axe().run(page, options=AXE_RULES).response["violations"]
    return [
        f"{one['id']} ({one['help']}): " + "; ".join(str(node["target"]) for node in one["nodes"][:5]) for one in found
    ]


def fits(page: Page) -> bool:
    """Whether nobody has to scroll sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))

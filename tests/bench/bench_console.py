"""How fast the console answers with 100,000 open tasks and a million decisions behind it, and how fast a key shows.

The real console process on the embedded servers, asked over the loopback interface by one client: a figure holds the
whole way there and back. A key press is timed in Chromium, from the browser's own time of the event until the frame
that shows the next row's focus has been handed over. axe looks at every page, and every request is noted.
"""

import argparse
import asyncio
import os
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright

from connectors.postgres.pool import Database, connect
from console.auth import sign_in_token
from tests.bench import console_world
from tests.bench.measuring import machine, options, progress, publish, spread
from tests.browser.serving import axe
from workers.enrolling import enrol
from workers.preparing import prepare_schema
from workers.progress import QuietLines
from workers.settings import Settings
from workers.stack import EngineStack
from workers.wiring import console_key, required

PLANNER = "planner"
INBOX_ROUNDS, PAGE_ROUNDS, KEYS = 60, 7, 60
QUICK_PAGES = 3
TASK = "STORE-001:SKU-000001:1"
PAGES = (
    "/", "/inbox", "/inbox?view=team", "/inbox?view=due_today", "/inbox?view=team&location=STORE-007",
    "/inbox?view=team&text=SKU-0001", f"/tasks/{TASK}", "/inventory", "/inventory?location=STORE-007",
    "/demand", "/sales", "/deliveries", "/orders", "/live", "/models", "/policies", "/money", "/audit",
    f"/audit/chain?stream={TASK}", "/audit?item=SKU-000001", "/health", "/dead-letters", "/people", "/files",
    "/definitions", "/what-if", "/docs/api",
)  # fmt: skip
INBOX = "/inbox?view=team"

# From the browser's own time of the event until the frame with the row's focus is out.
TIMED_KEYS = """
() => {
  window.__taken = [];
  addEventListener("keydown", (event) => {
    requestAnimationFrame(() => setTimeout(() => window.__taken.push(performance.now() - event.timeStamp)));
  }, { capture: true });
}
"""


def chosen(*, quick: bool) -> Sequence[str]:
    """The pages that are asked for."""
    return PAGES[:QUICK_PAGES] if quick else PAGES


def measure(address: str, key: bytes, *, quick: bool) -> dict[str, Any]:
    """Answers of the server, one request at a time."""
    with httpx.Client(base_url=address, timeout=120, follow_redirects=True) as client:
        client.get("/sign-in", params={"token": sign_in_token(key, PLANNER)}).raise_for_status()
        inbox = [_asked(client, INBOX)[0] for _ in range((5 if quick else INBOX_ROUNDS) + 3)][3:]
        pages = {}
        for path in chosen(quick=quick):
            progress(f"console: {path}")
            rounds = [_asked(client, path) for _ in range((1 if quick else PAGE_ROUNDS) + 1)][1:]
            times = [taken for taken, _ in rounds]
            pages[path] = {"median_ms": round(statistics.median(times), 1), "highest_ms": round(max(times), 1),
                           "bytes": rounds[-1][1]}  # fmt: skip
    ordered = sorted(inbox)
    return {
        "inbox_p50_ms": round(statistics.median(inbox), 1),
        "inbox_p99_ms": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 1),
        "inbox_rounds": len(inbox), "pages": pages,
    }  # fmt: skip


def _asked(client: httpx.Client, path: str) -> tuple[float, int]:
    """Milliseconds until the whole page is here, and its bytes."""
    begun = time.perf_counter()
    answer = client.get(path)
    taken = (time.perf_counter() - begun) * 1000
    if answer.status_code != 200:
        raise RuntimeError(f"{path} answered {answer.status_code}: {answer.text[:300]}")
    return taken, len(answer.content)


def look(address: str, key: bytes, *, quick: bool) -> dict[str, Any]:
    """What a browser sees: pace of a key, accessibility, and who is asked."""
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(60_000)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/sign-in?token={sign_in_token(key, PLANNER)}")
        keys = _keys(page, address, 5 if quick else KEYS)
        violations = {path: found for path in chosen(quick=quick) if (found := _violations(page, address, path))}
        browser.close()
    own = (address + "/", "data:", "blob:")
    return {
        "keypress_p50_ms": round(statistics.median(keys), 1), "keypress_ms": spread(keys, 1),
        "axe_violations": sum(len(found) for found in violations.values()), "violations": violations,
        "external_requests": len([url for url in asked if not url.startswith(own)]), "requests": len(asked),
    }  # fmt: skip


def _keys(page: Page, address: str, presses: int) -> list[float]:
    page.goto(address + INBOX)
    page.locator("[data-rows] > tr").first.wait_for()
    page.keyboard.press("j")
    page.evaluate(TIMED_KEYS)
    focused = "document.activeElement?.closest('tr')?.dataset.task ?? ''"
    for number in range(presses):
        before = page.evaluate(focused)
        page.keyboard.press("j" if number % 40 < 20 else "k")
        page.wait_for_function("count => window.__taken.length > count", arg=number)
        if page.evaluate(focused) == before:
            raise RuntimeError("a key press moved nothing: the figure would be one of standing still")
    taken: list[float] = page.evaluate("window.__taken")
    return taken


def _violations(page: Page, address: str, path: str) -> Sequence[str]:
    progress(f"console: axe on {path}")
    page.goto(address + path)
    return axe(page)


async def _patterns(dsn: str) -> None:
    async with Database(dsn, name="bench", size=2) as database:
        await console_world.patterns(dsn, database)


def run(state: Path, told: argparse.Namespace) -> dict[str, Any]:
    """A stack of its own, filled and asked."""
    settings = Settings(home=state, console_port=0, temporal_port=0, temporal_ui_port=0, kafka_port=0, supplier_port=0)
    say = QuietLines()
    with EngineStack(state, settings, say) as stack:
        stack.start()
        prepare_schema(stack.settings, say)
        enrol(stack.settings, PLANNER)
        dsn = required(stack.settings, "postgres_dsn")
        asyncio.run(_patterns(dsn))
        progress("console: filling the database (about three minutes)")
        with connect(dsn, name="bench") as connection:
            console_world.enlarge(connection, console_world.QUICK if told.quick else console_world.FULL)
            sizes = console_world.counts(connection)
        address, key = stack.start_console(), console_key(stack.settings)
        return {**sizes, **measure(address, key, quick=told.quick), **look(address, key, quick=told.quick)}


def main() -> None:
    """Measure and print."""
    told, begun, before = options(__doc__ or ""), time.monotonic(), machine()
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda number, _: sys.exit(128 + number))
    with TemporaryDirectory(prefix="qm-bench-") as folder:
        figures = run(Path(folder), told)
    publish(told, "console", before, begun, figures)


if __name__ == "__main__":
    main()

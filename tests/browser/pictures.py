"""Makes the pictures of docs/console.md: plays the demo world, opens the console over it and looks at every page.

    python -m tests.browser.pictures [FOLDER] [--every]

Without FOLDER the pictures go to docs/pictures. `--every` takes each page light, dark and as wide as a phone: for
looking at, not for the manual.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, sync_playwright

from connectors.postgres.pool import connect
from console.auth import sign_in_token
from tests.browser.serving import wait_until
from workers.enrolling import enrol
from workers.preparing import prepare_schema
from workers.progress import QuietLines
from workers.settings import Settings
from workers.stack import EngineStack
from workers.wiring import console_key, required

CHECKOUT = Path(__file__).resolve().parents[2]
DAYS, UNANSWERED_DAYS = 14, 3
"""A scripted planner works on the first days; what is asked on the last ones waits for whoever looks."""
PLAYED_WITHIN_S = 600.0
PERSON = "planner"
WIDE, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}
MANUAL = (
    ("inbox", "/inbox?view=team", "light"), ("inbox-dark", "/inbox?view=team", "dark"),
    ("inbox-phone", "/inbox?view=team", "phone"), ("decision", "{task}", "light"), ("home", "/", "light"),
    ("demand", "{demand}", "light"), ("models", "{model}", "light"), ("audit", "{chain}", "light"),
    ("health", "/health", "light"),
)  # fmt: skip
"""Name, address and look of each picture of the manual; names in braces are found in the played world."""
PLACES = (
    "/", "/inbox", "/inbox?view=team", "/inbox?view=answered", "{task}", "{decision}", "{order}", "{demand}", "{model}",
    "{chain}", "/inventory", "/demand", "/sales", "/deliveries", "/orders", "/live", "/models", "/policies",
    "/policies/new", "/money", "/what-if", "/audit", "/health", "/dead-letters", "/people", "/files", "/definitions",
    "/account", "/docs/api", "/nothing-here",
)  # fmt: skip


def main() -> None:
    """Play, look, leave nothing behind but pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=CHECKOUT / "docs" / "pictures")
    parser.add_argument("--every", action="store_true", help="every page light, dark and on a phone")
    told = parser.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    wanted = _everything() if told.every else MANUAL
    with (
        TemporaryDirectory(prefix="qm-pictures-") as home,
        _played(Path(home)) as (address, key, found),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"), args=["--no-sandbox"]
        )
        for look in ("light", "dark", "phone"):
            page = _signed_in(browser, address, key, look)
            for name, path, how in wanted:
                if how == look:
                    _take(page, address + path.format(**found), told.folder / f"{name}.png", whole=told.every)
            page.context.close()
        browser.close()


def _everything() -> tuple[tuple[str, str, str], ...]:
    names = ["".join(letter if letter.isalnum() else "-" for letter in path).strip("-") or "home" for path in PLACES]
    return tuple(
        (f"{number:02}-{name}-{look}", path, look)
        for look in ("light", "dark", "phone")
        for number, (name, path) in enumerate(zip(names, PLACES, strict=True))
    )


@contextmanager
def _played(home: Path) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """The console over a demo that was played to its end: its address, its key, and what there is to see."""
    command = [sys.executable, "-m", "workers.cli", "demo", "--days", str(DAYS), "--json"]
    subprocess.run(command, check=True, cwd=CHECKOUT, env={**os.environ, "QM_HOME": str(home)}, stdout=sys.stderr)
    settings = Settings(
        home=home, clock="replayed", console_port=0, temporal_port=0, temporal_ui_port=0, kafka_port=0, supplier_port=0
    )
    say = QuietLines()
    with EngineStack(home / "demo", settings, say) as stack:
        stack.start()
        prepare_schema(stack.settings, say)
        enrol(stack.settings, PERSON)
        stack.start_supplier(())
        for name in ("intake", "worker"):
            stack.start_process(name)
        stack.start_process("feed", "demo", "--days", str(DAYS + UNANSWERED_DAYS), ends=True)
        wait_until(lambda: stack.finished("feed"), "the last days were not played", PLAYED_WITHIN_S)
        found = _found(required(stack.settings, "postgres_dsn"))
        yield stack.start_console(), console_key(stack.settings), found


def _found(dsn: str) -> dict[str, str]:
    """Addresses of things that every played world has: the dearest open task, a decision with an outcome, ..."""
    with connect(dsn, name="pictures") as connection:

        def first(query: str) -> str:
            row = connection.execute(query.encode()).fetchone()
            if row is None:
                raise RuntimeError(f"nothing to show: {query}")
            return str(row["one"])

        order = "SELECT order_id AS one FROM purchase_order ORDER BY (state = 'placed') DESC, created_at DESC LIMIT 1"
        task = """SELECT decision_id AS one FROM task ORDER BY (state = 'open') DESC, cost_of_waiting DESC LIMIT 1"""
        done = "SELECT decision_id AS one FROM outcome JOIN replenishment USING (decision_id) ORDER BY 1 LIMIT 1"
        model = "SELECT digest AS one FROM model_version ORDER BY (status = 'champion') DESC LIMIT 1"
        told = first(done)
        place, item, _ = told.split(":")
        return {
            "task": f"/tasks/{first(task)}", "decision": f"/decisions/{told}", "order": f"/orders/{first(order)}",
            "demand": f"/demand/{place}/{item}", "model": f"/models/{first(model)}",
            "chain": f"/audit/chain?stream={told}",
        }  # fmt: skip


def _signed_in(browser: Browser, address: str, key: bytes, look: str) -> Page:
    context = browser.new_context(
        viewport=PHONE if look == "phone" else WIDE,  # type: ignore[arg-type]
        color_scheme="dark" if look == "dark" else "light", reduced_motion="reduce",
    )  # fmt: skip
    page = context.new_page()
    page.goto(f"{address}/sign-in?token={sign_in_token(key, PERSON)}")
    return page


def _take(page: Page, address: str, file: Path, *, whole: bool) -> None:
    page.goto(address)
    page.wait_for_timeout(400)  # the third pane and the live state arrive on their own; nothing is proven here
    page.screenshot(path=file, full_page=whole)
    print(f"{file.name}: {page.title()}", file=sys.stderr)


if __name__ == "__main__":
    main()

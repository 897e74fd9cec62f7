"""The busy inbox that the inbox's browser tests share, and how they find things on its page."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.serving import Served
from tests.fakes.busy_shop import busy_shop
from tests.fakes.console import ConsoleOverFakes

OAT, TEA, MUG, LAMP = "LEEDS:OAT-1L:1", "LONDON-WEST:22423:1", "YORK:MUG-E:1", "YORK:SKU-1010:1"
UNDO_SECONDS = 30


def busy_console(*, undo_seconds: int = UNDO_SECONDS, **ports: object) -> ConsoleOverFakes:
    """A console with the busy shop behind it and time to undo."""
    console = ConsoleOverFakes(busy_shop(), **ports)  # type: ignore[arg-type]
    console.approvals.undo_seconds = undo_seconds
    return console


def open_inbox(page: Page, served: Served, query: str = "?view=team") -> None:
    """The inbox, with its scripts at work and its first evidence in the pane where there is one."""
    page.goto(f"{served.origin}/inbox{query}")
    expect(page.locator("#live-state")).not_to_be_empty()
    if (page.viewport_size or {"width": 0})["width"] >= 1200:
        expect(page.locator("#pane")).to_have_attribute("data-task", row_ids(page)[0])


def row(page: Page, decision_id: str) -> Locator:
    """The task's row."""
    return page.locator(f'tr[data-task="{decision_id}"]')


def row_ids(page: Page) -> list[str]:
    """The decisions on show, in order."""
    found: list[str] = page.eval_on_selector_all("[data-rows] > tr", "rows => rows.map(row => row.dataset.task)")
    return found


def focused(page: Page) -> str:
    """The decision whose row has the focus; empty when none has."""
    return str(page.evaluate("document.activeElement?.closest('tr')?.dataset.task ?? ''"))


def go_to(page: Page, decision_id: str) -> None:
    """Walk down to a row with the keyboard, and wait for its evidence where there is a pane for it."""
    steps = row_ids(page).index(decision_id)
    for _ in range(steps + 1):
        if focused(page) == decision_id:
            break
        page.keyboard.press("j")
    assert focused(page) == decision_id
    if page.locator("#pane").is_visible():
        expect(page.locator("#pane")).to_have_attribute("data-task", decision_id)


def toast(page: Page, words: str) -> Locator:
    """What was said."""
    return page.locator(".toast", has_text=words)

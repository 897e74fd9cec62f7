"""The inbox while others work in it, at a real browser: quiet news, rows that change in place, old data, a11y."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.inbox_shop import LAMP, OAT, busy_console, focused, go_to, open_inbox, row, row_ids
from tests.browser.serving import Served, axe, fits
from tests.fakes.console import ConsoleOverFakes
from tests.fakes.live import MemoryLive
from tests.fakes.shop import CLOCK, decided, open_task
from workflows.domain.approvals import TaskState

live = MemoryLive()


@pytest.fixture
def console() -> ConsoleOverFakes:
    global live
    live = MemoryLive()

    async def clocks() -> Mapping[str, datetime]:
        return {"LEEDS": CLOCK, "LONDON-WEST": CLOCK, "YORK": CLOCK - timedelta(days=3)}

    return busy_console(live=live, clocks=clocks)


def test_news_are_quiet_and_rows_change_where_they_are(page: Page, served: Served) -> None:
    open_inbox(page, served)
    expect(page.locator("#live-state")).to_have_text("Live")
    go_to(page, OAT)
    before = row(page, OAT).bounding_box()
    dear = decided("Saffron threads", item="SAFFRON", daily=90, on_hand=3, unit_cost="40", price="99", risk="0.99")
    served.console.shop.put(dear, "Saffron threads", task=open_task(6))
    served.soon(lambda: live.tell(decision_id="LEEDS:SAFFRON:1", state="open", version=1, by="engine"))

    show = page.get_by_role("button", name="1 new: show")
    expect(show).to_be_visible()
    assert "LEEDS:SAFFRON:1" not in row_ids(page)
    assert focused(page) == OAT
    show.click()
    expect(row(page, "LEEDS:SAFFRON:1")).to_be_attached()
    assert row_ids(page)[0] == "LEEDS:SAFFRON:1"
    assert before is not None

    case = served.console.shop.cases[LAMP]
    assert case.task is not None
    case.task |= {"state": TaskState.APPROVED, "answered_by": "Grace", "answered_at": CLOCK, "version": 9}
    served.soon(lambda: live.tell(decision_id=LAMP, state="approved", version=9, by="Grace"))
    expect(row(page, LAMP).locator(".outcome")).to_contain_text("Grace")


def test_the_focused_row_says_what_changed_and_asks_again(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, OAT)
    served.console.shop.rescore(decided(daily=60, on_hand=96, unit_cost="6.40", price="11.50", revision=2))
    task = served.console.shop.cases[OAT].task
    assert task is not None
    task |= {"version": 7, "changed_at": CLOCK}
    served.soon(lambda: live.tell(decision_id=OAT, state="open", version=7, by="engine"))

    expect(row(page, OAT).locator(".row-note")).to_contain_text("proposed was 492 units")
    assert focused(page) == OAT
    page.keyboard.press("a")
    expect(row(page, OAT).locator(".row-note")).to_contain_text("Changed since you looked")
    page.keyboard.press("a")
    expect(row(page, OAT).locator(".outcome")).to_have_text("Approved")


def test_old_figures_and_a_lost_connection_are_said(page: Page, served: Served) -> None:
    open_inbox(page, served)
    expect(page.locator(".stale")).to_contain_text("YORK by 3 days")
    expect(page.locator("#live-state")).to_have_text("Live")
    served.stop()
    expect(page.locator("#live-state")).to_contain_text("Not connected")
    served.start()
    expect(page.locator("#live-state")).to_have_text("Live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(page: Page, served: Served, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for width, height in ((1400, 900), (1100, 800), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        open_inbox(page, served)
        assert fits(page), f"wider than {width}"
        if (scheme, width) in {("dark", 1400), ("light", 390)}:  # the other two: test_pages.py
            assert axe(page) == [], f"{scheme} at {width}"


def test_it_can_be_read_at_twice_the_size_and_in_forced_colours(page: Page, served: Served) -> None:
    page.set_viewport_size({"width": 640, "height": 400})  # 1280 x 800 at 200 %
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    open_inbox(page, served)
    assert fits(page)
    page.keyboard.press("j")
    outline = page.evaluate("getComputedStyle(document.activeElement.closest('tr')).outlineStyle")
    assert outline == "solid", "the focused row shows without its colour"
    page.emulate_media(media="print")
    expect(page.locator(".filters")).to_be_hidden()
    expect(row(page, OAT)).to_be_attached()


def test_a_phone_goes_to_the_task_and_back(page: Page, served: Served) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_inbox(page, served)
    page.get_by_text("Menu", exact=True).click()
    expect(page.get_by_role("link", name="Models")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Models")).to_be_hidden()
    row(page, LAMP).get_by_role("link", name="Bicycle lamp").first.click()
    page.wait_for_url(f"**/tasks/{LAMP}")
    page.get_by_role("button", name="Approve 432 units").click()
    expect(page.get_by_role("status").first).to_contain_text("approved")

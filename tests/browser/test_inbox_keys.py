"""Keys at a real browser: one tab stop, the palette, changed keys, a morning without the mouse, and speed."""

from statistics import median

import pytest
from playwright.sync_api import Page, expect

from tests.browser.inbox_shop import LAMP, OAT, TEA, busy_console, focused, go_to, open_inbox, row, row_ids
from tests.browser.serving import Served, axe
from tests.fakes.console import ConsoleOverFakes

HIGHLIGHT_MS = 20

MEASURE = """(presses) => new Promise((resolve) => {
  const took = [];
  document.addEventListener("keydown", (event) => {
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => {
        took.push(performance.now() - event.timeStamp);
        if (took.length === presses) resolve(took);
      };
      channel.port2.postMessage(0);
    });
  }, { capture: true });
  window.ready = true;
})"""
"""From the key's own time stamp until the frame that shows its effect has been handed on."""

GROW = """(wanted) => {
  const rows = document.querySelector("[data-rows]");
  const models = [...rows.children];
  const more = document.createDocumentFragment();
  for (let n = models.length; n < wanted; n += 1) {
    const row = models[n % models.length].cloneNode(true);
    row.id = `row-copy:${n}`;
    row.dataset.task = `copy:${n}`;
    row.querySelectorAll("a, input").forEach((one) => (one.tabIndex = -1));
    more.append(row);
  }
  rows.append(more);
  return rows.children.length;
}"""


@pytest.fixture
def console() -> ConsoleOverFakes:
    return busy_console()


def test_the_list_is_one_tab_stop(page: Page, served: Served) -> None:
    open_inbox(page, served)
    page.keyboard.press("j")
    page.keyboard.press("j")
    stops = page.locator('[data-rows] [data-key-item][tabindex="0"], [data-rows] input[tabindex="0"]')
    expect(stops).to_have_count(1)
    second = focused(page)
    page.keyboard.press("Tab")
    assert focused(page) == "", "one Tab leaves the list"
    page.keyboard.press("Shift+Tab")
    assert focused(page) == second, "and one comes back to where one was"


def test_a_morning_without_the_mouse(page: Page, served: Served) -> None:
    open_inbox(page, served)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#pane")).to_be_focused()
    page.keyboard.press("]")
    second = row_ids(page)[1]
    expect(page.locator("#pane")).to_have_attribute("data-task", second)
    expect(page.locator("#pane")).to_be_focused()
    page.keyboard.press("a")
    expect(row(page, second).locator(".outcome")).to_have_text("Approved")
    page.keyboard.press("Escape")
    assert focused(page) != ""
    page.keyboard.press("x")
    page.keyboard.press("Shift+J")
    expect(page.locator("#bulk-count")).to_have_text("2 selected")
    page.keyboard.press("/")
    page.keyboard.type("oat")
    page.keyboard.press("Enter")
    page.wait_for_url("**text=oat**")
    assert row_ids(page) == [] or row_ids(page) == [OAT]
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.wait_for_url("**/inbox")


def test_the_palette_goes_and_does_and_shows_the_keys(page: Page, served: Served) -> None:
    open_inbox(page, served)
    page.keyboard.press("j")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("option", name="Approve")).to_contain_text("a")
    assert axe(page) == []
    page.keyboard.type("claim")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(row(page, TEA)).to_contain_text("claimed by Ada")
    page.keyboard.press("Control+k")
    page.keyboard.type("deliver")
    page.keyboard.press("Enter")
    page.wait_for_url("**/deliveries")


def test_a_key_can_be_changed_and_a_taken_one_is_refused(page: Page, served: Served) -> None:
    open_inbox(page, served)
    page.keyboard.press("?")
    field = page.get_by_label("Key for: Next row")
    field.press("k")
    expect(page.get_by_role("alert")).to_contain_text("Previous row")
    field.press("n")
    expect(field).to_have_value("n")
    assert axe(page) == []
    page.keyboard.press("Escape")
    page.reload()
    expect(page.locator("#live-state")).not_to_be_empty()
    page.keyboard.press("j")
    assert focused(page) == ""
    page.keyboard.press("n")
    assert focused(page) == row_ids(page)[0]


def test_single_keys_can_be_switched_off_and_stay_off(page: Page, served: Served) -> None:
    open_inbox(page, served)
    page.keyboard.press("?")
    page.get_by_label("Single-key shortcuts are on").uncheck()
    page.get_by_role("button", name="Done").click()
    page.reload()
    expect(page.locator("#live-state")).not_to_be_empty()
    page.keyboard.press("j")
    assert focused(page) == ""
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_keys_do_nothing_while_somebody_types(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, LAMP)
    page.keyboard.press("r")
    expect(page.locator('#pane [data-key="r"]')).to_be_focused()
    page.locator("#pane #reject-comment").press_sequentially("ajk u")
    expect(page.locator("#pane #reject-comment")).to_have_value("ajk u")
    expect(page.locator(".outcome")).to_have_count(0)


@pytest.mark.parametrize("rows", [100, 5_000])
def test_a_key_press_highlights_at_once(
    page: Page, served: Served, rows: int, capsys: pytest.CaptureFixture[str]
) -> None:
    open_inbox(page, served)
    assert page.evaluate(GROW, rows) == rows
    page.keyboard.press("j")
    page.evaluate(f"() => {{ window.took = ({MEASURE})(40); }}")
    page.wait_for_function("window.ready === true")
    for _ in range(40):
        page.keyboard.press("j")
    took: list[float] = page.evaluate("window.took")
    with capsys.disabled():
        print(f"\nkey press to highlight, {rows} rows: median {median(took):.1f} ms, slowest {max(took):.1f} ms")
    assert median(took) < HIGHLIGHT_MS

"""A planner's whole morning at a real browser, without a mouse; quantities that are computed; rows that are guarded."""

import pytest
from playwright.sync_api import Page, expect

from console.auth import sign_in_token
from tests.browser.inbox_shop import LAMP, OAT, TEA, busy_console, focused, go_to, open_inbox, row, row_ids, toast
from tests.browser.serving import Served, wait_until
from tests.fakes.console import KEY, ConsoleOverFakes
from workflows.domain.approvals import Meaning, TaskState

NAME = "() => document.activeElement.innerText || document.activeElement.labels?.[0]?.innerText"


@pytest.fixture
def console() -> ConsoleOverFakes:
    return busy_console()


def given(served: Served, decision_id: str) -> list[dict[str, object]]:
    """The answers that stand on a task."""
    return [one for one in served.console.shop.cases[decision_id].approvals if not one["voided_at"]]


def tab_to(page: Page, name: str) -> None:
    """Walk with Tab until the link, field or button of this name has the focus."""
    for _ in range(40):
        here: str | None = page.evaluate(NAME)
        if (here or "").startswith(name):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reaches {name}")


def test_from_sign_in_to_the_last_task_without_a_mouse(page: Page, served: Served) -> None:
    cases = served.console.shop.cases
    for decision_id in [key for key in cases if key not in (LAMP, OAT, TEA)]:
        del cases[decision_id]
    page.context.clear_cookies()
    page.goto(f"{served.origin}/inbox?view=team")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    tab_to(page, "Token")
    page.keyboard.insert_text(sign_in_token(KEY, "Ada"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Inbox")
    expect(page.locator("#live-state")).not_to_be_empty()
    if "view=team" not in page.url:
        tab_to(page, "My team")
        page.keyboard.press("Enter")
        page.wait_for_url("**view=team**")
    expect(page.locator("#pane")).to_have_attribute("data-task", row_ids(page)[0])
    order = row_ids(page)
    page.keyboard.press("j")
    page.keyboard.press("a")
    if not given(served, order[0]) and row(page, order[0]).locator(".row-note").filter(has_text="again").count():
        page.keyboard.press("a")
    expect(row(page, order[0]).locator(".outcome")).to_have_text("Approved")
    assert focused(page) == order[1]
    page.keyboard.press("e")
    expect(page.locator('#pane [data-key="e"]')).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("120")
    page.keyboard.press("Enter")
    expect(row(page, order[1]).locator(".outcome")).to_have_text("Approved")
    assert focused(page) == order[2]
    page.keyboard.press("r")
    expect(page.locator('#pane [data-key="r"]')).to_be_focused()
    page.keyboard.press("ArrowDown")
    tab_to(page, "Reject")
    page.keyboard.press("Enter")
    expect(page.locator("#finished")).to_be_focused()
    wait_until(lambda: all(given(served, one) for one in order), "an answer is missing")
    said = [given(served, one)[0]["meaning"] for one in order]
    assert said == [Meaning.APPROVE, Meaning.APPROVE_EDITED, Meaning.REJECT]
    assert given(served, order[1])[0]["units"] == 120


def test_another_quantity_is_computed_while_it_is_typed(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, OAT)
    page.keyboard.press("e")
    expect(page.locator('#pane [data-key="e"]')).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("240")
    beside = page.get_by_role("table", name="Beside the proposal")
    expect(beside.get_by_role("row", name="Units")).to_contain_text("492240")
    expect(beside.get_by_role("row", name="Value")).to_contain_text("1,536.00 EUR")
    first = beside.get_by_role("row", name="Expected cost").inner_text()
    page.keyboard.press("Control+a")
    page.keyboard.type("480")
    expect(beside.get_by_role("row", name="Value")).to_contain_text("3,072.00 EUR")
    assert beside.get_by_role("row", name="Expected cost").inner_text() != first
    page.keyboard.press("Enter")
    expect(toast(page, "Approved 480 instead of 492")).to_be_visible()
    wait_until(lambda: given(served, OAT), "the answer did not arrive")
    assert [one["units"] for one in given(served, OAT)] == [480]


def test_without_scripts_a_button_computes_it(plain_page: Page, served: Served) -> None:
    page = plain_page
    page.goto(f"{served.origin}/tasks/{OAT}")
    page.get_by_label("What would another quantity cost?").fill("240")
    page.get_by_role("button", name="Compute").click()
    beside = page.get_by_role("table", name="Beside the proposal")
    expect(beside.get_by_role("row", name="Value")).to_contain_text("1,536.00 EUR")
    expect(page.get_by_role("spinbutton", name="Units")).to_have_value("240")
    page.get_by_role("button", name="Approve this quantity").click()
    expect(page.get_by_role("status").first).to_contain_text("240 units")
    assert [one["units"] for one in given(served, OAT)] == [240]


def test_guarded_and_signed_rows_are_told_apart_and_never_slip_into_a_bulk_approval(
    any_page: Page, served: Served
) -> None:
    page = any_page
    page.goto(f"{served.origin}/inbox?view=team")
    for one in (LAMP, TEA, "LEEDS:COFFEE-1KG:1"):
        row(page, one).get_by_role("checkbox").check()
    page.get_by_role("button", name="Approve…").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Approve")
    apart = page.get_by_role("region", name="not included")
    expect(apart.get_by_role("listitem").filter(has_text="Coffee beans")).to_be_visible()
    page.get_by_role("main").get_by_role("button", name="Approve").click()
    expect(page.get_by_role("row", name="Bicycle lamp")).to_contain_text("Counted")
    state = served.console.shop.cases["LEEDS:COFFEE-1KG:1"].task
    assert state is not None
    assert state["state"] == TaskState.OPEN
    assert given(served, "LEEDS:COFFEE-1KG:1") == []
    assert given(served, LAMP)[0]["meaning"] is Meaning.APPROVE

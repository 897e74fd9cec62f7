"""Claim, snooze, forward, comment and many at once at a real browser, with scripts and without."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.inbox_shop import LAMP, MUG, OAT, TEA, busy_console, focused, go_to, open_inbox, row, row_ids, toast
from tests.browser.serving import Served, axe, wait_until
from tests.fakes.console import ConsoleOverFakes
from workflows.domain.approvals import TaskState


@pytest.fixture
def console() -> ConsoleOverFakes:
    return busy_console()


def task(served: Served, decision_id: str) -> dict[str, object]:
    """What is stored of the task."""
    return served.console.shop.cases[decision_id].task or {}


def test_a_claim_is_one_key_and_so_is_giving_it_back(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, LAMP)
    page.keyboard.press("l")
    expect(row(page, LAMP)).to_contain_text("claimed by Ada")
    assert focused(page) == LAMP, "the row was replaced under the focus"
    page.keyboard.press("l")
    expect(row(page, LAMP)).not_to_contain_text("claimed by Ada")
    assert task(served, LAMP)["claimed_by"] is None


def test_a_task_sleeps_until_something_arrives(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, LAMP)
    page.keyboard.press("z")
    dialog = page.get_by_role("dialog", name="Not now")
    dialog.get_by_label("something of the item arrives").check()
    assert axe(page) == []
    dialog.get_by_role("button", name="Snooze").click()

    expect(toast(page, "Snoozed")).to_be_visible()
    expect(row(page, LAMP)).to_contain_text("until something of the item arrives")
    page.keyboard.press("z")
    expect(row(page, LAMP)).not_to_contain_text("until something of the item arrives")


def test_a_typed_comment_survives_a_failed_request_and_a_reload(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, LAMP)
    page.keyboard.press("c")
    dialog = page.get_by_role("dialog", name="Comment")
    dialog.get_by_label("Comment").fill("Is the new lamp in the catalogue yet?")
    served.stop()
    dialog.get_by_role("button", name="Keep it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("kept")
    served.start()
    page.reload()
    go_to(page, LAMP)
    page.keyboard.press("c")
    expect(dialog.get_by_label("Comment")).to_have_value("Is the new lamp in the catalogue yet?")
    dialog.get_by_role("button", name="Keep it").click()
    expect(toast(page, "Your comment is kept")).to_be_visible()
    said = task(served, LAMP)["comments"]
    assert [one.text for one in said] == ["Is the new lamp in the catalogue yet?"]  # type: ignore[attr-defined]


def test_forwarding_to_somebody_unknown_says_why_and_keeps_the_dialog(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, LAMP)
    page.keyboard.press("f")
    dialog = page.get_by_role("dialog", name="Hand it to somebody")
    dialog.get_by_label("To").fill("Nobody")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("Nobody may not answer")
    dialog.get_by_label("To").fill("Bob")
    page.keyboard.press("Enter")
    expect(row(page, LAMP)).to_contain_text("to Bob")


def test_everything_can_be_done_without_scripts(plain_page: Page, served: Served) -> None:
    page = plain_page
    page.goto(f"{served.origin}/inbox")
    row(page, LAMP).get_by_role("link", name="More").click()
    page.get_by_role("button", name="Claim", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("You work on it now")
    page.get_by_role("button", name="Give it back").click()
    expect(page.get_by_role("status").first).to_contain_text("given back")
    page.get_by_label("Comment", exact=True).fill("two colours")
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_text("two colours")).to_be_visible()
    page.get_by_role("button", name="Snooze").click()
    expect(page.get_by_role("alert")).to_contain_text("Say until when")
    page.get_by_label("the forecast moves by more than").check()
    page.get_by_role("button", name="Snooze").click()
    page.get_by_role("button", name="Wake it").click()
    expect(page.get_by_role("status").first).to_contain_text("back in the inbox")
    page.get_by_label("To", exact=True).fill("Bob")
    page.get_by_role("button", name="Forward").click()
    expect(page.get_by_text("It is with Bob")).to_be_visible()
    page.get_by_role("button", name="Score again").click()
    assert served.console.work.rescores_asked == [LAMP]


def test_a_view_with_filters_is_saved_and_forgotten(any_page: Page, served: Served) -> None:
    page = any_page
    page.goto(f"{served.origin}/inbox")
    page.get_by_text("Filters", exact=True).click()
    page.get_by_role("search").get_by_role("combobox", name="Location", exact=True).select_option("YORK")
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**location=YORK**")
    assert all(one.startswith("YORK:") for one in row_ids(page))
    page.get_by_text("Save this view").click()
    page.get_by_label("Name", exact=True).fill("My York")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="My York")).to_have_attribute("aria-current", "page")
    page.get_by_role("button", name="Forget the view My York").click()
    expect(page.get_by_role("link", name="My York")).to_have_count(0)


def test_many_are_approved_with_one_answer_for_each_row(any_page: Page, served: Served) -> None:
    page = any_page
    page.goto(f"{served.origin}/inbox?view=team")
    for one in (LAMP, MUG, OAT):
        row(page, one).get_by_role("checkbox").check()
    page.get_by_role("button", name="Approve…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Approve 3 tasks?")
    expect(page.get_by_role("row", name="northern-foods")).to_contain_text("3,148.80 EUR")
    task(served, MUG).update(state=TaskState.EXPIRED)
    page.get_by_role("button", name="Approve 3 tasks").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("2 of 3 approved")
    expect(page.get_by_role("row", name="Enamel mug")).to_contain_text("Refused")
    assert [task(served, one)["state"] for one in (LAMP, OAT)] == [TaskState.APPROVED] * 2


def test_rows_above_the_limit_never_slip_into_a_bulk_answer(plain_page: Page, served: Served) -> None:
    page = plain_page
    served.sign_in(page, "Pia")
    page.goto(f"{served.origin}/inbox?view=team")
    small = next(one for one in row_ids_plain(page) if one.startswith("LEEDS:CANDLE"))
    for one in (small, OAT):
        row(page, one).get_by_role("checkbox").check()
    page.get_by_role("button", name="Approve…").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Approve 1 task?")
    expect(page.get_by_text("Above your limit of 500.00 EUR")).to_be_visible()
    page.get_by_role("button", name="Approve 1 task").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("1 of 1 approved")
    assert task(served, OAT)["state"] == TaskState.OPEN
    assert row(page, TEA).count() == 0


def row_ids_plain(page: Page) -> list[str]:
    """The decisions on show, read without scripts on the page."""
    rows = page.locator("[data-rows] > tr")
    return [rows.nth(n).get_attribute("data-task") or "" for n in range(rows.count())]


def test_a_substitute_is_named_for_some_days(plain_page: Page, served: Served) -> None:
    page = plain_page
    page.goto(f"{served.origin}/inbox/away")
    page.get_by_label("Who stands in for you").fill("Bob")
    page.get_by_label("First day").fill("2099-12-01")
    page.get_by_label("Last day").fill("2099-11-01")
    page.get_by_role("button", name="Name the substitute").click()
    expect(page.get_by_role("alert")).to_contain_text("The last day is before the first one")
    page.get_by_label("Last day").fill("2099-12-24")
    page.get_by_role("button", name="Name the substitute").click()
    expect(page.get_by_role("row", name="Ada")).to_contain_text("1 Dec 2099 to 24 Dec 2099")
    page.get_by_role("button", name="Take back").click()
    wait_until(lambda: not served.console.inbox.substitutes, "the substitute was not taken back")

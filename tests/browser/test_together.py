"""Several people at one task, each at a browser of their own: who wins is stored, and everybody else is told."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.inbox_shop import LAMP, OAT, TEA, busy_console, focused, go_to, open_inbox, row, row_ids, toast
from tests.browser.serving import Served, beside, wait_until
from tests.fakes.console import ConsoleOverFakes
from tests.fakes.live import MemoryLive
from tests.fakes.shop import decided, open_task
from workflows.domain.approvals import TaskState

PRESS_SOON = """() => {
  const pressed = new KeyboardEvent("keydown", { key: "a", bubbles: true, cancelable: true });
  setTimeout(() => document.activeElement.dispatchEvent(pressed));
}"""
"""A press that the browser does by itself, while the test presses at the other one."""
live = MemoryLive()


@pytest.fixture
def console() -> ConsoleOverFakes:
    global live
    live = MemoryLive()
    return busy_console(live=live)


def answers(served: Served, decision_id: str) -> list[tuple[object, object]]:
    """Who gave which answer that stands."""
    given = served.console.shop.cases[decision_id].approvals
    return [(one["actor"], one["units"]) for one in given if one["voided_at"] is None]


def changed(served: Served, decision_id: str, **to: object) -> None:
    """The task changes in the storage, and the pages hear of it."""
    task = served.console.shop.cases[decision_id].task
    assert task is not None
    version = int(task.get("version", 1)) + 1
    task.update({**to, "version": version})
    state, by = str(task["state"]), str(to.get("answered_by") or "engine")
    served.soon(lambda: live.tell(decision_id=decision_id, state=state, version=version, by=by))


def test_two_planners_race_for_one_task(page: Page, served: Served, chromium: Browser) -> None:
    with beside(chromium, served, "Bob") as bob:
        for one in (page, bob):
            open_inbox(one, served)
            go_to(one, LAMP)
            expect(one.locator("#pane")).to_have_attribute("data-task", LAMP)
        page.evaluate(PRESS_SOON)
        bob.keyboard.press("a")
        wait_until(lambda: answers(served, LAMP), "nobody's answer arrived")
        winner = answers(served, LAMP)[0][0]
        first, second = (page, bob) if winner == "Ada" else (bob, page)
        expect(toast(first, "Approved 432")).to_be_visible()
        expect(toast(second, "Not counted")).to_be_visible()
        expect(row(second, LAMP).locator(".outcome")).to_contain_text(str(winner))
        assert answers(served, LAMP) == [(winner, None)], "one answer stands"
        assert len(served.console.channel.told) == 1, "the engine hears of it once"


def test_without_scripts_whoever_comes_second_is_told_on_a_page(
    plain_page: Page, served: Served, chromium: Browser
) -> None:
    with beside(chromium, served, "Bob", scripts=False) as bob:
        for one in (plain_page, bob):
            one.goto(f"{served.origin}/tasks/{LAMP}")
        bob.get_by_label("Reason").select_option("not_needed")
        bob.get_by_role("button", name="Reject", exact=True).click()
        expect(bob.get_by_role("status").first).to_contain_text("rejected")
    plain_page.get_by_role("button", name="Approve 432 units").click()
    expect(plain_page.get_by_role("heading", level=1)).to_have_text("Somebody answered before you")
    expect(plain_page.get_by_role("alert")).to_contain_text("Rejected by Bob")
    plain_page.get_by_role("link", name="See the answer").click()
    expect(plain_page.get_by_role("status").first).to_contain_text("Bob")
    assert [who for who, _ in answers(served, LAMP)] == ["Bob"]


def test_a_claim_of_another_is_seen_at_once_and_holds_nobody_back(
    page: Page, served: Served, chromium: Browser
) -> None:
    with beside(chromium, served, "Bob") as bob:
        open_inbox(bob, served)
        open_inbox(page, served)
        go_to(page, LAMP)
        go_to(bob, LAMP)
        bob.keyboard.press("l")
        expect(row(bob, LAMP)).to_contain_text("claimed by Bob")
        changed(served, LAMP)
        expect(row(page, LAMP)).to_contain_text("claimed by Bob")
        assert focused(page) == LAMP
        page.keyboard.press("l")
        expect(toast(page, "Bob works on it")).to_be_visible()
        page.keyboard.press("a")
        if row(page, LAMP).locator(".row-note").filter(has_text="Bob").count():
            page.keyboard.press("a")
        expect(row(page, LAMP).locator(".outcome")).to_have_text("Approved")


def test_what_expires_while_somebody_looks_is_told_and_cannot_be_answered(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, TEA)
    changed(served, TEA, state=TaskState.EXPIRED)
    expect(row(page, TEA).locator(".outcome")).to_contain_text("Expired")

    go_to(page, LAMP)
    served.console.shop.cases[LAMP].task.update(state=TaskState.EXPIRED)  # type: ignore[union-attr]
    page.keyboard.press("a")
    expect(toast(page, "Not counted")).to_be_visible()
    expect(row(page, LAMP).locator(".outcome")).to_contain_text("Expired")
    assert answers(served, LAMP) == answers(served, TEA) == []


def test_without_scripts_an_expired_task_says_so(plain_page: Page, served: Served) -> None:
    page = plain_page
    page.goto(f"{served.origin}/tasks/{LAMP}")
    served.console.shop.cases[LAMP].task.update(state=TaskState.EXPIRED)  # type: ignore[union-attr]
    page.get_by_role("button", name="Approve 432 units").click()
    expect(page.get_by_role("alert")).to_contain_text("Your answer was not counted")
    expect(page.get_by_role("main")).to_contain_text("expired")
    page.goto(f"{served.origin}/tasks/{LAMP}")
    expect(page.get_by_role("button", name="Approve 432 units")).to_have_count(0)
    assert answers(served, LAMP) == []


def test_without_scripts_a_stale_answer_shows_the_difference_in_words(plain_page: Page, served: Served) -> None:
    page = plain_page
    page.goto(f"{served.origin}/tasks/{OAT}")
    served.console.shop.rescore(decided(daily=60, on_hand=96, unit_cost="6.40", price="11.50", revision=2))
    page.get_by_role("button", name="Approve 492 units").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The proposal changed while you looked at it")
    expect(page.get_by_role("listitem").filter(has_text="492 units")).to_be_visible()
    assert answers(served, OAT) == []
    page.get_by_text("You saw this, now it is that").click()
    expect(page.get_by_role("row", name="Units")).to_contain_text("492")
    page.get_by_role("link", name="Look again").click()
    units = served.console.shop.cases[OAT].decided.decision.result.units  # type: ignore[union-attr]
    page.get_by_role("button", name=f"Approve {units:,} units").click()
    expect(page.get_by_role("status").first).to_contain_text("approved")
    assert [who for who, _ in answers(served, OAT)] == ["Ada"]


def test_new_rows_never_move_the_one_that_has_the_focus(page: Page, served: Served) -> None:
    open_inbox(page, served)
    expect(page.locator("#live-state")).to_have_text("Live")
    go_to(page, LAMP)
    before = row(page, LAMP).bounding_box()
    order = row_ids(page)
    for number in range(3):
        one = decided(f"Spice {number}", item=f"SPICE-{number}", daily=80, on_hand=2, unit_cost="30", price="90")
        served.console.shop.put(one, f"Spice {number}", task=open_task(5))
        served.soon(lambda n=number: live.tell(decision_id=f"LEEDS:SPICE-{n}:1", state="open", version=1, by="engine"))  # type: ignore[misc]
    expect(page.get_by_role("button", name="3 new: show")).to_be_visible()
    after = row(page, LAMP).bounding_box()
    assert row_ids(page) == order
    assert focused(page) == LAMP
    assert before == after, "the row under somebody's eyes moved"

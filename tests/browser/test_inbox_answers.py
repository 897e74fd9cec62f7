"""Answering at a real browser: one key, undo, edit, reject, guards, stale proposals, a rival, a restart."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.inbox_shop import LAMP, OAT, TEA, busy_console, focused, go_to, open_inbox, row, row_ids, toast
from tests.browser.serving import Served, wait_until
from tests.fakes.console import ConsoleOverFakes
from tests.fakes.shop import decided
from workflows.domain.approvals import Actor, Meaning, RejectReason, TaskState, VerdictCommand


@pytest.fixture
def console() -> ConsoleOverFakes:
    return busy_console()


def given(served: Served, decision_id: str) -> list[dict[str, object]]:
    """The answers that stand on a task."""
    return [one for one in served.console.shop.cases[decision_id].approvals if not one.get("voided_at")]


def test_one_key_approves_goes_on_and_can_be_undone(page: Page, served: Served) -> None:
    open_inbox(page, served)
    first = TEA
    second = row_ids(page)[row_ids(page).index(TEA) + 1]
    go_to(page, TEA)
    page.keyboard.press("a")

    expect(row(page, first).locator(".outcome")).to_have_text("Approved")
    assert focused(page) == second
    expect(page.locator("#progress")).to_have_text("1 of 20 done")
    expect(toast(page, "Approved 168")).to_contain_text("Undo (u)")
    assert [one["meaning"] for one in given(served, first)] == [Meaning.APPROVE]

    page.keyboard.press("u")
    expect(toast(page, "Taken back")).to_be_visible()
    expect(row(page, first).locator(".outcome")).to_have_count(0)
    assert focused(page) == first
    assert served.console.shop.cases[first].task["state"] == TaskState.OPEN  # type: ignore[index]
    expect(page.locator("#progress")).to_be_hidden()


def test_an_undo_that_comes_too_late_says_so(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, TEA)
    page.keyboard.press("a")
    expect(toast(page, "Undo (u)")).to_be_visible()
    served.console.shop.cases[TEA].order = {"order_id": "O:1", "state": "sending"}

    page.get_by_role("button", name="Undo (u)").click()

    expect(toast(page, "Not undone")).to_be_visible()
    expect(row(page, TEA).locator(".outcome")).to_have_text("Approved")


def test_another_quantity_is_typed_in_the_pane(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, OAT)
    page.keyboard.press("e")
    expect(page.locator('#pane [data-key="e"]')).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("240")
    page.keyboard.press("Enter")

    expect(toast(page, "Approved 240 instead of 492")).to_be_visible()
    assert [one["units"] for one in given(served, OAT)] == [240]
    assert focused(page) != OAT


def test_a_rejection_needs_its_reason(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, LAMP)
    page.keyboard.press("r")
    reason = page.locator('#pane [data-key="r"]')
    expect(reason).to_be_focused()
    page.get_by_role("button", name="Reject", exact=True).click()
    assert given(served, LAMP) == []
    reason.select_option("too_much")
    page.get_by_role("button", name="Reject", exact=True).click()

    expect(row(page, LAMP).locator(".outcome")).to_have_text("Rejected")
    wait_until(lambda: given(served, LAMP), "the rejection did not arrive")
    assert given(served, LAMP)[0]["reason"] is RejectReason.TOO_MUCH


def test_what_is_above_the_own_limit_asks_twice_and_is_rolled_back_with_the_reason(page: Page, served: Served) -> None:
    served.sign_in(page, "Pia")
    open_inbox(page, served)
    first = row_ids(page)[0]
    page.keyboard.press("j")
    page.keyboard.press("a")
    expect(row(page, first).locator(".row-note")).to_contain_text("Above your limit of 500.00 EUR")
    assert focused(page) == first
    page.keyboard.press("Escape")
    expect(row(page, first).locator(".row-note")).to_have_count(0)
    page.keyboard.press("a")
    page.keyboard.press("a")

    expect(toast(page, "Not counted")).to_be_visible()
    expect(row(page, first).locator(".outcome")).to_have_count(0)
    expect(row(page, first).locator(".row-note")).to_contain_text("Not counted")
    assert given(served, first) == []


def test_a_stale_answer_shows_what_changed_and_one_press_more_approves(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, OAT)
    served.console.shop.rescore(decided(daily=50, on_hand=96, unit_cost="6.40", price="11.50", revision=2))
    page.keyboard.press("a")

    expect(row(page, OAT).locator(".row-note")).to_contain_text("Changed")
    expect(row(page, OAT).locator(".outcome")).to_have_count(0)
    page.get_by_role("button", name="Look at it").click()
    assert focused(page) == OAT
    page.keyboard.press("a")
    expect(row(page, OAT).locator(".outcome")).to_have_text("Approved")
    wait_until(lambda: given(served, OAT), "the second approval did not arrive")
    now = served.console.shop.cases[OAT].decided.decision
    assert given(served, OAT)[0]["proposal_hash"] == now.proposal_hash


async def _rival(console: ConsoleOverFakes) -> None:
    decision = console.shop.cases[LAMP].decided.decision
    command = VerdictCommand(
        command_id="rival-command", decision_id=LAMP, proposal_hash=decision.proposal_hash, meaning=Meaning.APPROVE
    )
    await console.approvals.record(command, Actor(name="Bob"))


def test_whoever_comes_second_is_told_who_was_first(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, LAMP)
    served.run(_rival(served.console))
    page.keyboard.press("a")

    expect(toast(page, "Not counted")).to_be_visible()
    expect(row(page, LAMP).locator(".outcome")).to_contain_text("Bob")
    assert [one["actor"] for one in given(served, LAMP)] == ["Bob"]


def test_the_last_answer_says_what_happens_next(page: Page, served: Served) -> None:
    keep = {OAT}
    cases = served.console.shop.cases
    for decision_id in [key for key in cases if key not in keep]:
        del cases[decision_id]
    cases[OAT].task.update(claimed_by=None)  # type: ignore[union-attr]
    open_inbox(page, served)
    page.keyboard.press("j")
    page.keyboard.press("a")

    expect(page.locator("#finished")).to_be_focused()
    expect(page.locator("#finished")).to_contain_text("Nothing is left in this view")


def test_a_server_that_restarts_while_a_planner_types_loses_nothing(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, OAT)
    page.keyboard.press("r")
    expect(page.locator('#pane [data-key="r"]')).to_be_focused()
    page.locator("#pane #reject-comment").fill("the shelf is being rebuilt")
    page.reload()
    expect(page.locator("#pane")).to_have_attribute("data-task", OAT)
    expect(page.locator("#pane #reject-comment")).to_have_value("the shelf is being rebuilt")

    page.locator('#pane [data-key="r"]').select_option("other")
    served.stop()
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(row(page, OAT).locator(".row-note")).to_contain_text("Not sent yet")
    assert given(served, OAT) == []

    served.start()
    expect(toast(page, "Rejected 492").first).to_be_visible()
    wait_until(lambda: given(served, OAT), "the rejection did not arrive after the restart")
    assert [one["comment"] for one in given(served, OAT)] == ["the shelf is being rebuilt"]


def test_an_answer_that_a_reload_interrupted_is_sent_under_the_same_key(page: Page, served: Served) -> None:
    open_inbox(page, served)
    keys: list[str] = []
    page.on("request", lambda asked: keys.append(asked.headers.get("idempotency-key", "")))
    page.route("**/verdict", lambda route: route.abort())
    go_to(page, LAMP)
    page.keyboard.press("a")
    expect(row(page, LAMP).locator(".row-note")).to_contain_text("Not sent yet")
    page.unroute("**/verdict")
    page.reload()

    expect(toast(page, "Approved 432").first).to_be_visible()
    assert len({key for key in keys if key}) == 1
    assert len(given(served, LAMP)) == 1

"""Four eyes at a real browser: two people sign one order, and nobody signs twice or under rules of their own."""

from decimal import Decimal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.inbox_shop import OAT, busy_console, go_to, open_inbox, row, toast
from tests.browser.serving import Served, axe, beside, wait_until
from tests.fakes.console import ConsoleOverFakes
from workflows.domain.approvals import TaskState
from workflows.domain.authority import PolicyStep
from workflows.domain.policies import Policy

TWO = Policy(four_eyes_above=Decimal(2000))
"""The oat drink for 3,148.80 EUR needs two people."""


@pytest.fixture
def console() -> ConsoleOverFakes:
    console = busy_console()
    console.shop.policy = TWO
    task(console).update(signatures_needed=2, claimed_by=None, comments=[])
    return console


def task(console: ConsoleOverFakes) -> dict[str, object]:
    """What is stored of the task."""
    found = console.shop.cases[OAT].task
    assert found is not None
    return found


def sign(page: Page, served: Served, note: str) -> None:
    """Sign the proposed quantity on the task's own page, with a note."""
    page.goto(f"{served.origin}/tasks/{OAT}")
    page.get_by_label("Comment").and_(page.locator("input")).fill(note)
    page.get_by_role("button", name="Sign this quantity").click()
    expect(page.get_by_role("status").first).to_contain_text("Your answer is recorded")


def test_the_second_person_sees_the_first_ones_note_and_signs(any_page: Page, served: Served) -> None:
    page, address = any_page, f"{served.origin}/tasks/{OAT}"
    sign(page, served, "The promotion is in the forecast, I checked")
    assert task(served.console)["state"] == TaskState.OPEN, "one signature is not enough"
    assert served.console.channel.told == [], "nothing goes out on one signature"
    page.goto(address)
    page.get_by_role("button", name="Sign this quantity").click()
    expect(page.get_by_role("alert")).to_contain_text("Ada has signed this already: another person must sign it too")

    served.sign_in(page, "Grace")
    page.goto(address)
    expect(page.get_by_role("status").filter(has_text="signed first")).to_contain_text("Ada signed first")
    expect(page.get_by_role("status").filter(has_text="signed first")).to_contain_text(
        "The promotion is in the forecast"
    )
    expect(page.get_by_text("Yours would be the second signature")).to_be_visible()
    page.get_by_role("button", name="Sign this quantity").click()
    expect(page.get_by_role("status").first).to_contain_text("Your answer is recorded")
    assert task(served.console)["state"] == TaskState.APPROVED
    assert task(served.console)["answered_by"] == "Grace"
    assert [one["actor"] for one in served.console.shop.cases[OAT].approvals] == ["Ada", "Grace"]


def test_the_second_person_may_say_no(plain_page: Page, served: Served) -> None:
    page = plain_page
    sign(page, served, "")
    served.sign_in(page, "Grace")
    page.goto(f"{served.origin}/tasks/{OAT}")
    page.get_by_label("Reason").select_option("too_much")
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("rejected")
    assert task(served.console)["state"] == TaskState.REJECTED
    first = served.console.shop.cases[OAT].approvals[0]
    assert first["voided_at"] is not None, "the first signature counts no more"


def test_two_people_sign_with_one_key_each(page: Page, served: Served, chromium: Browser) -> None:
    open_inbox(page, served)
    go_to(page, OAT)
    page.keyboard.press("a")
    expect(row(page, OAT).locator(".outcome")).to_have_text("Signed, 1 of 2")

    with beside(chromium, served, "Grace") as grace:
        open_inbox(grace, served)
        expect(row(grace, OAT)).to_contain_text("signed by Ada, 1 of 2")
        assert axe(grace) == []
        go_to(grace, OAT)
        grace.keyboard.press("a")
        expect(row(grace, OAT).locator(".row-note")).to_contain_text("Ada signed first")
        grace.keyboard.press("a")
        expect(row(grace, OAT).locator(".outcome")).to_have_text("Approved")
        wait_until(lambda: task(served.console)["state"] == TaskState.APPROVED, "the second signature did not arrive")


def test_who_changed_the_limits_does_not_approve_under_them(page: Page, served: Served) -> None:
    eased = TWO.model_copy(update={"version": 2, "four_eyes_above": None})
    served.console.shop.policy = eased
    served.console.shop.steps = [PolicyStep(before=TWO, after=eased, author="Ada", adopter="Bob")]
    task(served.console).update(signatures_needed=1)
    open_inbox(page, served)
    go_to(page, OAT)
    page.keyboard.press("a")
    expect(toast(page, "Not counted")).to_contain_text("Ada had a part in version 2 of the policy")
    expect(toast(page, "Not counted")).to_contain_text("somebody else must approve it")
    expect(row(page, OAT).locator(".outcome")).to_have_count(0)
    assert task(served.console)["state"] == TaskState.OPEN

    served.sign_in(page, "Bob")
    page.goto(f"{served.origin}/tasks/{OAT}")
    page.get_by_role("button", name="Approve 492 units").click()
    expect(page.get_by_role("main")).to_contain_text("Bob had a part in version 2 of the policy")
    assert task(served.console)["state"] == TaskState.OPEN

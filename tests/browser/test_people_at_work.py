"""Who may do what, at a real browser: viewers, people who are added, accounts, and sessions that end."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.inbox_shop import OAT, busy_console, go_to, open_inbox, row, toast
from tests.browser.serving import Served, beside, wait_until
from tests.fakes.console import ConsoleOverFakes
from workflows.domain.names import is_reference
from workflows.domain.people import Role, newcomer

WORDS = "the shelf is being rebuilt until Friday"


@pytest.fixture
def console() -> ConsoleOverFakes:
    return busy_console()


def comments(served: Served) -> list[object]:
    """What was said with the answers that stand."""
    return [one["comment"] for one in served.console.shop.cases[OAT].approvals if not one["voided_at"]]


def test_a_viewer_sees_all_and_answers_nothing(any_page: Page, served: Served) -> None:
    page = any_page
    page.goto(f"{served.origin}/tasks/{OAT}")
    form = page.locator("#approve")
    fields = {
        name: form.locator(f"[name={name}]").first.get_attribute("value") for name in ("proposal_hash", "command_id")
    }
    served.sign_in(page, "Vera")
    page.goto(f"{served.origin}/inbox?view=team")
    expect(page.get_by_role("checkbox", name="Select Oat drink")).to_have_count(0)
    page.goto(f"{served.origin}/tasks/{OAT}")
    expect(page.get_by_text("You may look at this and not answer it")).to_be_visible()
    for name in ("Approve", "Sign", "Reject"):
        expect(page.get_by_role("main").get_by_role("button", name=name)).to_have_count(0)
    csrf = page.locator("input[name=csrf]").first.get_attribute("value")
    answer = page.request.post(
        f"{served.origin}/tasks/{OAT}/verdict", form={**fields, "meaning": "approve", "csrf": csrf},  # type: ignore[dict-item]
        headers={"Origin": served.origin},
    )  # fmt: skip
    assert answer.status == 403
    assert comments(served) == []
    assert ("Vera", f"POST /tasks/{OAT}/verdict") in [(who, what) for who, what, _ in served.console.people.refusals]


def test_a_viewer_at_the_keyboard_is_told_why_nothing_happens(page: Page, served: Served) -> None:
    served.sign_in(page, "Vera")
    open_inbox(page, served)
    go_to(page, OAT)
    page.keyboard.press("a")
    expect(row(page, OAT).locator(".outcome")).to_have_count(0)
    expect(page.locator("#pane")).to_contain_text("You may look at this and not answer it")
    assert comments(served) == []


def test_an_answer_outlives_the_session_that_it_was_given_in(page: Page, served: Served) -> None:
    open_inbox(page, served)
    go_to(page, OAT)
    page.keyboard.press("r")
    pane = page.get_by_role("region", name="Evidence")
    pane.get_by_label("Reason").select_option("other")
    pane.get_by_label("Comment").and_(page.locator("textarea")).fill(WORDS)
    served.console.sessions.kept.clear()
    pane.get_by_role("button", name="Reject", exact=True).click()
    expect(toast(page, "You are signed out")).to_be_visible()
    assert comments(served) == []

    served.sign_in(page)
    open_inbox(page, served)
    expect(toast(page, "Rejected 492")).to_be_visible()
    wait_until(lambda: comments(served), "the answer was not sent after the new sign-in")
    assert comments(served) == [WORDS]


def test_what_was_typed_on_a_tasks_own_page_outlives_the_session_too(page: Page, served: Served) -> None:
    page.goto(f"{served.origin}/tasks/{OAT}")
    page.get_by_label("Reason").select_option("other")
    page.get_by_label("Comment").and_(page.locator("textarea")).fill(WORDS)
    served.console.sessions.kept.clear()
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")

    served.sign_in(page)
    page.goto(f"{served.origin}/tasks/{OAT}")
    expect(page.get_by_label("Comment").and_(page.locator("textarea"))).to_have_value(WORDS)
    expect(page.get_by_label("Reason")).to_have_value("other")
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("rejected")
    assert comments(served) == [WORDS]
    expect(page.locator("#live-state")).not_to_be_empty()
    kept = page.evaluate("Object.keys(sessionStorage).filter((key) => key.includes('.draft.')).length")
    assert kept == 0, "what was sent is forgotten"


def test_somebody_is_added_and_works_at_one_place(any_page: Page, served: Served, chromium: Browser) -> None:
    page = any_page
    served.sign_in(page, "Adam")
    page.goto(f"{served.origin}/people")
    page.get_by_label("Name").fill("Nora")
    page.get_by_role("checkbox", name="Planner").check()
    page.get_by_role("radio", name="Only at these locations").check()
    page.get_by_label("Location codes").fill("YORK")
    page.get_by_label("Highest value").fill("250")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Nora")
    expect(page.get_by_role("listitem").filter(has_text="YORK").first).to_be_visible()
    with beside(chromium, served, "Nora") as nora:
        nora.goto(f"{served.origin}/tasks/{OAT}")
        expect(nora.get_by_text("You may look at this and not answer it")).to_be_visible()
        page.get_by_role("checkbox", name="Disabled").check()
        page.get_by_role("button", name="Save").click()
        nora.goto(f"{served.origin}/inbox")
        expect(nora.get_by_role("heading", level=1)).to_have_text("Sign in")
    [nora_as_kept] = [one for one in served.console.people.known.values() if one.called == "Nora"]
    assert nora_as_kept.roles == {Role.PLANNER}
    assert is_reference(nora_as_kept.name)

    page.goto(f"{served.origin}/people")
    page.get_by_label("Name").fill("Nora")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("There is Nora already")
    expect(page.get_by_label("Name")).to_have_value("Nora")


def test_somebody_is_erased_by_who_writes_their_name(page: Page, served: Served) -> None:
    nora = newcomer("Nora Quist", frozenset({Role.PLANNER}))
    served.console.people.known[nora.name] = nora
    served.sign_in(page, "Adam")
    page.goto(f"{served.origin}/people")
    page.get_by_role("link", name="Nora Quist").click()
    page.get_by_label("Why").select_option(label="The person asked for it")
    page.get_by_label("Write the name").fill("Nora")
    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was erased")
    page.get_by_label("Why").select_option(label="The person asked for it")
    page.get_by_label("Write the name").fill("Nora Quist")
    page.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_role("status").first).to_contain_text("is erased")
    expect(page.get_by_role("link", name="Nora Quist")).to_have_count(0)
    assert served.console.people.erased == {nora.name}


def test_an_account_makes_a_token_once_and_revokes_it(any_page: Page, served: Served) -> None:
    page = any_page
    page.goto(f"{served.origin}/account")
    page.get_by_label("What it is for").fill("nightly export")
    page.get_by_role("button", name="Make a token").click()
    secret = page.get_by_role("status").locator("code").inner_text()
    bearer = {"Authorization": f"Bearer {secret}"}
    api = f"{served.origin}/api/v1/counts"
    alone = page.context.browser.new_context().request  # type: ignore[union-attr]
    assert alone.get(api, headers=bearer).status == 200
    page.goto(f"{served.origin}/account")
    expect(page.get_by_text(secret)).to_have_count(0)
    page.get_by_role("button", name="Revoke nightly export").click()
    expect(page.get_by_role("button", name="Revoke nightly export")).to_have_count(0)
    assert alone.get(api, headers=bearer).status == 401
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")

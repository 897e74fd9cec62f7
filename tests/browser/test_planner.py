"""A planner at a real browser: sign in, read, approve, edit, reject; and not one request leaves for another origin."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import Served
from workflows.domain.approvals import Meaning, RejectReason

OAT, TEAPOT, MUG = "LEEDS:OAT-1L:1", "LONDON-WEST:22423:1", "YORK:MUG-E:1"


def test_a_planner_signs_in_and_answers(page: Page, served: Served, tmp_path: Path) -> None:
    assert page.url == f"{served.origin}/", "the token must leave the address bar"
    page.screenshot(path=tmp_path / "home.png", full_page=True)

    page.get_by_role("link", name="Open the inbox").click()
    page.screenshot(path=tmp_path / "inbox.png", full_page=True)
    page.get_by_role("link", name="Regency teapot").click()
    expect(page.get_by_role("img", name="Daily demand for 22423")).to_be_visible()
    page.screenshot(path=tmp_path / "task.png", full_page=True)
    page.get_by_role("button", name="Approve 168 units").click()
    expect(page.get_by_role("status")).to_contain_text("is approved")

    page.get_by_role("link", name="Oat drink").click()
    page.get_by_role("spinbutton", name="Units").fill("240")
    page.get_by_role("button", name="Approve this quantity").click()
    expect(page.get_by_role("status")).to_contain_text("240 units")

    page.get_by_role("link", name="Enamel mug").click()
    page.get_by_label("Reason").select_option("not_needed")
    page.locator("#reject-comment").fill("moved to the new catalogue")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("status")).to_contain_text("rejected")
    expect(page.locator("tbody tr")).to_have_count(6)
    page.screenshot(path=tmp_path / "answered.png", full_page=True)

    cases = served.console.shop.cases
    given = {key: cases[key].approvals[0] for key in (TEAPOT, OAT, MUG)}
    assert [given[key]["meaning"] for key in given] == [Meaning.APPROVE, Meaning.APPROVE_EDITED, Meaning.REJECT]
    assert given[OAT]["units"] == 240
    assert given[MUG]["reason"] is RejectReason.NOT_NEEDED
    assert {each["actor"] for each in given.values()} == {"Ada"}
    assert len(served.console.channel.told) == 3
    assert all(path.stat().st_size > 10_000 for path in tmp_path.glob("*.png"))


@pytest.mark.parametrize("page", ["with scripts"], indirect=True)
def test_the_keyboard_is_enough(page: Page, served: Served) -> None:
    page.goto(f"{served.origin}/inbox")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/tasks/LEEDS:OAT-1L:1$"))
    page.keyboard.press("r")
    expect(page.get_by_label("Reason")).to_be_focused()
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Approve 492 units")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("status")).to_contain_text("is approved")
    assert served.console.shop.cases[OAT].approvals[0]["meaning"] is Meaning.APPROVE


@pytest.mark.parametrize("page", ["with scripts"], indirect=True)
def test_single_keys_can_be_switched_off_and_stay_off(page: Page, served: Served) -> None:
    page.goto(f"{served.origin}/inbox")
    page.get_by_text("Keyboard").click()
    page.get_by_label("Single-key shortcuts").uncheck()
    page.reload()

    page.keyboard.press("j")

    assert page.evaluate("document.activeElement === document.body")


@pytest.mark.parametrize("page", ["with scripts"], indirect=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_window(page: Page, served: Served, tmp_path: Path, scheme: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for name, path in {
        "home": "/", "inbox": "/inbox", "task": f"/tasks/{TEAPOT}", "orders": "/orders", "models": "/models",
        "dead-letters": "/dead-letters", "api": "/docs/api",
    }.items():  # fmt: skip
        page.goto(served.origin + path)
        page.screenshot(path=tmp_path / f"{name}-{scheme}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{path} at {width}"

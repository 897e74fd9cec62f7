"""A planner without scripts: sign in, read, approve, edit, reject; and no page is wider than its window."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import Served, fits
from workflows.domain.approvals import Meaning, RejectReason

OAT, TEAPOT, MUG = "LEEDS:OAT-1L:1", "LONDON-WEST:22423:1", "YORK:MUG-E:1"


def test_a_planner_signs_in_and_answers(plain_page: Page, served: Served) -> None:
    page = plain_page
    assert page.url == f"{served.origin}/", "the token must leave the address bar"

    page.get_by_role("link", name="Inbox", exact=True).first.click()
    page.get_by_role("link", name="Regency teapot").first.click()
    expect(page.get_by_role("img", name="22423").first).to_be_visible()
    page.get_by_role("button", name="Approve 168 units").click()
    expect(page.get_by_role("status").first).to_contain_text("approved")

    page.goto(f"{served.origin}/inbox")
    page.get_by_role("link", name="Oat drink").first.click()
    page.get_by_role("spinbutton", name="Units").fill("240")
    page.get_by_role("button", name="Approve this quantity").click()
    expect(page.get_by_role("status").first).to_contain_text("240")

    page.goto(f"{served.origin}/inbox")
    page.get_by_role("link", name="Enamel mug").first.click()
    page.get_by_label("Reason").select_option("not_needed")
    page.locator("#reject-comment").fill("moved to the new catalogue")
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("rejected")
    page.goto(f"{served.origin}/inbox")
    expect(page.locator(".tasks tbody tr")).to_have_count(6)

    cases = served.console.shop.cases
    given = {key: cases[key].approvals[0] for key in (TEAPOT, OAT, MUG)}
    assert [given[key]["meaning"] for key in given] == [Meaning.APPROVE, Meaning.APPROVE_EDITED, Meaning.REJECT]
    assert given[OAT]["units"] == 240
    assert given[MUG]["reason"] is RejectReason.NOT_NEEDED
    assert {each["actor"] for each in given.values()} == {"Ada"}
    assert len(served.console.channel.told) == 3


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
        assert fits(page), f"{path} at {width}"

"""A policy change at a real browser: tried, proposed by one person, brought into force by another."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import Served, fits


def shot(page: Page, folder: Path, name: str) -> None:
    """A picture for people; and no page is wider than its window."""
    page.screenshot(path=folder / f"{name}.png", full_page=True)
    assert fits(page), name


@pytest.mark.parametrize("width", [390, 1280])
def test_four_eyes_change_the_policy(any_page: Page, served: Served, tmp_path: Path, width: int) -> None:
    page = any_page
    page.set_viewport_size({"width": width, "height": 900})
    page.locator("summary:visible", has_text="Menu" if width == 390 else "Control").first.click()
    page.get_by_role("link", name="Policy", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("version 1")
    page.get_by_role("link", name="Propose a change").click()

    document = json.loads(page.get_by_label("The whole policy as JSON").input_value())
    page.get_by_label("The whole policy as JSON").fill("{}")
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("alert")).to_contain_text("changes nothing")
    document |= {"auto_value_limit": "10000", "costly_if_wrong_limit": "100000", "new_item_asks": False}
    document["overrides"] = [{"location": "YORK", "autonomy": "L1"}, {"category": "Kitchen", "cover_cap_days": 30}]
    page.get_by_label("The whole policy as JSON").fill(json.dumps(document, indent=2))
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("heading", name="Dry run")).to_be_visible()
    expect(page.get_by_text("would come out differently")).to_be_visible()
    shot(page, tmp_path, f"draft-{width}")

    page.get_by_label("Why").fill("York orders by itself, and people are asked too often")
    page.get_by_role("button", name="Propose it").click()
    expect(page.get_by_text("You proposed this")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    address = page.url

    served.sign_in(page, "Bob")
    page.goto(address)
    shot(page, tmp_path, f"change-{width}")
    page.get_by_role("button", name="Approve: version 2").click()
    expect(page.get_by_role("status")).to_contain_text("Adopted by Bob")
    page.goto(f"{served.origin}/policies")
    expect(page.get_by_role("heading", level=1)).to_contain_text("version 2")
    expect(page.get_by_role("link", name="proposed by Ada, approved by Bob")).to_be_visible()
    shot(page, tmp_path, f"policy-{width}")

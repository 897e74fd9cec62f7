"""Every page at a real browser: light and dark, wide, narrow and zoomed, with scripts and without, and nobody shut out.

The pages are found by walking the app's routes: a new one fails here until it is visited.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from fastapi.routing import APIRoute
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.serving import Served, axe, fits
from tests.browser.whole_shop import EVA, fill, whole_console
from tests.fakes.console import ConsoleOverFakes

WIDE, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}
ZOOMED = {"width": 700, "height": 450}
"""A window of 1400 by 900 at 200 %: the browser lays out half as many pixels, each twice as large."""
OAT = "LEEDS%3AOAT-1L%3A1"
PAGES = (
    "/", "/?location=LEEDS", "/definitions", "/inbox", "/inbox?view=team", "/inbox?view=answered",
    "/inbox?view=failed", "/inbox?view=team&location=NOWHERE", "/inbox/tasks/{decision_id}",
    "/inbox/away", "/tasks/{decision_id}", "/tasks/LEEDS%3ACOFFEE-1KG%3A1",
    "/decisions/{decision_id}", "/decisions/LEEDS%3AOIL-R%3A1", "/inventory",
    "/inventory/{location}/{item}", "/demand", "/demand/{location}/{item}", "/demand/forecast",
    "/demand/forecast?products=OAT-1L&horizon_days=14", "/demand/forecast?products=OAT-1L+MUG&horizon_days=90",
    "/sales", "/orders", "/orders?state=in_doubt", "/orders?state=awaits_operator", "/orders/{order_id}",
    "/reconciliation",
    "/reconciliation/{report_id}",
    "/deliveries", "/money", "/what-if", "/what-if?demand=1.2", "/models",
    "/models/{digest}", "/policies", "/policies/new", "/policies/changes/{change_id}", "/files", "/notices", "/health",
    "/live", "/dead-letters", "/audit", "/audit/chain?stream=" + OAT, "/audit/proof?seq=1&stream=" + OAT,
    "/audit/population", "/audit/access", "/audit/access?on=2025-03-05", "/access-review", "/people", "/people/{name}",
    "/account", "/docs/api", "/sign-in",
)  # fmt: skip
REFUSALS = {"/nothing-here": 404, "/tasks/NOBODY%3AKNOWS%3A1": 404, "/what-if?demand=much": 422,
            "/audit/access?on=2025-03-05&since=2025-03-06": 422, "/audit/proof?seq=9&stream=policy": 404,
            "/reconciliation/nobody:1": 404}  # fmt: skip
"""Pages that say no are pages too."""
NO_PAGES = {
    "/inbox/list": "rows that a script puts into the inbox", "/inbox/rows/{decision_id}": "one such row",
    "/tasks/{decision_id}/evidence": "the inbox's third pane", "/live/events": "a stream that does not end",
    "/decisions": "leads to a decision", "/sign-in/begin": "leads to the identity provider",
    "/sign-in/callback": "comes from the identity provider", "/demand/forecast.csv": "a download",
    "/audit/proof.json": "a download",
}  # fmt: skip


HEADINGS = """() => [...document.querySelectorAll("main :is(h1, h2, h3)")]
  .filter((one) => one.checkVisibility() && !one.closest("#pane"))
  .map((one) => one.innerText)"""


class Desk(NamedTuple):
    """One server and three browsers at it."""

    served: Served
    values: dict[str, str]
    light: Page
    dark: Page
    plain: Page

    def address(self, page: str) -> str:
        """The page's address, with the things of this shop in the places of its parameters."""
        return self.served.origin + page.format(**self.values)


def routes_of(routes: object) -> Iterator[str]:
    """The paths that answer GET, for people and not for programs."""
    for route in routes:  # type: ignore[attr-defined]
        if isinstance(route, APIRoute):
            if "GET" in (route.methods or ()) and not route.path.startswith("/api/v1"):
                yield route.path
        elif hasattr(route, "original_router"):
            yield from routes_of(route.original_router.routes)


@pytest.fixture(scope="module")
def desk(chromium: Browser) -> Iterator[Desk]:
    """Eva at three browsers: wide and light, a dark phone, and one without scripts."""
    console = whole_console()
    served = Served(console)
    values: dict[str, str] = {}

    async def filled(console: ConsoleOverFakes) -> None:
        values.update(await fill(console))

    served.run(filled(console))
    contexts = [
        chromium.new_context(viewport=WIDE, color_scheme="light", reduced_motion="reduce"),  # type: ignore[arg-type]
        chromium.new_context(viewport=PHONE, color_scheme="dark", reduced_motion="reduce"),  # type: ignore[arg-type]
        chromium.new_context(viewport=WIDE, java_script_enabled=False),  # type: ignore[arg-type]
    ]
    light, dark, plain = (_signed_in(context, served) for context in contexts)
    yield Desk(served, values, light, dark, plain)
    for context in contexts:
        context.close()
    served.stop()


def _signed_in(context: BrowserContext, served: Served) -> Page:
    context.set_default_timeout(15_000)
    served.watch(context)
    page = context.new_page()
    served.sign_in(page, EVA.name)
    return page


def opened(page: Page, address: str, status: int) -> None:
    """The page has come and its scripts have done what they do by themselves."""
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == status
    if page.locator("[data-inbox]").count():
        expect(page.locator("#live-state")).not_to_be_empty()
        expect(page.locator("#pane.waits")).to_have_count(0)


def headings(page: Page) -> list[str]:
    """What a person goes through with a screen reader's key for headings, but for the third pane's."""
    found: list[str] = page.evaluate(HEADINGS)
    return found


@pytest.mark.parametrize(("page", "status"), [*((page, 200) for page in PAGES), *REFUSALS.items()])
def test_everybody_can_use_it(desk: Desk, page: str, status: int) -> None:
    address, light, dark, plain = desk.address(page), desk.light, desk.dark, desk.plain
    for seen in (desk.served.asked, desk.served.complaints):
        seen.clear()
    light.set_viewport_size(WIDE)  # type: ignore[arg-type]
    opened(light, address, status)
    assert light.title().endswith(" · Quartermaster")
    assert light.title() != " · Quartermaster", "it has no name of its own"
    expect(light.get_by_role("main").get_by_role("heading", level=1)).to_have_count(1)
    assert light.get_by_role("heading", level=1).count() == 1
    assert axe(light) == [], "in the light and wide"
    assert fits(light)
    light.set_viewport_size(ZOOMED)  # type: ignore[arg-type]
    assert fits(light), "at 200 %"
    light.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert fits(light), "in the light on a phone"

    dark.set_viewport_size(PHONE)  # type: ignore[arg-type]
    opened(dark, address, status)
    assert axe(dark) == [], "in the dark on a phone"
    assert fits(dark), "in the dark on a phone"
    dark.set_viewport_size(WIDE)  # type: ignore[arg-type]
    assert fits(dark), "in the dark and wide"

    light.set_viewport_size(WIDE)  # type: ignore[arg-type]
    assert plain.goto(address)
    assert headings(plain) == headings(light), "without scripts something is missing"
    assert fits(plain), "without scripts"
    assert desk.served.blame() == []
    if status == 200:
        assert desk.served.complaints == []


def test_no_page_is_left_out(desk: Desk) -> None:
    visited = {page.partition("?")[0] for page in PAGES}
    known = {page.format(**desk.values) for page in visited}
    for route in dict.fromkeys(routes_of(desk.served.console.app.routes)):
        if route in NO_PAGES or route in visited:
            continue
        path = route.format(**desk.values)  # a KeyError here: give `fill` an example of the new parameter
        if path in known:
            continue
        answer = desk.light.request.get(desk.served.origin + path)
        assert "text/html" not in answer.headers["content-type"], f"{route} is a new page: visit it in PAGES"


def test_the_first_tab_leads_past_the_navigation(desk: Desk) -> None:
    desk.light.goto(desk.address("/health"))
    desk.light.keyboard.press("Tab")
    expect(desk.light.get_by_role("link", name="Skip to the content")).to_be_focused()
    desk.light.keyboard.press("Enter")
    expect(desk.light.get_by_role("main")).to_be_focused()

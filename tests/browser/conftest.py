"""One Chromium for the folder; each test has its own console, its own context, and answers for every request."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.having import chromium_or_skip
from tests.browser.serving import Served
from tests.fakes.console import ConsoleOverFakes

ARGUMENTS = [
    "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
    "--disable-domain-reliability", "--disable-sync", "--metrics-recording-only", "--no-first-run",
]  # fmt: skip
TIMEOUT_MS = 15_000
# Expectations have a patience of their own, of 5 s: less than an answer's third try after an outage takes.
expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser. Without one the tests skip, or fail where `BROWSER_TESTS=required` says that they must run."""
    program = chromium_or_skip()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def console() -> ConsoleOverFakes:
    """What is served; a module or a test overrides it to serve another shop."""
    return ConsoleOverFakes()


@pytest.fixture
def served(console: ConsoleOverFakes) -> Iterator[Served]:
    """The console, listening."""
    served = Served(console)
    yield served
    served.stop()


def opened(chromium: Browser, served: Served, *, scripts: bool) -> Iterator[Page]:
    """A page with somebody signed in; afterwards nothing may be left to blame."""
    context = chromium.new_context(java_script_enabled=scripts, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(TIMEOUT_MS)
    served.watch(context)
    page = context.new_page()
    served.sign_in(page)
    yield page
    context.close()
    assert served.asked, "the browser asked for nothing"
    assert served.blame() == [], "the console must work offline, under its policy, and without script errors"


@pytest.fixture
def page(chromium: Browser, served: Served) -> Iterator[Page]:
    """A page with scripts."""
    yield from opened(chromium, served, scripts=True)


@pytest.fixture
def plain_page(chromium: Browser, served: Served) -> Iterator[Page]:
    """A page without scripts."""
    yield from opened(chromium, served, scripts=False)


@pytest.fixture(params=["with scripts", "without scripts"])
def any_page(request: pytest.FixtureRequest, chromium: Browser, served: Served) -> Iterator[Page]:
    """The same test with scripts and without."""
    yield from opened(chromium, served, scripts=request.param == "with scripts")

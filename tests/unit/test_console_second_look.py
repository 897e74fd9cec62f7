"""What a second pair of eyes is shown, and where somebody goes from what went wrong or is done."""

import re
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from console.auth import sign_in_token
from console.inbox_views import next_runs
from tests.fakes.busy_shop import SIGNED_ONCE, busy_shop
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.shop import CLOCK
from tests.unit.test_console_pages import form_of, visible
from tests.unit.test_console_told import winter_and_summer

OAT = "LEEDS:OAT-1L:1"


def signed_in(console: ConsoleOverFakes, name: str) -> TestClient:
    """A browser of this person."""
    client = TestClient(console.app)
    client.get("/sign-in", params={"token": sign_in_token(KEY, name)})
    return client


@pytest.fixture
def console() -> ConsoleOverFakes:
    """A busy shop, in which Ada signed 100 units of what needs two signatures."""
    shop = busy_shop()
    case = shop.cases[SIGNED_ONCE]
    case.approvals.append({
        "approval_id": "first", "decision_id": SIGNED_ONCE, "revision": 1, "meaning": "approve_edited", "units": 100,
        "proposal_hash": case.decided.decision.proposal_hash, "reason": None, "comment": "They are moving house.",
        "actor": "Ada", "channel": "console", "recorded_at": CLOCK, "voided_at": None, "heard_at": None,
        "complete": False, "signatures_needed": 2, "undo_until": None, "command_digest": "0" * 64,
    })  # fmt: skip
    return ConsoleOverFakes(shop, zones=winter_and_summer)


def test_the_second_signer_is_shown_what_the_first_one_signed_and_signs_the_same(console: ConsoleOverFakes) -> None:
    html = signed_in(console, "Grace").get(f"/tasks/{SIGNED_ONCE}").text
    assert "Ada signed 100 units and said: “They are moving house.”" in visible(html).replace("  ", " ")
    form = form_of(html, "approve")
    assert (form["meaning"], form["units"]) == ("approve_edited", "100")
    assert 'id="units" name="units" type="number"' in html
    assert 'value="100" data-key="e"' in html
    assert 'data-signed="Ada"' in signed_in(console, "Grace").get("/inbox?view=team").text


def test_a_nap_ends_on_the_clock_of_the_task(console: ConsoleOverFakes) -> None:
    client = signed_in(console, "Ada")
    csrf = form_of(client.get(f"/tasks/{OAT}").text, "approve")["csrf"]
    form = {"csrf": csrf, "command_id": "nap-one-two-three", "how": "until", "until": "2025-11-26T09:00"}
    client.post(f"/inbox/tasks/{OAT}/snooze", data=form)
    task = console.shop.cases[OAT].task or {}
    assert task["snoozed_until"] == datetime(2025, 11, 25, 20, tzinfo=UTC), "9:00 in Auckland"


def test_a_failed_order_leads_to_its_own_page(console: ConsoleOverFakes) -> None:
    page = signed_in(console, "Ada").get("/inbox?view=failed").text
    shown = page[page.index('class="middle-pane"') :]
    assert re.search(r'<a class="button" href="/orders/[^"]+#actions"', shown)
    assert 'href="/health"' not in shown


def test_an_error_keeps_the_menus_of_whoever_is_signed_in(console: ConsoleOverFakes) -> None:
    answer = signed_in(console, "Ada").get("/decisions/NOWHERE:NOTHING:1")
    assert answer.status_code == 404
    assert 'aria-label="Pages"' in answer.text


def test_the_next_look_is_the_next_full_hour_and_the_end_of_the_day() -> None:
    late, early = datetime(2025, 3, 3, 22, 10, tzinfo=UTC), datetime(2025, 3, 3, 6, 0, tzinfo=UTC)
    first, second = next_runs({"YORK": early, "LEEDS": late})
    assert (first.location, first.hour.hour, first.day) == ("LEEDS", 23, datetime(2025, 3, 4, tzinfo=UTC))
    assert (second.location, second.hour.hour, second.day) == ("YORK", 7, datetime(2025, 3, 4, tzinfo=UTC))

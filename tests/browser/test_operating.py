"""Operators, auditors and analysts at a real browser: stop switches, files, the ledger, a forecast on request."""

import io
from csv import DictWriter
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.serving import Served
from tests.browser.whole_shop import whole_console
from tests.fakes.audit import MemoryAudit
from tests.fakes.console import ConsoleOverFakes
from tests.fakes.files import MemoryFiles
from workflows.domain.catalog import Item
from workflows.domain.files import FileKind

OAT = "LEEDS:OAT-1L:1"
files = MemoryFiles()


@pytest.fixture
def console() -> ConsoleOverFakes:
    global files
    files = MemoryFiles()
    return whole_console(files=files)


def csv(price: str) -> FilePayload:
    """A file of two items as a person chooses it; the pan on line 3 costs `price`."""
    rows = [
        Item(item="MUG", name="Enamel mug", category="kitchen", price=Decimal("6.00")).model_dump(),
        Item(item="PAN", name="Pan", category="kitchen", price=Decimal(1)).model_dump() | {"price": price},
    ]
    text = io.StringIO()
    table = DictWriter(text, fieldnames=list(rows[0]))
    table.writeheader()
    table.writerows(rows)
    return {"name": "items.csv", "mimeType": "text/csv", "buffer": text.getvalue().encode()}


def test_a_stop_switch_is_set_and_lifted_with_reasons(any_page: Page, served: Served) -> None:
    page = any_page
    served.sign_in(page, "Otto")
    page.goto(f"{served.origin}/health")
    stop = page.locator("form").filter(has=page.get_by_role("heading", name="Stop all orders"))
    stop.get_by_label("Why?").fill("prices look wrong")
    stop.get_by_role("button", name="Stop all orders").click()
    expect(page.get_by_text("Sending is stopped")).to_be_visible()
    held = page.get_by_role("row").filter(has_text="prices look wrong")
    expect(held).to_contain_text("Otto")
    held.get_by_role("textbox").fill("prices were mended")
    held.get_by_role("button", name="Lift").click()
    expect(page.get_by_text("No switch is set")).to_be_visible()
    page.get_by_text("Switches that were lifted lately").click()
    expect(page.get_by_role("listitem").filter(has_text="prices were mended")).to_be_visible()
    (one,) = served.console.stops.all
    assert (one.stopped_by, one.lifted_by, one.lifted_reason) == ("Otto", "Otto", "prices were mended")


def test_an_order_in_doubt_is_looked_for_again_and_who_may_not_sees_no_button(plain_page: Page, served: Served) -> None:
    page = plain_page
    order = served.console.shop.orders[1]["order_id"]
    served.console.operations.awaiting.add(order)
    page.goto(f"{served.origin}/orders/{order}")
    expect(page.get_by_role("heading", name='What "in doubt" means')).to_be_visible()
    expect(page.get_by_text("Look again now")).to_have_count(0)
    served.sign_in(page, "Otto")
    page.goto(f"{served.origin}/orders/{order}")
    page.get_by_text("Look again now").first.click()
    page.get_by_label("Why now?").fill("they said it is there by now")
    page.get_by_role("button", name="Look again now").click()
    expect(page.get_by_role("status")).to_contain_text("The supplier is asked")
    assert [word[0] for word in served.console.order_words.said] == ["look"]


def test_a_file_with_mistakes_is_refused_by_line_and_a_mended_one_is_taken(any_page: Page, served: Served) -> None:
    page = any_page
    served.sign_in(page, "Adam")
    before = dict(files.rows[FileKind.ITEMS])
    page.goto(f"{served.origin}/files")
    form = page.get_by_role("form", name="Items")
    form.get_by_label("CSV file").set_input_files(csv("cheap"))
    form.get_by_role("button", name="Take it").click()
    refused = page.get_by_role("alert")
    expect(refused).to_contain_text("nothing was taken")
    expect(refused.get_by_role("row", name="line 3")).to_contain_text("price")
    assert files.rows[FileKind.ITEMS] == before, "half a file was taken"

    form.get_by_label("CSV file").set_input_files(csv("19.90"))
    form.get_by_role("button", name="Check only").click()
    expect(page.get_by_role("status").first).to_contain_text("2 new")
    assert files.rows[FileKind.ITEMS] == before, "a check changes nothing"
    form.get_by_label("CSV file").set_input_files(csv("19.90"))
    form.get_by_role("button", name="Take it").click()
    expect(page.get_by_role("status").first).to_contain_text("2 new")
    assert set(files.rows[FileKind.ITEMS]) - set(before) == {("MUG",), ("PAN",)}


def test_a_download_is_a_file_that_is_on_the_record(page: Page, served: Served, tmp_path: Path) -> None:
    page.goto(f"{served.origin}/files")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Items").click()
    waiting.value.save_as(tmp_path / "items.csv")
    assert "OAT-1L" in (tmp_path / "items.csv").read_text(encoding="utf-8-sig")
    assert files.recorded == [("export.made", FileKind.ITEMS, "Ada")]


def test_an_auditor_searches_follows_a_chain_and_recomputes_it(any_page: Page, served: Served) -> None:
    page, audit = any_page, served.console.audit
    served.sign_in(page, "Audrey")
    page.goto(f"{served.origin}/audit")
    page.get_by_role("textbox", name="Person").fill("Grace")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**person=Grace**")
    expect(page.get_by_role("row").filter(has_text=OAT)).to_contain_text("Grace")
    expect(page.get_by_role("row").filter(has_text="Ada")).to_have_count(0)
    page.get_by_role("link", name=OAT).first.click()
    expect(page.get_by_role("status")).to_contain_text("Every hash of this chain was recomputed just now")
    expect(page.get_by_role("heading", level=2)).to_have_count(4)
    page.get_by_text("What was written", exact=True).first.click()
    expect(page.get_by_role("region", name="Entry 1")).to_contain_text("NORTHMILL")

    page.goto(f"{served.origin}/audit")
    page.get_by_role("button", name="Verify everything now").click()
    expect(page.get_by_role("status")).to_contain_text("The ledger is whole")
    falsify(audit)
    page.get_by_role("button", name="Verify everything now").click()
    expect(page.get_by_role("alert")).to_contain_text("The ledger is not what was written")
    page.get_by_role("listitem").get_by_role("link", name=OAT).first.click()
    expect(page.get_by_role("status")).to_contain_text("This chain is not what was written")
    assert {who for who, _ in audit.read} == {"Audrey"}, "reading is on the record"


def falsify(audit: MemoryAudit) -> None:
    """Change what an entry says, as somebody with the database in hand might."""
    audit.entries[1] = audit.entries[1].model_copy(update={"body": b'{"rules":[]}'})


def test_who_is_no_auditor_does_not_read_the_ledger(plain_page: Page, served: Served) -> None:
    served.sign_in(plain_page, "Otto")
    answer = plain_page.goto(f"{served.origin}/access-review")
    assert answer is not None
    assert answer.status == 403


def test_a_forecast_is_requested_and_a_wrong_question_is_answered_in_words(any_page: Page, served: Served) -> None:
    page = any_page
    page.goto(f"{served.origin}/demand")
    page.get_by_label("Items").fill("OAT-1L, MUG")
    page.get_by_label("Locations").fill("LEEDS")
    page.get_by_label("Next days").fill("14")
    page.get_by_role("button", name="Forecast").click()
    page.wait_for_url("**/demand/forecast**")
    expect(page.get_by_text("14 days of 2 items at locations")).to_be_visible()
    expect(page.get_by_role("img")).to_have_count(2)
    page.get_by_text("By day").first.click()
    expect(page.get_by_role("table", name="Units a day of OAT-1L at LEEDS").get_by_role("row")).to_have_count(15)
    page.get_by_label("Items").fill("NONE")
    page.get_by_role("button", name="Forecast").click()
    expect(page.get_by_role("alert")).to_contain_text("The catalog has no item NONE")
    expect(page.get_by_label("Items")).to_have_value("NONE")

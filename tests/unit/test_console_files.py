"""Files over the console: downloads that bring themselves back, uploads that are taken whole or told with lines."""

import csv
import io
import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from console.auth import sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.files import MemoryFiles
from tests.fakes.notices import MemoryNotices
from workflows.domain.files import COLUMNS, GIVEN, MAX_FILE_BYTES, NEEDS, FileKind
from workflows.domain.notices import NoticeMode
from workflows.domain.policies import RuleCode, RuleFired

HEADER = {"X-Requested-With": "test", "Idempotency-Key": "a-file-1"}
ITEMS = "item,name,category,price,goodwill_per_unit\n"


class Bench:
    """A signed-in browser and what is behind the console."""

    def __init__(self, client: TestClient, console: ConsoleOverFakes, files: MemoryFiles) -> None:
        self.client, self.console, self.files = client, console, files

    def sign_in(self, name: str) -> None:
        self.client.cookies.clear()
        self.client.get("/sign-in", params={"token": sign_in_token(KEY, name)})

    def get(self, kind: FileKind) -> bytes:
        answer = self.client.get(f"/api/v1/files/{kind}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == f'attachment; filename="{kind}.csv"'
        return answer.content

    def bring(self, kind: FileKind, raw: str | bytes, status: int = 200, **asked: str) -> dict[str, object]:
        answer = self.client.post(f"/api/v1/files/{kind}", content=raw, headers=HEADER, params=asked)
        assert answer.status_code == status, answer.text
        found: dict[str, object] = answer.json()
        return found

    def upload(self, kind: FileKind, raw: str, status: int = 200, **fields: str) -> str:
        page = self.client.get("/files").text
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        assert token
        answer = self.client.post(
            f"/files/{kind}", data={"csrf": token[1], **fields}, files={"file": ("a.csv", raw.encode(), "text/csv")}
        )
        assert answer.status_code == status, answer.text
        return answer.text


@pytest.fixture
def bench() -> Iterator[Bench]:
    files = MemoryFiles()
    console = ConsoleOverFakes(files=files, notices=MemoryNotices())
    with TestClient(console.app, follow_redirects=False) as client:
        made = Bench(client, console, files)
        made.sign_in("Ada")
        yield made


def table(raw: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("kind", GIVEN)
def test_each_file_has_its_columns_and_is_on_the_record(bench: Bench, kind: FileKind) -> None:
    raw = bench.get(kind)
    assert raw.startswith(b"\xef\xbb\xbf")
    assert tuple(table(raw)[0]) == COLUMNS[kind]
    assert bench.files.recorded == [("export.made", kind, "Ada")]
    assert bench.client.get(f"/files/{kind}.csv").content == raw


@pytest.mark.parametrize("kind", [FileKind.ITEMS, FileKind.SUPPLIERS, FileKind.SOURCING])
def test_a_catalog_file_that_was_taken_away_brings_nothing_new(bench: Bench, kind: FileKind) -> None:
    before = dict(bench.files.rows[kind])
    taken = bench.bring(kind, bench.get(kind))
    assert (taken["new"], taken["changed"], taken["same"]) == (0, 0, len(before))
    assert bench.files.rows[kind] == before
    assert len(bench.files.recorded) == 1, "only the export: nothing changed"


def test_a_formula_in_a_name_is_a_text_in_the_file(bench: Bench) -> None:
    names = [row["name"] for row in table(bench.get(FileKind.ITEMS))]
    assert names == ["Oat drink", '\'=HYPERLINK("x";"y")']


def test_a_changed_catalog_file_is_checked_then_taken_then_the_same(bench: Bench) -> None:
    raw = ITEMS + "OAT-1L,Oat drink,drinks,2.45,0\nNEW,New,drinks,1,0\n"
    assert bench.bring(FileKind.ITEMS, raw, check="true")["new"] == 1
    assert ("NEW",) not in bench.files.rows[FileKind.ITEMS]
    taken = bench.bring(FileKind.ITEMS, raw)
    assert (taken["new"], taken["changed"], taken["repeated"]) == (1, 1, False)
    assert bench.bring(FileKind.ITEMS, raw)["repeated"] is True
    assert [one[0] for one in bench.files.recorded] == ["catalog.changed"]


def test_a_file_with_problems_is_told_whole_and_nothing_of_it_is_taken(bench: Bench) -> None:
    raw = ITEMS + "GOOD,Good,c,1,0\nBAD,Bad,c,x,0\nB AD,Bad,c,1,-1\n"
    problem = bench.bring(FileKind.ITEMS, raw, 422)
    assert problem["title"] == "This can never be accepted as it is"
    assert [(one["line"], one["column"]) for one in problem["problems"]] == [  # type: ignore[attr-defined]
        (3, "price"), (4, "item"), (4, "goodwill_per_unit"),
    ]  # fmt: skip
    assert ("GOOD",) not in bench.files.rows[FileKind.ITEMS]
    page = bench.upload(FileKind.ITEMS, raw, 422, step="take")
    assert "nothing was taken" in page
    assert "&#39;x&#39; cannot be used" in page
    page = bench.upload(FileKind.ITEMS, ITEMS + "NEW,New,c,1,0\n", step="take")
    assert "1 new, 0 changed" in page


def test_a_file_of_limits_is_a_change_that_waits_for_somebody_else(bench: Bench) -> None:
    raw = bench.get(FileKind.LIMITS).decode()
    assert bench.bring(FileKind.LIMITS, raw)["change_id"] is None, "it says what is in force"
    tightened = re.sub(r"auto_value_limit,\d+", "auto_value_limit,900", raw)
    assert bench.bring(FileKind.LIMITS, tightened, check="true")["changed"] == 1
    taken = bench.bring(FileKind.LIMITS, tightened, reason="less alone")
    again = bench.bring(FileKind.LIMITS, tightened, reason="less alone")
    assert taken["change_id"] == again["change_id"] is not None
    change = bench.client.get(f"/api/v1/policy/changes/{taken['change_id']}").json()
    assert (change["state"], change["author"], change["reason"]) == ("proposed", "Ada", "less alone")


def answered(bench: Bench, *said: tuple[str, str, str, str]) -> str:
    """The exported tasks with the first ones answered: meaning, units, reason, comment."""
    rows = table(bench.get(FileKind.TASKS))
    for row, (meaning, units, reason, comment) in zip(rows, said, strict=False):
        row |= {"meaning": meaning, "units": units, "reason": reason, "comment": comment}
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def test_tasks_are_answered_in_the_spreadsheet(bench: Bench) -> None:
    raw = answered(bench, ("approve", "", "", ""), ("", "", "", ""), ("reject", "", "too_much", "half would do"))
    assert bench.bring(FileKind.VERDICTS, raw, check="true")["new"] == 2
    assert bench.console.channel.told == []
    taken = bench.bring(FileKind.VERDICTS, raw)
    answers = taken["answers"]
    assert [(one["line"], one["taken"], one["words"]) for one in answers] == [  # type: ignore[attr-defined]
        (2, True, "approve"), (4, True, "reject"),
    ]  # fmt: skip
    assert bench.bring(FileKind.VERDICTS, raw)["answers"] == answers, "the same file twice answers once"
    told = [row for row in bench.console.shop.cases.values() if row.approvals]
    assert sorted(len(case.approvals) for case in told) == [1, 1]


def test_somebody_who_was_quicker_refuses_one_row_and_not_the_others(bench: Bench) -> None:
    raw = answered(bench, ("approve", "", "", ""), ("approve", "", "", ""))
    first = table(raw.encode())[0]["decision_id"]
    task = bench.console.shop.case(first).task
    assert task is not None
    task |= {"state": "rejected", "answered_by": "Grace"}
    answers = bench.bring(FileKind.VERDICTS, raw)["answers"]
    assert [one["taken"] for one in answers] == [False, True]  # type: ignore[attr-defined]
    assert "Grace" in answers[0]["words"]  # type: ignore[index]


def test_verdicts_are_looked_at_before_the_first_is_given(bench: Bench) -> None:
    raw = answered(bench, ("approve", "", "", ""), ("approve", "", "", ""))
    second = table(raw.encode())[1]["proposal_hash"]
    problem = bench.bring(FileKind.VERDICTS, raw.replace(second, "0" * 64), 422)
    assert [(one["line"], one["column"]) for one in problem["problems"]] == [(3, "proposal_hash")]  # type: ignore[attr-defined]
    assert bench.console.channel.told == []
    bench.sign_in("Pia")  # works at LEEDS
    elsewhere = [row["location"] != "LEEDS" for row in table(raw.encode())]
    assert any(elsewhere)
    everything = answered(bench, *[("approve", "", "", "")] * len(elsewhere))
    told = bench.bring(FileKind.VERDICTS, everything, 422)["problems"]
    assert len(told) == sum(elsewhere)  # type: ignore[arg-type]
    assert bench.console.channel.told == []


def test_what_wants_a_look_by_itself_is_not_approved_by_file(bench: Bench) -> None:
    ids = [row["decision_id"] for row in table(bench.get(FileKind.TASKS))]
    dear, sign, refuse = (bench.console.shop.case(one) for one in ids[:3])
    for case, code in ((dear, RuleCode.PRICE_DEVIATES), (sign, RuleCode.NEEDS_TWO_SIGNATURES),
                       (refuse, RuleCode.STALE_INPUTS)):  # fmt: skip
        decision = case.decided.decision
        result = decision.result.model_copy(update={"rules": (RuleFired(code=code, detail="so"),)})
        case.decided = case.decided.model_copy(update={"decision": decision.model_copy(update={"result": result})})
    raw = answered(bench, ("approve", "", "", ""), ("approve_edited", "3", "", ""), ("reject", "", "other", ""))
    problems = bench.bring(FileKind.VERDICTS, raw, 422)["problems"]
    assert [(one["line"], one["column"]) for one in problems] == [(2, "meaning"), (3, "meaning")]  # type: ignore[attr-defined]
    assert "look by itself" in problems[0]["reason"]  # type: ignore[index]
    assert "two people" in problems[1]["reason"]  # type: ignore[index]
    assert bench.console.channel.told == []


@pytest.mark.parametrize(("kind", "permission"), NEEDS.items())
def test_who_may_not_bring_a_file_is_refused(bench: Bench, kind: FileKind, permission: str) -> None:
    bench.sign_in("Vera")
    assert "Bring back" not in bench.client.get("/files").text
    assert bench.client.post(f"/api/v1/files/{kind}", content=b"x", headers=HEADER).status_code == 403
    assert bench.client.get("/api/v1/files/items").status_code == 200


def test_files_may_be_larger_than_other_bodies_and_not_without_end(bench: Bench) -> None:
    rows = "".join(f"N{n},a name of some length,things,1.50,0\n" for n in range(10_000))
    assert bench.bring(FileKind.ITEMS, ITEMS + rows, check="true")["new"] == 10_000
    answer = bench.client.post("/api/v1/files/items", content=b"x" * (MAX_FILE_BYTES + 1), headers=HEADER)
    assert answer.status_code == 413
    assert bench.client.post("/api/v1/tasks/x/verdict", content=b"x" * 70_000, headers=HEADER).status_code == 413


def test_an_installation_without_files_says_so() -> None:
    with TestClient(ConsoleOverFakes().app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        assert "exchanges no files" in client.get("/files").text
        assert client.get("/api/v1/files/items").status_code == 404
        assert client.post("/api/v1/files/items", content=b"x", headers=HEADER).status_code == 404
        assert "sends no notices" in client.get("/notices").text


def test_each_chooses_how_often_to_be_told(bench: Bench) -> None:
    page = bench.client.get("/notices").text
    assert 'value="digest" checked' in page
    assert "ada@shop.example" in page
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    assert token
    answer = bench.client.post("/notices", data={"csrf": token[1], "mode": "at_once"})
    assert 'value="at_once" checked' in answer.text
    assert bench.client.post("/notices", data={"csrf": token[1], "mode": "hourly"}).status_code == 422
    assert bench.client.post("/notices", data={"mode": NoticeMode.NONE}).status_code == 403

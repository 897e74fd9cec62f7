"""A log line says what it is about, is one line, and its writer survives whatever it is given."""

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from workers.logs import MAX_MESSAGE, HumanLines, JsonLines, about, bound_ids, configure_logging


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Puts the process's logging back as it was."""
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:], logging.raiseExceptions = handlers, raises
    root.setLevel(level)
    logging.captureWarnings(False)


def json_line(**record: Any) -> dict[str, Any]:
    text = JsonLines("worker").format(logging.makeLogRecord({"levelname": "INFO", "name": "n", **record}))
    assert "\n" not in text
    line: dict[str, Any] = json.loads(text)
    return line


def test_a_line_names_its_decision_order_and_batch() -> None:
    with about(decision_id="B1:A1:1"), about(order_id="o", batch_id=None):
        line = json_line(msg="released %d units", args=(5,))
    assert line["message"] == "released 5 units"
    assert (line["decision_id"], line["order_id"], line["service"]) == ("B1:A1:1", "o", "worker")
    assert "batch_id" not in line
    assert not bound_ids()


async def test_ids_follow_a_task_and_stay_out_of_its_neighbours() -> None:
    async def task(name: str) -> str:
        with about(decision_id=name):
            await asyncio.sleep(0)
            return bound_ids()["decision_id"]

    assert await asyncio.gather(*(task(str(n)) for n in range(5))) == [str(n) for n in range(5)]


def test_a_line_carries_its_trace() -> None:
    with TracerProvider().get_tracer("t").start_as_current_span("s") as span:
        line = json_line(msg="hello")
    assert line["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert "trace_id" not in json_line(msg="hello")


def test_a_line_carries_the_workflow_that_the_sdk_noted() -> None:
    assert json_line(msg="hello", temporal_workflow={"workflow_id": "w"})["workflow_id"] == "w"


def test_an_error_is_one_line_too() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        line = json_line(msg="failed", exc_info=sys.exc_info())
    assert line["error"].endswith("ValueError: first\nsecond")


@pytest.mark.parametrize(
    ("msg", "args"), [("%d units", ("five",)), ("%s %s", ("one",)), (object(), ()), ("\udcff", ())]
)
def test_a_careless_line_is_written_all_the_same(msg: object, args: tuple[object, ...]) -> None:
    assert json_line(msg=msg, args=args)["message"]


def test_a_message_is_bounded() -> None:
    assert len(json_line(msg="x" * 1_000_000)["message"]) == MAX_MESSAGE + 3


def test_json_goes_to_stderr_and_stdout_stays_for_results(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("worker", "INFO", "auto")
    logging.getLogger("anything").info("hello")
    logging.getLogger("anything").debug("too quiet")
    logging.getLogger("httpx").info("a request")
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert json.loads(line)["message"] == "hello"


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("worker", "INFO", "text")
    with about(decision_id="B1:A1:1"):
        logging.getLogger("anything").warning("waits")
    assert capsys.readouterr().err.rstrip().endswith("WARNING waits  [decision=B1:A1:1]")
    assert isinstance(logging.getLogger().handlers[0].formatter, HumanLines)


@pytest.mark.parametrize(
    "said", ["fine\n12:00:00 INFO    verdict recorded", "\x1b[2J", "a\u2028b", "\u202edesrever", "\r"]
)
def test_a_stranger_begins_no_line_of_a_log(said: str) -> None:
    record = logging.LogRecord("t", logging.WARNING, "f", 1, "refused: %s", (said,), None)
    line = HumanLines().format(record)
    assert line.isprintable()
    assert said not in line

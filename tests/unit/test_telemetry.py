"""Telemetry stays readable without a collector, carries a trace across processes and never breaks its caller."""

import json
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace

from workers.telemetry import Instruments, Telemetry, context_from, start_telemetry, traceparent_of_current
from workers.telemetry_files import BoundedFile

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def started() -> Any:
    """Starts telemetry that is not the process's default, and shuts it down."""
    running: list[Telemetry] = []

    def start(**where: Any) -> Telemetry:
        running.append(start_telemetry("test", **{"otlp_endpoint": None, "directory": None, **where}, install=False))
        return running[-1]

    yield start
    for telemetry in running:
        telemetry.shutdown()


Start = Callable[..., Telemetry]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_spans_are_lines_that_name_their_trace_parent_and_error(started: Start, tmp_path: Path) -> None:
    telemetry = started(directory=tmp_path)

    def fail() -> None:
        with telemetry.tracer.start_as_current_span("outer", attributes={"n": 1}):
            with telemetry.tracer.start_as_current_span("inner"):
                pass
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    telemetry.shutdown()
    inner, outer = lines_of(tmp_path / "test.spans.jsonl")
    assert (inner["name"], inner["parent_id"], inner["trace_id"]) == ("inner", outer["span_id"], outer["trace_id"])
    assert (outer["status"], outer["error"], outer["attributes"]) == ("ERROR", "ValueError: no", {"n": 1})
    assert outer["parent_id"] is None
    assert outer["duration_ms"] >= inner["duration_ms"] >= 0


def test_metrics_are_lines_with_their_units(started: Start, tmp_path: Path) -> None:
    telemetry = started(directory=tmp_path)
    telemetry.instruments.decisions.add(3, {"kind": "proposal", "tier": "high"})
    telemetry.instruments.wait_for_people.record(90)
    telemetry.instruments.lag.set(7, {"topic": "sales", "partition": 0})
    telemetry.shutdown()
    points = {line["name"]: line for line in lines_of(tmp_path / "test.metrics.jsonl")}
    assert points["qm.decisions"]["value"] == 3
    assert points["qm.decisions"]["attributes"] == {"kind": "proposal", "tier": "high"}
    assert (points["qm.tasks.wait"]["sum"], points["qm.tasks.wait"]["unit"]) == (90, "s")
    assert points["qm.intake.lag"]["value"] == 7


def test_every_instrument_says_its_unit(started: Start, tmp_path: Path) -> None:
    telemetry = started(directory=tmp_path)
    for name in Instruments.__dataclass_fields__:
        instrument: Any = getattr(telemetry.instruments, name)
        write = getattr(instrument, "add", None) or getattr(instrument, "set", None) or instrument.record
        write(1)
    telemetry.shutdown()
    lines = lines_of(tmp_path / "test.metrics.jsonl")
    assert len({line["name"] for line in lines}) == len(Instruments.__dataclass_fields__)
    assert all(line["unit"] for line in lines)


def test_a_trace_travels_as_one_line_of_text(started: Start) -> None:
    tracer = started().tracer
    assert traceparent_of_current() is None
    with tracer.start_as_current_span("intake") as first:
        stored = traceparent_of_current()
    with tracer.start_as_current_span("assessment", context=context_from(stored)) as second:
        assert second.get_span_context().trace_id == first.get_span_context().trace_id


def test_a_known_traceparent_is_read() -> None:
    context = trace.get_current_span(context_from(TRACEPARENT)).get_span_context()
    assert trace.format_trace_id(context.trace_id) == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("junk", [None, "", "nonsense", TRACEPARENT + "-" + "x" * 10_000, "00-" + "0" * 32 + "-x-01"])
def test_what_is_not_a_traceparent_begins_a_trace_of_its_own(junk: str | None, started: Start) -> None:
    with started().tracer.start_as_current_span("outer"):
        assert not trace.get_current_span(context_from(junk)).get_span_context().is_valid


def test_a_directory_that_cannot_be_written_breaks_nothing(started: Start, tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("not a directory")
    telemetry = started(directory=blocked / "below")
    with telemetry.tracer.start_as_current_span("still runs"):
        telemetry.instruments.needs.add(1)
    telemetry.flush()
    telemetry.shutdown()


def test_a_collector_that_does_not_answer_holds_nobody_up(started: Start) -> None:
    telemetry = started(otlp_endpoint="http://127.0.0.1:9")
    with telemetry.tracer.start_as_current_span("still runs"):
        telemetry.instruments.needs.add(1)
    began = time.monotonic()
    telemetry.shutdown()
    telemetry.shutdown()
    assert time.monotonic() - began < 20


def test_a_folder_that_is_made_for_them_is_its_owner_s_alone(tmp_path: Path) -> None:
    assert BoundedFile(tmp_path / "made" / "spans.jsonl").append(["{}"])
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700


def test_a_file_is_turned_over_at_its_bound(tmp_path: Path) -> None:
    file = BoundedFile(tmp_path / "spans.jsonl", max_bytes=1000)
    for number in range(100):
        assert file.append([f"{number:099}"])
    kept = (tmp_path / "spans.jsonl").read_text().splitlines()
    assert int(kept[-1]) == 99
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spans.jsonl", "spans.jsonl.1"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())


def test_what_somebody_typed_into_an_address_is_in_no_trace(started: Start, tmp_path: Path) -> None:
    telemetry = started(directory=tmp_path)
    asked = {"http.route": "/audit", "url.query": "person=Xanthippe"}
    with telemetry.tracer.start_as_current_span("GET /audit", attributes=asked):
        pass
    telemetry.shutdown()
    [line] = lines_of(tmp_path / "test.spans.jsonl")
    assert line["attributes"] == {"http.route": "/audit", "url.query": "(not kept)"}

"""Closed histories are kept, oldest first, each once; what is gone is said to be lost, what was overridden is seen."""

from datetime import timedelta

import pytest

from activities import histories as activity
from tests.fakes.engine import Engine
from tests.fakes.histories import NOW, RETENTION, closed, document
from workflows import exporting, naming
from workflows.domain.errors import Unavailable
from workflows.domain.histories import (
    Fetched,
    Override,
    RunStatus,
    SweepPoint,
    Swept,
    canonical_history,
    first_instant,
    overrides_of,
    room,
)
from workflows.exporting import HistoriesWorkflow


async def swept(engine: Engine) -> Swept:
    """One sweep."""
    return await engine.client.execute_workflow(
        HistoriesWorkflow.run, id=naming.HISTORIES_SCHEDULE, task_queue=naming.ENGINE_QUEUE
    )


async def test_everything_closed_is_kept_once_and_oldest_first(engine: Engine) -> None:
    engine.closed_runs.target.runs = [closed(1), closed(2, ago=timedelta(days=3)), closed(3, ago=timedelta(days=29))]

    assert await swept(engine) == Swept(exported=3)
    assert engine.closed_runs.target.fetched == ["run-3", "run-2", "run-1"]
    assert await swept(engine) == Swept()
    assert len(engine.closed_runs.target.fetched) == 3, "what is kept is not read again"
    assert engine.histories.target.moved is not None
    assert engine.histories.target.moved.swept_through == NOW


async def test_many_are_kept_in_batches_and_rounds(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "BATCH", 5)
    monkeypatch.setattr(activity, "ROUND", 10)
    engine.closed_runs.target.page_size = 7
    engine.closed_runs.target.runs = [closed(n) for n in range(42)]

    assert await swept(engine) == Swept(exported=42)
    assert [len(batch) for batch in engine.histories.target.entries] == [5] * 8 + [2]
    assert engine.closed_runs.target.fetched[0] == "run-41", "over all pages"


async def test_a_long_sweep_continues_as_new_and_counts_on(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "ROUND", 1)
    engine.closed_runs.target.runs = [closed(n) for n in range(exporting.ROUNDS + 3)]

    assert (await swept(engine)).exported == exporting.ROUNDS + 3


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_a_sweep_killed_in_the_middle_goes_on_and_keeps_nothing_twice(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    monkeypatch.setattr(activity, "BATCH", 3)
    engine.closed_runs.target.runs = [closed(n) for n in range(9)]
    engine.histories.fail("keep", Unavailable("connection lost"), done=done)
    engine.closed_runs.fail("history", Unavailable("Temporal is away"))

    await swept(engine)

    entries = engine.histories.target.entries
    assert sorted(run for batch in entries for run in batch) == sorted(f"run-{n}" for n in range(9))


async def test_what_is_gone_is_recorded_as_lost_and_never_asked_for_again(engine: Engine) -> None:
    engine.closed_runs.target.runs = [closed(1), closed(2)]
    engine.closed_runs.target.bodies["run-2"] = None

    assert await swept(engine) == Swept(exported=1, lost=1)
    assert await swept(engine) == Swept()
    assert engine.histories.target.kept["replenishment/2", "run-2"].body is None


async def test_what_visibility_told_late_is_found_the_same_hour_or_the_next_day(engine: Engine) -> None:
    await swept(engine)
    engine.closed_runs.target.runs = [closed(1, ago=timedelta(minutes=30)), closed(2, ago=timedelta(days=5))]
    assert (await swept(engine)).exported == 1

    point = engine.histories.target.moved
    assert point is not None
    engine.histories.target.moved = point.model_copy(update={"relisted_at": NOW - timedelta(days=1)})
    assert (await swept(engine)).exported == 1


async def test_what_was_ended_past_the_engine_is_noticed_once(engine: Engine) -> None:
    terminated = {
        "eventTime": "2025-03-03T09:00:00Z",
        "workflowExecutionTerminatedEventAttributes": {"identity": "7@x"},
    }
    engine.closed_runs.target.runs = [
        closed(1), closed(2, status=RunStatus.TERMINATED), closed(3, status=RunStatus.FAILED),
        closed(4, status=RunStatus.FAILED, type="retraining"), closed(5, status=RunStatus.CONTINUED_AS_NEW),
    ]  # fmt: skip
    engine.closed_runs.target.bodies["run-2"] = document(terminated)

    assert (await swept(engine)).overridden == 2
    assert (await swept(engine)).overridden == 0
    noticed = engine.histories.target.noticed
    assert set(noticed) == {("replenishment/2", "run-2", "terminated"), ("replenishment/3", "run-3", "failed")}
    assert noticed["replenishment/2", "run-2", "terminated"].by == "7@x"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("7@worker-1.example", "7@worker-1.example"), ("", ""), ("temporal-cli:nora@laptop", "temporal-cli:(not kept)"),
        ("nora.quist@example.com", "(not kept)"), ("Nora Quist", "(not kept)"), ("nora@laptop:x", "(not kept)"),
        ("7@laptop nora", "(not kept)"),
    ],
)  # fmt: skip
def test_an_account_that_a_client_names_is_not_kept_for_good(said: str, kept: str) -> None:
    body = document({
        "eventTime": "2025-03-03T09:00:00Z", "workflowExecutionTerminatedEventAttributes": {"identity": said},
    })  # fmt: skip
    (found,) = overrides_of(Fetched(run=closed(1, status=RunStatus.TERMINATED), body=body))

    assert found.by == kept
    assert b"nora" not in body.lower()


async def test_a_reset_that_still_runs_is_noticed(engine: Engine) -> None:
    reset = Override(workflow_id="replenishment/1", run_id="new", type="replenishment", what="reset", at=NOW)
    engine.closed_runs.target.resets = [reset]

    assert (await swept(engine)).overridden == 1
    assert (await swept(engine)).overridden == 0


def test_a_reset_is_read_from_the_history_of_the_run_that_it_made() -> None:
    event = {
        "eventTime": "2026-11-21T11:37:04.331469199Z",
        "principal": {"type": "jwt", "name": "ops"},
        "workflowTaskFailedEventAttributes": {
            "cause": "WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW", "baseRunId": "run-0", "newRunId": "run-1",
        },
    }  # fmt: skip
    (found,) = overrides_of(Fetched(run=closed(1), body=document(event)))

    assert (found.what, found.base_run_id, found.by) == ("reset", "run-0", "jwt:ops")
    assert found.at.microsecond == 331469
    # A reset of a run that was made by a reset has the first one's event too.
    assert overrides_of(Fetched(run=closed(2), body=document(event))) == []


def test_an_execution_that_is_gone_is_an_override_all_the_same() -> None:
    (found,) = overrides_of(Fetched(run=closed(1, status=RunStatus.TERMINATED), body=None))
    assert (found.what, found.by) == ("terminated", "")


def test_numbers_of_a_history_have_one_spelling() -> None:
    assert canonical_history({"b": 2.0, "a": 1.5, "id": "9007199254740993"}) == (
        b'{"a":1.5,"b":2,"id":"9007199254740993"}'
    )


def test_the_alarm_rings_a_week_before_the_end_or_a_quarter_of_a_short_retention() -> None:
    month, day = timedelta(days=30), timedelta(days=1)
    assert not room(timedelta(days=22), month).alarm
    assert room(timedelta(days=23, seconds=1), month).alarm
    for retention in (day, timedelta()):
        assert not room(timedelta(hours=17), retention).alarm
        assert room(timedelta(hours=19), retention).alarm
    assert room(timedelta(days=40), month).seconds < 0


def test_a_look_from_the_beginning_is_no_alarm() -> None:
    """What was known to be kept stays known while the daily pass goes over it again."""
    hour_ago, day_ago = NOW - timedelta(hours=1), NOW - timedelta(days=1)
    point = SweepPoint(swept_through=hour_ago, passed_through=hour_ago, relisted_at=day_ago, retention_seconds=1)
    began = first_instant(point, NOW, RETENTION)
    assert began.passed_through < began.swept_through == hour_ago
    assert began.past(day_ago).swept_through == hour_ago
    assert first_instant(began.past(day_ago), NOW, RETENTION).passed_through == day_ago, "killed, it goes on"
    assert began.past(NOW).swept_through == NOW


def test_a_sweep_looks_no_further_back_than_temporal_remembers() -> None:
    ago = NOW - timedelta(days=90)
    old = SweepPoint(swept_through=ago, passed_through=ago, relisted_at=NOW - timedelta(hours=1), retention_seconds=1)
    assert first_instant(old, NOW, RETENTION).passed_through == NOW - RETENTION - timedelta(days=1)
    assert first_instant(None, NOW, RETENTION).relisted_at == NOW

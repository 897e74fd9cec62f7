"""Running workflows survive a change of the code: each stored history, one for every way to end, still replays."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from tests.fakes.waiting import HastyReplenishment
from tests.replay.endings import ENDINGS
from tests.replay.record import HISTORIES, THIS, recorded, write
from workers.plugin import engine_plugin
from workers.registered import WORKFLOWS
from workflows.domain.models import ModelStatus
from workflows.domain.orders import OrderState
from workflows.replenishment import ReplenishmentState

ENDS = {
    "assessment-done": '"proposals":1',
    "assessment-done-in-one-step": '"proposals":1',
    "replenishment-approved-in-few-steps": '"state":"released"',
    "purchasing-due-received": '"state":"received"',
    "purchasing-due-in-doubt-then-received": '"state":"received"',
    "replenishment-auto-released": '"state":"released"',
    "replenishment-approved": '"state":"released"',
    "replenishment-approved-edited": '"state":"released"',
    "replenishment-approved-by-signal": '"state":"released"',
    "replenishment-rejected": '"state":"rejected"',
    "replenishment-expired": '"state":"expired"',
    "replenishment-expired-live": '"state":"expired"',
    "replenishment-escalated-then-approved": '"state":"released"',
    "replenishment-voided-by-rescore": '"state":"voided"',
    "replenishment-rescored-then-approved": '"state":"released"',
    "replenishment-answered-before-rescore": '"state":"rejected"',
    "replenishment-forged-then-expired": '"state":"expired"',
    "replenishment-approved-at-expiry": '"state":"released"',
    "replenishment-rejected-at-expiry": '"state":"rejected"',
    "replenishment-refused-by-gate": '"state":"refused_by_gate"',
    "replenishment-approved-after-undo-time": '"state":"released"',
    "replenishment-undone-then-rejected": '"state":"rejected"',
    "replenishment-undone-untold-then-approved": '"state":"released"',
    "replenishment-rejection-undone-untold-then-approved": '"state":"released"',
    "replenishment-undone-untold-answered-in-its-time": '"state":"rejected"',
    "replenishment-forged-undo-then-approved": '"state":"released"',
    "replenishment-undone-then-expired": '"state":"expired"',
    "replenishment-approved-at-expiry-after-undo-time": '"state":"released"',
    "replenishment-undone-at-expiry": '"state":"expired"',
    "replenishment-told-at-expiry-in-its-time": '"state":"released"',
    "replenishment-answered-before-rescore-in-its-time": '"state":"rejected"',
    "purchasing-received": '"state":"received"',
    "purchasing-received-live": '"state":"received"',
    "purchasing-closed-short": '"state":"closed"',
    "purchasing-refused": '"state":"refused"',
    "purchasing-withheld": '"state":"withheld"',
    "purchasing-empty": '"state":"empty"',
    "purchasing-in-doubt-then-received": '"state":"received"',
    "purchasing-parked-then-resumed": '"state":"received"',
    "purchasing-held": '"state":"received"',
    "purchasing-cancelled": "EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED",
    "outcomes-closed": "1",
    "histories-kept": '"exported":2,"lost":1,"overridden":1,"done":true',
    "histories-continued": "EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
    "monitoring-quiet": '"retrain":null',
    "monitoring-retrained": '"alarm_id":"smooth:cusum:2025-11-23"',
    "retraining-first-model": '"status":"champion"',
    "retraining-promoted": '"status":"champion"',
    "retraining-refused": '"status":"refused"',
    "retraining-awaiting-approval": '"status":"awaiting_approval"',
    "retraining-nothing-new": '"digest":null',
    "replaying-done": '"decisions":30,"equal":29,"different":1',
    "retraining-failed": "EVENT_TYPE_WORKFLOW_EXECUTION_FAILED",
}
"""Every way a workflow can end, and how its history says so."""

LESSON = """
{name}: a workflow that began before your change can not go on after it, because its code now does other things, or the
same things in another order, than this history says. If that code was ever released, keep the old path:

    if workflow.patched("say-what-changed"):
        ...  # the new way, for workflows that begin from now on
    else:
        ...  # the old way, for those that run already

and record the new way under a name of its own. Only for code that was never released:
`python -m tests.replay.record {name}`
"""


FILES = sorted(HISTORIES.glob("*/*.json"))
"""Of every release."""


def stored(name: str, path: Path | None = None) -> WorkflowHistory:
    """Of this ending, or of one of its files."""
    paths = (path,) if path else [found for found in FILES if found.stem == name]
    return WorkflowHistory.from_json(name, paths[-1].read_text())


def end_of(history: WorkflowHistory) -> str:
    """The result, or the kind of event where there is none."""
    last = history.events[-1]
    payloads = last.workflow_execution_completed_event_attributes.result.payloads
    return payloads[0].data.decode() if payloads else EventType.Name(last.event_type)


async def assert_replays(history: WorkflowHistory, *workflows: type) -> None:
    replayer = Replayer(workflows=workflows or WORKFLOWS, plugins=[engine_plugin(tracing=False)])
    outcome = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    assert outcome.replay_failure is None, f"{LESSON.format(name=history.workflow_id)}\n{outcome.replay_failure}"


def test_every_way_to_end_has_a_history() -> None:
    assert ENDINGS.keys() == ENDS.keys(), "play it in endings.py, and say here how it ends"
    assert {path.stem for path in FILES} == ENDS.keys(), "record what is missing with `python -m tests.replay.record`"
    assert THIS.is_dir(), "a release's own histories: `python -m tests.replay.record`"


def test_every_word_for_an_end_occurs_in_a_history() -> None:
    told = " ".join(end_of(stored(name)) for name in ENDS)
    words: Iterator[str] = iter(
        [
            *(state for state in ReplenishmentState if state is not ReplenishmentState.WAITING),
            *(state for state in OrderState if state.is_final),
            *(ModelStatus.CHAMPION, ModelStatus.REFUSED, ModelStatus.AWAITING_APPROVAL),
        ]
    )

    assert [word for word in words if not re.search(rf'"(state|status)":"{word}"', told)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_every_stored_history_still_replays(path: Path) -> None:
    history = stored(path.stem, path)

    assert ENDS[path.stem] in end_of(history)
    await assert_replays(history)


@pytest.mark.parametrize("name", ENDS)
async def test_the_ending_can_be_recorded_anew_and_replays(name: str, tmp_path: Path) -> None:
    path = write(name, await recorded(name), tmp_path)
    history = WorkflowHistory.from_json(name, path.read_text())

    assert ENDS[name] in end_of(history)
    await assert_replays(history)


async def test_a_careless_change_is_caught_and_the_failure_teaches() -> None:
    with pytest.raises(AssertionError, match=r"workflow\.patched") as caught:
        await assert_replays(stored("replenishment-approved"), HastyReplenishment)

    assert "tests.replay.record replenishment-approved" in str(caught.value)


def test_histories_name_no_machine() -> None:
    prints = re.compile(r'"(stackTrace|/[a-z]+/)|@[a-z0-9-]+"')

    assert [path.stem for path in FILES if prints.search(path.read_text())] == []

"""Replays kept histories with today's code: the one that the ledger names, or none."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

from google.protobuf.json_format import ParseError
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from workers.plugin import engine_plugin
from workers.registered import WORKFLOWS
from workflows.domain.histories import KeptHistory
from workflows.domain.histories_checked import HistoryOutcome, HistoryReplay

RunKey = tuple[str, str]
WHY_CHARACTERS = 500


async def replay_histories(
    kept: Iterable[KeptHistory],
    recorded: Mapping[RunKey, str | None],
    workflows: Sequence[type] = WORKFLOWS,
) -> AsyncIterator[HistoryReplay]:
    """Each history's outcome, in order. One whose bytes are not those of the ledger is not replayed.

    Args:
        kept: histories as storage has them.
        recorded: what the ledger says of each run: its SHA-256, or None where it was lost.
    """
    for_replay: dict[int, KeptHistory] = {}
    aside: list[HistoryReplay] = []

    def readable() -> Iterator[WorkflowHistory]:
        for one in kept:
            problem = _problem(one, recorded)
            if problem is not None:
                aside.append(problem)
                continue
            try:
                history = _history(one)
            except ValueError as error:
                aside.append(_told(one, HistoryOutcome.FAILED, str(error)))
                continue
            for_replay[id(history)] = one
            yield history

    replayer = Replayer(workflows=list(workflows), plugins=[engine_plugin(tracing=False)])
    async with replayer.workflow_replay_iterator(_each(readable())) as results:
        async for result in results:
            one = for_replay.pop(id(result.history))
            failure = result.replay_failure
            outcome = HistoryOutcome.REPLAYED if failure is None else HistoryOutcome.FAILED
            yield _told(one, outcome, "" if failure is None else str(failure))
            while aside:
                yield aside.pop(0)
    while aside:
        yield aside.pop(0)


def _history(one: KeptHistory) -> WorkflowHistory:
    """As the replayer takes it. One that does not begin as a history begins would end its worker without a word.

    Raises:
        ValueError: it is no history; the protocol buffers' own errors are of this kind.
    """
    try:
        history = WorkflowHistory.from_json(one.run.workflow_id, (one.body or b"").decode())
        first = history.events[0].workflow_execution_started_event_attributes.original_execution_run_id
    except (ParseError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"these bytes are no workflow's history: {type(error).__name__}") from error
    if not first:
        raise ValueError("this history does not begin with the start of an execution")
    return history


def _problem(one: KeptHistory, recorded: Mapping[RunKey, str | None]) -> HistoryReplay | None:
    key = one.run.workflow_id, one.run.run_id
    if key not in recorded:
        return _told(one, HistoryOutcome.DAMAGED, "the ledger does not say that it was exported")
    if recorded[key] != one.sha256:
        return _told(one, HistoryOutcome.DAMAGED, f"the ledger names {recorded[key]}, and {one.sha256} is kept")
    if one.damage:
        return _told(one, HistoryOutcome.DAMAGED, one.damage)
    if one.body is None:
        return _told(one, HistoryOutcome.LOST, "it was gone before it could be read")
    return None


def _told(one: KeptHistory, outcome: HistoryOutcome, why: str) -> HistoryReplay:
    run = one.run
    return HistoryReplay(
        workflow_id=run.workflow_id, run_id=run.run_id, type=run.type, outcome=outcome, why=why[:WHY_CHARACTERS]
    )


async def _each(histories: Iterator[WorkflowHistory]) -> AsyncIterator[WorkflowHistory]:
    for history in histories:
        yield history

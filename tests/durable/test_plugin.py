"""The plugin carries our types and our errors through a real server."""

import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from workers.interceptors import MAX_FAILURE_TEXT
from workers.logs import bound_ids
from workers.plugin import engine_plugin
from workflows.domain.errors import OutcomeUnknown, StaleProposal, SupplierRefused
from workflows.domain.identity import Instant, Payload

TEST_SERVER = Path(sys.executable).with_name("temporal-test-server")
QUEUE = "plugin"

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Ask(Payload):
    decision_id: str
    price: Decimal
    at: Instant
    how: str = "answer"


class Answer(Payload):
    price: Decimal
    at: Instant
    attempt: int
    log_ids: dict[str, str]


@activity.defn
async def act(ask: Ask) -> Answer:
    match ask.how:
        case "refuse":
            raise SupplierRefused("no")
        case "long":
            raise StaleProposal("x" * 10_000)
        case "doubt" if activity.info().attempt < 3:
            raise OutcomeUnknown("perhaps")
        case "chained":
            try:
                raise ValueError("a cause that holds a secret")
            except ValueError as cause:
                raise SupplierRefused("no") from cause
        case "fault" if activity.info().attempt < 2:
            raise KeyError("nobody planned for this")
    return Answer(price=ask.price, at=ask.at, attempt=activity.info().attempt, log_ids=dict(bound_ids()))


@activity.defn
def act_in_a_thread(batch_id: str, order_id: str) -> dict[str, str]:
    return dict(bound_ids())


@workflow.defn
class Asking:
    @workflow.run
    async def run(self, ask: Ask) -> Answer:
        if ask.how == "in the workflow":
            raise SupplierRefused("the workflow itself says so")
        return await workflow.execute_activity(
            act, ask, start_to_close_timeout=timedelta(seconds=10), retry_policy=RetryPolicy(maximum_attempts=5)
        )


@workflow.defn
class Threading:
    @workflow.run
    async def run(self) -> dict[str, str]:
        return await workflow.execute_activity(
            act_in_a_thread, args=["batch-1", "order-1"], start_to_close_timeout=timedelta(seconds=10)
        )


@workflow.defn
class Refusing:
    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def answer(self) -> None:
        raise StaleProposal("another revision")


@pytest.fixture(scope="module")
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(spans: InMemorySpanExporter) -> AsyncIterator[Client]:
    """A client of a time-skipping server with a worker; spans go to a tracer of the test's own."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    plugin = engine_plugin(tracer=provider.get_tracer("test"))
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(TEST_SERVER), plugins=[plugin]
    ) as env:
        with ThreadPoolExecutor(1) as threads:
            async with Worker(
                env.client,
                task_queue=QUEUE,
                workflows=[Asking, Threading, Refusing],
                activities=[act, act_in_a_thread],
                activity_executor=threads,
            ):
                yield env.client
    provider.shutdown()


def ask(how: str = "answer") -> Ask:
    return Ask(decision_id="B1:A1:1", price=Decimal("12.340"), at=datetime(2026, 3, 1, 9, tzinfo=UTC), how=how)


async def failure_of(client: Client, how: str) -> ApplicationError:
    with pytest.raises(WorkflowFailureError) as failed:
        await client.execute_workflow(Asking.run, ask(how), id=f"asking-{how}", task_queue=QUEUE)
    cause: BaseException | None = failed.value.cause
    if isinstance(cause, ActivityError):
        cause = cause.cause
    assert isinstance(cause, ApplicationError)
    return cause


async def test_payloads_keep_decimals_and_instants(client: Client) -> None:
    answer = await client.execute_workflow(Asking.run, ask(), id="asking", task_queue=QUEUE)
    assert answer.price == Decimal("12.340")
    assert str(answer.price) == "12.340"
    assert answer.at == ask().at


async def test_an_error_that_must_not_be_retried_is_not(client: Client) -> None:
    error = await failure_of(client, "refuse")
    assert (error.type, error.non_retryable, error.message) == ("SupplierRefused", True, "no")
    assert list(error.details) == ["planner"]


async def test_an_error_that_may_be_retried_is(client: Client) -> None:
    answer = await client.execute_workflow(Asking.run, ask("doubt"), id="asking-doubt", task_queue=QUEUE)
    assert answer.attempt == 3


async def test_a_fault_is_retried(client: Client) -> None:
    answer = await client.execute_workflow(Asking.run, ask("fault"), id="asking-fault", task_queue=QUEUE)
    assert answer.attempt == 2


async def test_failure_text_in_history_is_bounded(client: Client) -> None:
    error = await failure_of(client, "long")
    assert len(error.message) == MAX_FAILURE_TEXT
    assert error.message.endswith("...")


async def test_the_cause_of_an_error_stays_out_of_history_and_its_stack_does_not(client: Client) -> None:
    error = await failure_of(client, "chained")
    assert error.cause is None
    assert error.failure is not None
    assert "secret" not in str(error.failure)
    assert "in act" in error.failure.stack_trace


async def test_our_error_in_workflow_code_ends_the_workflow(client: Client) -> None:
    error = await failure_of(client, "in the workflow")
    assert error.type == "SupplierRefused"


async def test_our_error_in_an_update_ends_the_update_only(client: Client) -> None:
    handle = await client.start_workflow(Refusing.run, id="refusing", task_queue=QUEUE)
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await handle.execute_update(Refusing.answer)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "StaleProposal"
    await handle.terminate()


async def test_log_lines_of_an_activity_name_the_decision_from_its_payload(client: Client) -> None:
    answer = await client.execute_workflow(Asking.run, ask(), id="asking-logged", task_queue=QUEUE)
    assert answer.log_ids == {"decision_id": "B1:A1:1"}


async def test_log_lines_of_a_threaded_activity_name_its_batch_and_order(client: Client) -> None:
    ids = await client.execute_workflow(Threading.run, id="threading", task_queue=QUEUE)
    assert ids == {"batch_id": "batch-1", "order_id": "order-1"}


async def test_one_trace_runs_from_the_start_of_a_workflow_into_its_activity(
    client: Client, spans: InMemorySpanExporter
) -> None:
    await client.execute_workflow(Asking.run, ask(), id="asking-traced", task_queue=QUEUE)
    # These ended before the result was known; the workflow's last span may not have.
    mine = [
        span for span in spans.get_finished_spans() if (span.attributes or {})["temporalWorkflowID"] == "asking-traced"
    ]
    finished = {span.name: span for span in mine}
    assert {"StartWorkflow:Asking", "RunWorkflow:Asking", "RunActivity:act"} <= finished.keys()
    assert len({span.context.trace_id for span in finished.values() if span.context}) == 1


async def test_a_history_replays_through_the_same_plugin(client: Client) -> None:
    handle = await client.start_workflow(Asking.run, ask(), id="asking-replayed", task_queue=QUEUE)
    await handle.result()
    replayer = Replayer(workflows=[Asking], plugins=[engine_plugin(tracing=False)])
    await replayer.replay_workflow(await handle.fetch_history())

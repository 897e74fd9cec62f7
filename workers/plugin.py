"""One plugin serves client, worker, replayer and tests, so that a history is read the way it was written."""

from opentelemetry.trace import Tracer
from temporalio.client import Interceptor as ClientInterceptor
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.plugin import SimplePlugin
from temporalio.worker import Interceptor as WorkerInterceptor
from temporalio.worker import WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from workers.interceptors import ErrorTranslation
from workflows.domain.errors import QuartermasterError

PASSTHROUGH = (
    "workflows.domain", "workflows.naming", "workflows.options", "workflows.swiftly", "workflows.waiting", "activities",
    "pydantic", "pydantic_core", "rfc8785", "opentelemetry",
)  # fmt: skip
"""Not loaded anew for each workflow run: pure code, or code that workflows only refer to. Sharing `workflows.domain`
also makes an error class inside the sandbox the same class as outside it."""


def engine_plugin(*, tracing: bool = True, tracer: Tracer | None = None) -> SimplePlugin:
    """The engine's converter, interceptors and sandbox.

    Give it to the client (its workers inherit it) and, explicitly, to the replayer; not to a client and its worker.

    Args:
        tracing: False leaves spans out, as a replayer wants it.
        tracer: whose spans; the process's own (`telemetry.start_telemetry`) when None.
    """
    interceptors: list[ClientInterceptor | WorkerInterceptor] = []
    if tracing:
        # This one, not the SDK's newer plugin: that shows a workflow's spans only once the workflow has completed,
        # too late for a wait of days. Tracing comes first, so that its spans show errors as history has them.
        interceptors.append(TracingInterceptor(tracer))
    interceptors.append(ErrorTranslation())
    return SimplePlugin(
        "quartermaster",
        data_converter=pydantic_data_converter,
        interceptors=interceptors,
        workflow_runner=with_engine_passthrough,
        workflow_failure_exception_types=[QuartermasterError],
    )


def with_engine_passthrough(runner: WorkflowRunner | None) -> WorkflowRunner:
    """The same runner with our modules passed through; a runner without a sandbox stays as it is."""
    if runner is None:
        runner = SandboxedWorkflowRunner()
    if not isinstance(runner, SandboxedWorkflowRunner):
        return runner
    restrictions = runner.restrictions.with_passthrough_modules(*PASSTHROUGH)
    return SandboxedWorkflowRunner(restrictions=restrictions, runner_class=runner.runner_class)

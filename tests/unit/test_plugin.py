"""The plugin extends the sandbox it is handed and bounds what it translates."""

from temporalio.exceptions import ApplicationErrorCategory
from temporalio.worker import UnsandboxedWorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from workers.interceptors import MAX_FAILURE_TEXT, translated
from workers.plugin import PASSTHROUGH, with_engine_passthrough
from workflows.domain.errors import AlreadyAnswered, OutcomeUnknown, SupplierRefused


def test_a_runner_without_a_sandbox_stays_as_it_is() -> None:
    runner = UnsandboxedWorkflowRunner()
    assert with_engine_passthrough(runner) is runner


def test_the_sandbox_is_extended_and_not_replaced() -> None:
    own = SandboxedWorkflowRunner()
    given = SandboxedWorkflowRunner(restrictions=own.restrictions.with_passthrough_modules("somebody.elses"))
    extended = with_engine_passthrough(given)
    assert isinstance(extended, SandboxedWorkflowRunner)
    assert {"somebody.elses", *PASSTHROUGH} <= extended.restrictions.passthrough_modules
    assert with_engine_passthrough(extended) == extended


def test_an_errors_class_decides_whether_it_is_retried() -> None:
    assert translated(SupplierRefused("no")).non_retryable
    assert not translated(OutcomeUnknown("perhaps")).non_retryable
    assert not translated(KeyError("a fault")).non_retryable


def test_an_error_without_text_is_called_by_its_class() -> None:
    assert translated(OutcomeUnknown()).message == "OutcomeUnknown"


def test_long_text_is_cut_and_says_so() -> None:
    assert translated(SupplierRefused("x" * 501)).message == "x" * (MAX_FAILURE_TEXT - 3) + "..."
    assert translated(SupplierRefused("x" * 500)).message == "x" * 500


def test_an_answer_that_comes_second_is_not_reported_as_a_fault() -> None:
    assert translated(AlreadyAnswered("first one counts")).category is ApplicationErrorCategory.BENIGN
    assert translated(SupplierRefused("no")).category is ApplicationErrorCategory.UNSPECIFIED

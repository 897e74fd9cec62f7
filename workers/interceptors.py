"""An activity's error reaches Temporal as what it is: its class as the type, retryability kept, text bounded."""

import inspect
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, TemporalError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from workers.logs import BUSINESS_IDS, about
from workflows.domain.errors import Conflict, QuartermasterError

MAX_FAILURE_TEXT = 500
"""Characters of an error's message that enter a workflow's history."""

log = logging.getLogger(__name__)


class ErrorTranslation(Interceptor):
    """Carries our errors to Temporal and names the decision, order or batch on every log line of an activity."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap the activity."""
        return _Translated(next)


class _Translated(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        with about(**dict(business_ids(input.fn, input.args))):
            try:
                return await super().execute_activity(input)
            except TemporalError:
                raise
            except QuartermasterError as error:
                # The stack stays, the chain goes: a cause's text is not ours to bound.
                raise translated(error).with_traceback(error.__traceback__) from None
            except Exception as error:
                # A fault nobody planned for. The whole chain is in the log; history gets a bounded line of it.
                log.warning("%s failed", activity.info().activity_type, exc_info=error)
                raise translated(error).with_traceback(error.__traceback__) from None


def translated(error: Exception) -> ApplicationError:
    """The error as Temporal carries it.

    The type is the class's name. A `QuartermasterError` is retried if its class says so, and its only detail is who
    must act (an `Audience`); any other exception is a fault, and faults are retried. A `Conflict` is an answer, not a
    fault, so the SDK reports it quietly.
    """
    details: tuple[str, ...] = ()
    final, category, wait = False, ApplicationErrorCategory.UNSPECIFIED, None
    if isinstance(error, QuartermasterError):
        details, final = (str(error.audience),), not error.retryable
        wait = None if error.wait_seconds is None else timedelta(seconds=error.wait_seconds)
    if isinstance(error, Conflict):
        category = ApplicationErrorCategory.BENIGN
    name = type(error).__name__
    return ApplicationError(
        bounded(str(error)) or name, *details, type=name, non_retryable=final, category=category, next_retry_delay=wait
    )


def bounded(text: str) -> str:
    """At most `MAX_FAILURE_TEXT` characters; what was cut is marked."""
    return text if len(text) <= MAX_FAILURE_TEXT else text[: MAX_FAILURE_TEXT - 3] + "..."


def business_ids(fn: Callable[..., Any], args: Any) -> Iterator[tuple[str, str]]:
    """The decision, order and batch ids among an activity's arguments: fields of payloads, or strings by name."""
    names = list(inspect.signature(fn).parameters)
    # A bound method's signature lacks `self`; an unbound one is never handed to the worker.
    for name, value in zip(names, args, strict=False):
        if name in BUSINESS_IDS and isinstance(value, str):
            yield name, value
            continue
        for field in BUSINESS_IDS:
            found = getattr(value, field, None)
            if isinstance(found, str):
                yield field, found

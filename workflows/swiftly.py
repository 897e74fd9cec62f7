"""One short transaction within the workflow's own step: each transition of Temporal costs more than the transaction.

What fails there in any way is tried again as an activity, with the patience that activities have. Only what began in
fewer steps does so: its start says `brief`, so no history of before is read in another way.
"""

from collections.abc import Callable
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

from workflows.options import DATABASE, DATABASE_AT_ONCE


async def transacted(method: Callable[..., Any], *args: Any, brief: bool) -> Any:
    """What the activity method gives: at once where `brief`, and in any case in the end."""
    if brief:
        try:
            return await workflow.execute_local_activity_method(method, args=args, **DATABASE_AT_ONCE)
        except FailureError as error:  # what fails within a step comes without an ActivityError around it
            if is_cancelled_exception(error):
                raise
            workflow.logger.info("%s did not work at once: %s", method.__name__, error)
    return await workflow.execute_activity_method(method, args=args, **DATABASE)

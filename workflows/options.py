"""Patience, named after the kind of work. No other file holds a timeout or a retry policy."""

from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityConfig, LocalActivityConfig

from workflows.naming import ENGINE_QUEUE, LEARNING_QUEUE, SUPPLIER_QUEUE

DATABASE: Final = ActivityConfig(
    task_queue=ENGINE_QUEUE,
    start_to_close_timeout=timedelta(seconds=30),
    retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30)),
)
"""A transaction or two. Retried for ever: the database comes back, and nothing may be lost until then."""

DATABASE_AT_ONCE: Final = LocalActivityConfig(
    start_to_close_timeout=timedelta(seconds=5), retry_policy=RetryPolicy(maximum_attempts=1)
)
"""The same within the workflow's own step, once and in a hurry; whatever fails is tried again with patience."""

SCORING: Final = ActivityConfig(
    task_queue=LEARNING_QUEUE,
    start_to_close_timeout=timedelta(minutes=10),
    heartbeat_timeout=timedelta(seconds=30),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)),
)
"""One batch: loaded, scored in one pass, decided and recorded. Its needs wait for it, so a worker that died is noticed
by its silence and not at the deadline."""

TRAINING: Final = ActivityConfig(
    task_queue=LEARNING_QUEUE,
    start_to_close_timeout=timedelta(hours=6),
    heartbeat_timeout=timedelta(minutes=2),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=10), maximum_attempts=5),
)
"""Long numeric work that reports progress; a worker that died is noticed by its silence."""

MEASURING: Final = ActivityConfig(
    task_queue=ENGINE_QUEUE,
    start_to_close_timeout=timedelta(minutes=30),
    heartbeat_timeout=timedelta(minutes=2),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)),
)
"""Many transactions in bounded rounds, each one kept; a repeated attempt goes on where the last one stopped."""

REPLAYING: Final = ActivityConfig(
    task_queue=LEARNING_QUEUE,
    start_to_close_timeout=timedelta(hours=1),
    heartbeat_timeout=timedelta(seconds=30),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)),
)
"""A stretch of recorded decisions, made again: it changes nothing, and a dead worker's stretch is done by another."""

RECONCILING: Final = ActivityConfig(
    task_queue=SUPPLIER_QUEUE,
    start_to_close_timeout=timedelta(hours=1),
    heartbeat_timeout=timedelta(seconds=30),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=10), maximum_interval=timedelta(minutes=5), maximum_attempts=6
    ),
)
"""A supplier's own list, read and compared: gone on with where it stopped, and given up until tomorrow in the end."""

SUPPLIER_LEASE_SECONDS: Final = 60
"""Longer than an attempt may take, so that two attempts never overlap unnoticed."""

WRITE_PAUSE: Final = timedelta(seconds=3)
"""Between the first attempt to place an order and the second."""

EXTERNAL_WRITE: Final = ActivityConfig(
    task_queue=SUPPLIER_QUEUE,
    start_to_close_timeout=timedelta(seconds=45),
    schedule_to_close_timeout=timedelta(hours=6),
    retry_policy=RetryPolicy(
        initial_interval=WRITE_PAUSE, backoff_coefficient=2.0, maximum_interval=timedelta(minutes=5)
    ),
)
"""Placing an order. Each retry reconciles first; after six hours a person must look."""

WRITE_AT_ONCE: Final = LocalActivityConfig(
    start_to_close_timeout=timedelta(seconds=45), retry_policy=RetryPolicy(maximum_attempts=1)
)
"""Placing an order within the workflow's own step, once. It has the time that any attempt has: a request that left is
not abandoned."""

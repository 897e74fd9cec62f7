"""`quartermaster up`: everything on one machine, with a world to look at, until Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from connectors.kafka.topics import ensure_topics
from console.auth import sign_in_token
from workers.enrolling import SECOND, enrol
from workers.preparing import feed_source, prepare_schema
from workers.progress import Say
from workers.settings import Settings
from workers.stack import EngineStack
from workers.wiring import console_key, required
from workflows.domain.feeds import FeedSource
from workflows.domain.needs import ClockMode

CHECK_SECONDS = 0.5
UP_DAYS = 60
UP_SPEED = 1440.0
"""A business day in a minute: slow enough to answer a task, fast enough to see it matter."""


@dataclass(frozen=True)
class Plan:
    """What `up` is asked for."""

    empty: bool
    days: int = UP_DAYS
    speed: float = UP_SPEED
    seed: int = 7
    user: str = "planner"


def run_up(state_dir: Path, settings: Settings, plan: Plan, say: Say) -> None:
    """Start everything, say where it is, and stop it in order on Ctrl-C or SIGTERM.

    Raises:
        StackRunning, PortInUse, ServerUnusable, ProcessFailed: the message says what to do.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    clock = settings.clock if plan.empty else ClockMode.REPLAYED.value
    source = feed_source("demo", None, plan.days, plan.seed)
    asked = settings.model_copy(
        update={
            "clock": clock,
            "outcome_interval_s": settings.outcome_interval_s or 30,
            "currency": source.catalog.currency,
        }
    )
    with EngineStack(state_dir, asked, say) as stack:
        for _ in _steps(stack, source, plan, say):
            if stop.is_set():
                break
        while not stop.wait(CHECK_SECONDS):
            stack.check()
        say("Stopping")
    say("Everything has stopped; the state stays. `quartermaster up` goes on from here.")


def _steps(stack: EngineStack, source: FeedSource, plan: Plan, say: Say) -> Iterator[None]:
    """Starts everything, one thing at a time, so that Ctrl-C need not wait for all of it."""
    stack.start()
    yield
    prepare_schema(stack.settings, say)
    enrol(stack.settings, plan.user)
    ensure_topics(required(stack.settings, "kafka_bootstrap"))
    yield
    stack.start_supplier(source.behaviours)
    yield
    stack.start_process("notary")  # stopped in reverse: the notary sees all
    stack.start_intake()
    stack.start_process("worker")
    address = stack.start_console()
    yield
    if not plan.empty:
        arguments = ["demo", "--days", str(plan.days), "--speed", str(plan.speed), "--seed", str(plan.seed)]
        stack.start_process("feed", *arguments, ends=True)
    _welcome(stack, address, plan, say)


def next_on_empty(clock: str) -> str:
    """What can be done with an empty installation on this clock."""
    load = "`quartermaster import --catalog FILE --history FILE`"
    if clock == ClockMode.LIVE:
        return (
            f"Next: {load}, then send events to Kafka (docs/events.md). The clock is live; to play a recorded world, "
            "start with `QM_CLOCK=replayed quartermaster up --empty`."
        )
    return f"Next: `quartermaster feed demo`, or {load}. The clock is moved by events alone."


def _welcome(stack: EngineStack, address: str, plan: Plan, say: Say) -> None:
    say("")
    if stack.settings.oidc_issuer:
        say(f"Console       {stack.settings.console_url or address}")
    else:
        key = console_key(stack.settings)
        say(f"Console       {address}/sign-in?token={sign_in_token(key, plan.user)}")
        say(f"As a second   {address}/sign-in?token={sign_in_token(key, SECOND.name)}")
        say(f"              Each link opens one session, within 15 minutes: `quartermaster sign-in {plan.user}` and")
        say(f"              `quartermaster sign-in '{SECOND.name}'` print new ones.")
    say(f"Temporal UI   {stack.settings.temporal_ui_address}")
    say(f"Simulated suppliers {stack.settings.supplier_url}, Kafka {stack.settings.kafka_bootstrap}")
    say(f"Logs          {stack.state_dir / 'logs'}")
    say("")
    if plan.empty:
        say(next_on_empty(stack.settings.clock))
    else:
        say("Next: open the console. The demo world (everything in it is invented) trains its first model for about")
        say(f"half a minute, then plays {plan.days} days, one in {86_400 / plan.speed:.0f} s. Tasks appear in the")
        say("inbox; `quartermaster tasks list` shows the same.")
    say("Ctrl-C stops everything.")

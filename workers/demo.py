"""The demo: a stretch of a world with a scripted planner, played to its end, then checked against the books.

Every count is read from the database and from the suppliers' own journal, never kept along the way; the exit code is
what the invariants say.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from connectors.erp.supplier_control import SupplierControl
from connectors.kafka.producer import EventProducer
from connectors.kafka.topics import ensure_topics
from connectors.postgres import ledger
from connectors.postgres.desk import PostgresDesk
from connectors.postgres.people import PostgresPeople
from connectors.postgres.pool import connect
from connectors.postgres.roles import DatabaseRole
from connectors.postgres.settling import Settling
from workers.certified import closed_books, uncertified
from workers.databases import in_role
from workers.enrolling import enrol
from workers.feeding import Journal, WorldDriver
from workers.planner import ScriptedPlanner
from workers.preparing import feed_source, first_model, load_world, prepare_schema, train
from workers.progress import Say
from workers.settings import Settings
from workers.stack import EngineStack, to_its_end
from workers.wiring import Engine, engine, required
from workflows.domain.errors import InvalidInput
from workflows.domain.feeds import FeedSource
from workflows.domain.models import ModelStatus, ModelVersion, TrainingRequest

log = logging.getLogger(__name__)

OUTCOMES_EVERY_S = 5
OUTCOMES_WITHIN_S = 180.0
"""A round that a killed worker began is noticed by its silence, after two minutes."""
RETRAIN_AFTER = 0.75
"""Share of the stretch after which the demo retrains; the newest days of it stay unseen."""
UNSEEN_DAYS = 7
STRETCH_FILE = "demo.json"
WHOLE_LOOP_DAYS = 14
"""From this length on every part of the loop must have been seen; no delivery comes within a two-day demo."""


@dataclass(frozen=True)
class Outcome:
    """The demo's summary and what is wrong with it."""

    summary: dict[str, Any]
    broken: tuple[str, ...]


class Stretch(BaseModel):
    """Which world a demo plays. A resumed one must play the same: its events' ids are a function of these."""

    model_config = ConfigDict(frozen=True)

    feed: str
    file: Path | None = None
    days: int | None = None
    seed: int

    def source(self) -> FeedSource:
        """The world itself.

        Raises:
            InvalidInput: an unknown feed, a missing file, or a file that is not what it should be.
        """
        return feed_source(self.feed, self.file, self.days, self.seed)


def remember(state_dir: Path, stretch: Stretch) -> None:
    """Note what a new demo plays, before anything of it runs."""
    state_dir.mkdir(parents=True, exist_ok=True)
    absolute = stretch.model_copy(update={"file": stretch.file and stretch.file.expanduser().absolute()})
    (state_dir / STRETCH_FILE).write_text(absolute.model_dump_json())


def remembered(state_dir: Path) -> Stretch:
    """What the demo on this state plays.

    Raises:
        InvalidInput: there is none to go on with.
    """
    try:
        return Stretch.model_validate_json((state_dir / STRETCH_FILE).read_text())
    except (FileNotFoundError, ValidationError):
        raise InvalidInput(f"there is no demo in {state_dir} to resume; `quartermaster demo` starts one") from None


async def run_demo(state_dir: Path, settings: Settings, source: FeedSource, say: Say) -> Outcome:
    """Start a stack on this state, play the feed from where its journal stands, and check the books.

    Raises:
        StackRunning, PortInUse, ProcessFailed: the stack could not be started, or a process of it was given up.
        Unavailable: something did not settle; `--resume` goes on from there.
    """
    began = time.monotonic()
    asked = settings.model_copy(
        update={
            "clock": "replayed", "outcome_interval_s": OUTCOMES_EVERY_S, "currency": source.catalog.currency,
            "temporal_port": 0, "temporal_ui_port": 0, "kafka_port": 0, "supplier_port": 0,
        }
    )  # fmt: skip
    with EngineStack(state_dir, asked, say) as stack:
        await to_its_end(stack.start)
        await asyncio.to_thread(prepare_schema, stack.settings, say)
        await asyncio.to_thread(enrol, stack.settings)
        await asyncio.to_thread(ensure_topics, required(stack.settings, "kafka_bootstrap"))
        await asyncio.to_thread(load_world, in_role(stack.settings, DatabaseRole.OPERATOR), source, say)
        running = in_role(await to_its_end(stack.start_supplier, source.behaviours), DatabaseRole.OPERATOR)
        await to_its_end(stack.start_process, "notary")
        await to_its_end(stack.start_intake)
        await to_its_end(stack.start_process, "worker")
        playing = asyncio.ensure_future(_play(running, state_dir, source, say))
        outcome = await _while_healthy(stack, playing)
        closed = await to_its_end(closed_books, stack)
    summary = {**outcome.summary, **closed, "seconds": round(time.monotonic() - began, 1)}
    return Outcome(summary, (*outcome.broken, *uncertified(closed)))


async def _while_healthy(stack: EngineStack, playing: "asyncio.Future[Outcome]") -> Outcome:
    """Fail at once when a process is given up, instead of waiting for what will never settle."""
    try:
        while not (await asyncio.wait({playing}, timeout=1.0))[0]:
            stack.check()
    finally:
        playing.cancel()
    return playing.result()


async def _play(settings: Settings, state_dir: Path, source: FeedSource, say: Say) -> Outcome:
    async with engine(settings, name="quartermaster-demo", pool_size=4) as parts:
        await first_model(parts, say)
        dsn = required(settings, "postgres_dsn")
        control = SupplierControl(required(settings, "supplier_url"))
        producer = EventProducer(required(settings, "kafka_bootstrap"))
        with connect(dsn, name="quartermaster-demo") as connection:
            settling = Settling(connection)
            desk = PostgresDesk(parts.database)
            planner = ScriptedPlanner(desk, parts.answers, PostgresPeople(parts.database))
            await planner.arrive()
            days = (source.last_day - source.first_day).days + 1
            retrain_on = source.first_day + timedelta(days=int(days * RETRAIN_AFTER) - 1)

            async def evening(day: date) -> None:
                await planner.work(day)
                if day == retrain_on:
                    await _retrain(parts, say)

            driver = WorldDriver(
                source, producer, settling, control, Journal(state_dir / "feed.json"), say=say, answers=evening,
                patient=False,
            )  # fmt: skip
            await driver.play()
            await _outcomes_closed(settling, say)
            counts, ours, theirs = await _books(parts, desk, control, dsn)
            counts["outcomes_due"] = await asyncio.to_thread(settling.outcomes_due)
        control.close()
    passive = settings.mode == "passive"
    broken = broken_invariants(counts, ours, theirs, passive=passive)
    if days >= WHOLE_LOOP_DAYS:
        broken += unseen_parts(counts, passive=passive)
    report = source.report()
    told = {"rows_skipped": report.skipped, "invented": report.invented}
    return Outcome({"feed": source.name, "days": days, **counts, **told}, tuple(broken))


async def _retrain(parts: Engine, say: Say) -> None:
    say("Retraining on what happened")
    closed = await train(parts, TrainingRequest(seed=2, reason="demo", unseen_days=UNSEEN_DAYS), say)
    verdict = "promoted" if closed.status is ModelStatus.CHAMPION else str(closed.status or "nothing new")
    say(f"The candidate was {verdict}: {'; '.join(closed.reasons)}")


async def _outcomes_closed(settling: Settling, say: Say) -> None:
    """The schedule closes decisions; wait for it, but not for ever."""
    say("Closing the decisions whose horizon has passed")
    deadline = time.monotonic() + OUTCOMES_WITHIN_S
    while await asyncio.to_thread(settling.outcomes_due):
        if time.monotonic() > deadline:
            log.warning("outcomes are still due after %.0f s", OUTCOMES_WITHIN_S)
            return
        await asyncio.sleep(0.5)


OrderLines = set[tuple[str, str]]
"""(order key, hash of lines)."""


async def _books(
    parts: Engine, desk: PostgresDesk, control: SupplierControl, dsn: str
) -> tuple[dict[str, Any], OrderLines, OrderLines]:
    counts = await desk.counts()
    ours, theirs = await desk.order_lines(), await asyncio.to_thread(control.booked)
    verified = await asyncio.to_thread(_verify, dsn)
    versions = await parts.models.versions()
    promoted = sum(_was_promoted(version) for version in versions)
    told = {"orders_at_supplier": len(theirs), "model_promoted": promoted, "ledger_ok": verified.ok}
    return {**counts, **told}, ours, theirs


def _was_promoted(version: ModelVersion) -> bool:
    """Whether it beat a champion and took its place; the first model beat nobody."""
    in_use = version.status in (ModelStatus.CHAMPION, ModelStatus.RETIRED)
    return in_use and version.comparison is not None


def _verify(dsn: str) -> Any:
    with connect(dsn, name="quartermaster-verify") as connection:
        return ledger.verify(ledger.read_entries(connection))


MUST_EXCEED_ZERO = (
    "events", "needs", "holds", "proposals", "auto_released", "tasks_opened", "approved", "rejected", "orders_placed",
    "orders_at_supplier", "receipts", "outcomes", "models_trained", "ledger_entries",
)  # fmt: skip


SENT = ("orders_placed", "orders_at_supplier", "receipts")
"""What a passive engine never brings about."""


def unseen_parts(counts: dict[str, Any], *, passive: bool = False) -> list[str]:
    """Parts of the loop that a whole stretch must have gone through and this one did not."""
    excused = SENT if passive else ()
    return [f"{name} is 0" for name in MUST_EXCEED_ZERO if not counts[name] and name not in excused]


def broken_invariants(
    counts: dict[str, Any], ours: OrderLines, theirs: OrderLines, *, passive: bool = False
) -> list[str]:
    """What the books contradict: an empty list is a demo that kept its promise."""
    broken = []
    if ours != theirs:
        broken.append(f"orders differ: {len(ours - theirs)} only here, {len(theirs - ours)} only at the suppliers")
    if not counts["ledger_ok"]:
        broken.append("the ledger does not verify")
    if passive and theirs:
        broken.append(f"{len(theirs)} orders reached the suppliers although nothing may be sent")
    if counts["outcomes_due"]:
        broken.append(f"{counts['outcomes_due']} outcomes are still due")
    sums = (
        ("needs", ("holds", "proposals")),
        ("proposals", ("auto_released", "blocked", "tasks_opened")),
        ("tasks_opened", ("approved", "rejected", "expired", "voided", "open")),
    )
    for total, parts in sums:
        added = sum(counts[part] for part in parts)
        if counts[total] != added:
            broken.append(f"{total} is {counts[total]}, but {' + '.join(parts)} is {added}")
    return broken

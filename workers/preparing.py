"""Gets an installation ready for a feed: schema, policy, catalog, the recorded past, and a first model."""

import asyncio
from pathlib import Path

from connectors.feeds.dataco import DataCo
from connectors.feeds.online_retail import OnlineRetail
from connectors.feeds.world import DemoWorld
from connectors.postgres.catalog import adopt_policy, load_catalog, load_history
from connectors.postgres.migrating import migrate
from connectors.postgres.policies import note_invented
from connectors.postgres.pool import connect
from connectors.postgres.sealing_step import count_clear, seal_what_is_clear, vacuum
from connectors.postgres.settings_kept import note_schema, watch_schema
from workers.databases import owner_of
from workers.personal_key import database_of
from workers.progress import Say
from workers.settings import Settings
from workers.wiring import Engine, required
from workflows.domain.errors import InvalidInput, Unavailable
from workflows.domain.feeds import FeedSource
from workflows.domain.models import TrainingRequest
from workflows.domain.policies import Policy
from workflows.retraining import RetrainingClosed

PROGRESS_SECONDS = 1.0
FEEDS = ("demo", "online-retail", "dataco")


def feed_source(feed: str, file: Path | None, days: int | None, seed: int) -> FeedSource:
    """The world by its name.

    Raises:
        InvalidInput: an unknown feed, a missing file, or a file that is not what it should be.
    """
    if feed == "demo":
        return DemoWorld(seed=seed, days=days or 28)
    if feed not in FEEDS:
        raise InvalidInput(f"there is no feed {feed!r}; choose one of {', '.join(FEEDS)}")
    if file is None:
        raise InvalidInput(f"the feed {feed} needs the file: --file PATH")
    return OnlineRetail(file, days=days, seed=seed) if feed == "online-retail" else DataCo(file, days=days, seed=seed)


def prepare_schema(settings: Settings, say: Say) -> None:
    """Bring the schema up to date and adopt the first policy, as the owner of the tables.

    Nothing, on a server of the user's own, for a process whose role owns none: `quartermaster migrate` is a step there.
    """
    dsn = owner_of(settings)
    if dsn is None:
        return
    applied = migrate(dsn)
    if applied:
        say(f"Applied {len(applied)} migrations")
    with connect(dsn, name="quartermaster-prepare") as connection:
        note_schema(connection)
        if not watch_schema(connection):
            say("Changes of the schema past `quartermaster migrate` are not noted: only a superuser can have that done")
        adopt_policy(connection, Policy(), actor="installation")
        if clear := count_clear(connection):
            say(f"Sealing what is personal in {clear:,} rows of an earlier release")
            asyncio.run(_seal(settings, dsn))
            vacuum(connection)


async def _seal(settings: Settings, dsn: str) -> None:
    async with database_of(settings, dsn, name="quartermaster-prepare", size=1) as database:
        await seal_what_is_clear(database)


def load_world(settings: Settings, source: FeedSource, say: Say) -> None:
    """Load the feed's catalog and its recorded past; loading again changes nothing."""
    with connect(required(settings, "postgres_dsn"), name="quartermaster-prepare") as connection:
        load_catalog(connection, source.catalog, actor=f"feed {source.name}")
        note_invented(connection, "; ".join(source.report().invented))
        rows, receipts = load_history(
            connection, source.recorded_demand(), source.recorded_receipts(), actor=f"feed {source.name}"
        )
    say(
        f"Loaded {len(source.catalog.items):,} items, {len(source.catalog.sourcing):,} sourcings, "
        f"{rows:,} days of recorded demand, {receipts:,} past deliveries"
    )


async def first_model(parts: Engine, say: Say, seed: int = 1) -> None:
    """Train the first champion unless there is one.

    Raises:
        Unavailable: training ended without a model; the worker's log says why.
    """
    if await parts.has_model():
        return
    say("Training the first model on the recorded history")
    closed = await train(parts, TrainingRequest(seed=seed, reason="first model"), say)
    if not await parts.has_model():
        raise Unavailable(f"no model came out of training: {'; '.join(closed.reasons)}")
    say(f"Model {str(closed.digest)[:12]} is the champion")


async def train(parts: Engine, request: TrainingRequest, say: Say) -> RetrainingClosed:
    """One round of training, from data set to gate, with its progress."""
    day = str(await parts.models.newest_day())
    running = asyncio.ensure_future(parts.starter.retraining(request, day))
    while not (await asyncio.wait({running}, timeout=PROGRESS_SECONDS))[0]:
        heard = await parts.starter.training_progress(request, day)
        if heard is not None:
            say.bar("training", heard[1], max(heard[1] + 1, heard[2]))
    say.bar("training", 1, 1)
    return running.result()

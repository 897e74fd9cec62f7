"""A running engine with a catalog in which each position has a supplier of its own: every proposal is an order.

That is the dearest case: where positions share suppliers, a hundred proposals go out as one order. A fifth of the items
is in a category of which the policy lets a person look at everything; the rest is released within the policy. Each
position was never counted, so one count below what is needed opens one need for it, whenever that is wanted.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path

from activities.learning.learner import XgboostLearner
from activities.models import FIRST_MODEL
from connectors.kafka.producer import EventProducer
from connectors.kafka.topics import ensure_topics
from connectors.model_store import DirectoryModelStore
from connectors.postgres.catalog import adopt_policy, load_catalog, load_history
from connectors.postgres.migrating import migrate
from connectors.postgres.models import PostgresModels
from connectors.postgres.pool import Connection, Database, connect
from tests.bench.measuring import progress
from workers.enrolling import enrol
from workers.preparing import prepare_schema
from workers.progress import QuietLines
from workers.settings import Settings
from workers.stack import EngineStack
from workers.wiring import required
from workflows.domain.catalog import Catalog, Item, Location, Sourcing, Supplier
from workflows.domain.events import ClockAdvanced, Event, StockCounted
from workflows.domain.feeds import RecordedDemand, SupplierBehaviour
from workflows.domain.identity import digest
from workflows.domain.limits import Override
from workflows.domain.models import ModelStatus, TrainingSet
from workflows.domain.policies import Policy

LOCATIONS = ("NORTH", "SOUTH", "EAST", "WEST")
MORNING = datetime(2025, 3, 3, 5, tzinfo=UTC)
LAST_DAY = date(2025, 3, 2)
HISTORY_DAYS = 120
ASKED, RELEASED = "asked about", "released"
ASKED_EVERY = 5
MIXED = ASKED_EVERY * len(LOCATIONS)
"""Of so many positions in a row, a person is asked about one in five."""
FAR = Decimal(1_000_000)
SOURCE = "urn:bench"
Place = tuple[str, str]
"""(location, item)."""


def places(items: int) -> list[Place]:
    """Every position, spread over the locations; every fifth is one that a person is asked about."""
    return [(location, f"SKU-{n:05}") for n in range(items) for location in LOCATIONS]


def is_asked(item: str) -> bool:
    """Whether the policy asks a person about this item."""
    return int(item.removeprefix("SKU-")) % ASKED_EVERY == 0


def catalog(items: int) -> Catalog:
    """Each item comes from a supplier of its own, to every location."""
    numbers = range(items)
    return Catalog(
        items=tuple(
            Item(
                item=f"SKU-{n:05}", name=f"Article {n}", category=ASKED if is_asked(f"SKU-{n:05}") else RELEASED,
                price=Decimal("9.90"),
            )
            for n in numbers
        ),
        locations=tuple(Location(location=name, name=name.title()) for name in LOCATIONS),
        suppliers=tuple(Supplier(supplier=f"SUP-{n:05}", name=f"Supplier {n}") for n in numbers),
        sourcing=tuple(
            Sourcing(
                item=f"SKU-{n:05}", location=location, supplier=f"SUP-{n:05}", unit_cost=Decimal("4.20"), pack_units=6,
                minimum_order_units=12, lead_time_days=3,
            )
            for n in numbers
            for location in LOCATIONS
        ),
    )  # fmt: skip


def policy() -> Policy:
    """A person looks at one category, whatever it is; nothing else asks."""
    return Policy(
        auto_value_limit=FAR, soon_risk_limit=Decimal(1), soon_lost_value_limit=FAR, usual_quantity_factor=FAR,
        costly_if_wrong_limit=FAR, stale_after_hours=24 * 365, new_item_asks=False, new_supplier_asks=False,
        little_history_asks=False, overrides=(Override(category=ASKED, auto_value_limit=Decimal(0)),),
    )  # fmt: skip


def demand(items: int) -> Iterator[RecordedDemand]:
    """A steady week for each position."""
    for number, (location, item) in enumerate(places(items)):
        for back in range(HISTORY_DAYS):
            day = LAST_DAY - timedelta(days=back)
            units = 4 + (number * 7 + day.toordinal() * 5) % 9 + (3 if day.weekday() == 5 else 0)
            yield RecordedDemand(item=item, location=location, day=day, units=units)


class World:
    """What the benchmark does to the engine."""

    def __init__(self, stack: EngineStack, items: int) -> None:
        self.settings = stack.settings
        self.stack = stack
        self.places = places(items)
        self.producer = EventProducer(required(stack.settings, "kafka_bootstrap"))
        self.dsn = required(stack.settings, "postgres_dsn")
        self._numbers = count(1)

    def count(self, chosen: Sequence[Place]) -> None:
        """Somebody counted these positions, and little is left: one need each. Acknowledged when this returns."""
        self.producer.publish(
            [
                Event.of(
                    StockCounted(item=item, location=location, on_hand_units=3),
                    id=f"count:{next(self._numbers)}", source=SOURCE, time=MORNING - timedelta(hours=1),
                )
                for location, item in chosen
            ]
        )  # fmt: skip

    def strike(self) -> None:
        """The business clock of each location is where the day begins."""
        self.producer.publish(
            [
                Event.of(ClockAdvanced(location=name, through=MORNING), id=f"clock:{name}", source=SOURCE, time=MORNING)
                for name in LOCATIONS
            ]
        )

    def connect(self) -> Connection:
        """A connection of the benchmark's own."""
        return connect(self.dsn, name="bench")


@contextmanager
def running(state: Path, items: int, approvers: Sequence[str], *, supplier: bool = True) -> Iterator[World]:
    """The whole engine on this state: servers, suppliers, notary, intake, worker, console; each its own process."""
    settings = Settings(
        home=state, console_port=0, temporal_port=0, temporal_ui_port=0, kafka_port=0, supplier_port=0,
        clock="replayed", undo_seconds=0, order_cycle="at_once",
    )  # fmt: skip
    say = QuietLines()
    with EngineStack(state, settings, say) as stack:
        stack.start()
        dsn = required(stack.settings, "postgres_dsn")
        migrate(dsn)
        with connect(dsn, name="bench") as connection:
            adopt_policy(connection, policy(), actor="bench")  # the first one: any later one takes an approved change
        prepare_schema(stack.settings, say)
        enrol(stack.settings, *approvers)
        ensure_topics(required(stack.settings, "kafka_bootstrap"))
        asyncio.run(_filled(stack.settings, items))
        behaviours = [SupplierBehaviour(supplier=f"SUP-{n:05}", lead_days=(3,)) for n in range(items)]
        if supplier:
            stack.start_supplier(behaviours)
        for name in ("notary", "intake", "worker"):
            stack.start_process(name)
        stack.start_console()
        yield World(stack, items)


async def _filled(settings: Settings, items: int) -> None:
    """The catalog, the policy, the past and a champion."""
    dsn = required(settings, "postgres_dsn")
    with connect(dsn, name="bench") as connection:
        progress("decisions: loading the catalog and the past")
        load_catalog(connection, catalog(items), actor="bench")
        load_history(connection, demand(items), [], actor="bench")
        connection.execute("VACUUM ANALYZE")
    async with Database(dsn, name="bench", size=2) as database:
        models, store = PostgresModels(database), DirectoryModelStore(Path(required(settings, "model_store")))
        if await models.champion() is not None:
            return
        progress("decisions: training a model")
        known_at = datetime.now(UTC)
        series = (await models.training_series(known_at, LAST_DAY))[:200]
        learner = XgboostLearner(nthread=1, rows=3_000, rounds=20)
        model = learner.train(series, last_day=LAST_DAY, seed=1, progress=lambda *_: None)
        key = store.put(model)
        data = TrainingSet(sha256=digest(key), series=len(series), last_day=LAST_DAY, known_at=known_at)
        await models.register(learner.describe(model), data)
        await models.judge(key, ModelStatus.CANDIDATE, None, FIRST_MODEL)
        await models.promote(key, "bench")

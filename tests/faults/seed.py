"""Gets a world's database ready: schema, policy, goods, their past, a model that was really trained, and its people.

    python -m tests.faults.seed        (with the QM_ settings of an operator)

Every place sells two things: PLAIN, whose orders leave by themselves, and DEAR, whose orders wait for a person. A
story takes a place of its own, so that no other story moves its clock or shares its order.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from activities.learning.learner import XgboostLearner
from activities.models import FIRST_MODEL
from connectors.model_store import DirectoryModelStore
from connectors.postgres.catalog import adopt_policy, load_catalog, load_history
from connectors.postgres.migrating import migrate
from connectors.postgres.models import PostgresModels
from connectors.postgres.pool import connect
from connectors.postgres.roles import DatabaseRole, as_role, let_in
from workers.enrolling import enrol
from workers.personal_key import database_of
from workers.preparing import prepare_schema
from workers.progress import QuietLines
from workers.settings import Settings
from workflows.domain.catalog import Catalog, Item, Location, Sourcing, Supplier
from workflows.domain.errors import Unavailable
from workflows.domain.feeds import RecordedDemand, RecordedReceipt
from workflows.domain.models import ModelStatus, TrainingSeries, TrainingSet
from workflows.domain.policies import Policy
from workflows.domain.scores import DemandHistory

FIRST_DAY = date(2025, 3, 3)
"""The day of every story: a Monday."""
PAST_DAYS = 120
PLACES = 160
TRAINED_ON = 12
SUPPLIER = "acme"
PLAIN, DEAR = "PLAIN", "DEAR"
LIMIT = Decimal(5_000)
POLICY = Policy(
    auto_value_limit=LIMIT, soon_risk_limit=Decimal(1), soon_lost_value_limit=Decimal(10**6),
    usual_quantity_factor=Decimal(1000), costly_if_wrong_limit=Decimal(10**7),
)  # fmt: skip
APPROVERS = ("pat", "robin", "sam")


def places() -> list[str]:
    """Where stories happen."""
    return [f"P{number:03d}" for number in range(1, PLACES + 1)]


def catalog() -> Catalog:
    """Two things at every place, from one supplier."""
    prices = {PLAIN: (Decimal("4.20"), Decimal("9.90")), DEAR: (Decimal(900), Decimal(1600))}
    return Catalog(
        items=tuple(Item(item=name, name=name.title(), category="things", price=prices[name][1]) for name in prices),
        locations=tuple(Location(location=place, name=place) for place in places()),
        suppliers=(Supplier(supplier=SUPPLIER, name="Acme", cost_per_order=Decimal(0)),),
        sourcing=tuple(
            Sourcing(
                item=name, location=place, supplier=SUPPLIER, unit_cost=prices[name][0], lead_time_days=3,
                review_days=2,
            )
            for place in places()
            for name in prices
        ),
    )  # fmt: skip


def sold(place: str, item: str) -> list[int]:
    """Units of each past day, some eight a day, the same each time."""
    chance = random.Random(f"{place} {item}")  # noqa: S311 - a past, no secret
    return [max(0, round(chance.gauss(8, 2.5))) for _ in range(PAST_DAYS)]


def recorded_demand() -> Iterator[RecordedDemand]:
    """The past of every place."""
    begins = FIRST_DAY - timedelta(days=PAST_DAYS)
    for place in places():
        for item in (PLAIN, DEAR):
            for number, units in enumerate(sold(place, item)):
                yield RecordedDemand(item=item, location=place, day=begins + timedelta(days=number), units=units)


def recorded_receipts() -> Iterator[RecordedReceipt]:
    """One delivery to each place a while ago: nothing is ordered there for the first time."""
    for place in places():
        for item in (PLAIN, DEAR):
            for days in (60, 30):
                ordered = FIRST_DAY - timedelta(days=days)
                yield RecordedReceipt(
                    supplier=SUPPLIER, item=item, location=place, ordered_on=ordered,
                    received_on=ordered + timedelta(days=3), units=200,
                )  # fmt: skip


def trained() -> tuple[XgboostLearner, bytes]:
    """A small model, and who knows what it is."""
    begins, last = FIRST_DAY - timedelta(days=PAST_DAYS), FIRST_DAY - timedelta(days=1)
    series = [
        TrainingSeries(
            item=item, location=place, category="things",
            history=DemandHistory(first_day=begins, daily_units=tuple(sold(place, item))),
        )
        for place in places()[:TRAINED_ON]
        for item in (PLAIN, DEAR)
    ]  # fmt: skip
    learner = XgboostLearner(nthread=1, rows=2_000, rounds=10)
    return learner, learner.train(series, last_day=last, seed=1, progress=lambda *_: None)


async def _crown(settings: Settings, learner: XgboostLearner, body: bytes) -> None:
    assert settings.model_store is not None
    assert settings.postgres_dsn is not None
    digest = DirectoryModelStore(settings.model_store).put(body)
    facts = learner.describe(body)
    known = TrainingSet(
        sha256=digest, series=2 * TRAINED_ON, last_day=facts.trained_through,
        known_at=datetime.combine(FIRST_DAY, datetime.min.time(), UTC),
    )  # fmt: skip
    async with database_of(settings, settings.postgres_dsn, name="harness-seed", size=1) as database:
        models = PostgresModels(database)
        await models.register(facts, known)
        await models.judge(digest, ModelStatus.CANDIDATE, None, FIRST_MODEL)
        await models.promote(digest, "harness")


def _once_up(dsn: str) -> None:
    """Wait for the server, which starts beside us."""
    for _ in range(600):
        try:
            connect(dsn, name="harness-seed").close()
            return
        except Unavailable:
            time.sleep(0.1)
    raise Unavailable("PostgreSQL did not come up")


def main() -> int:
    """Everything, in order; training meanwhile."""
    settings = Settings.from_environment(os.environ)
    assert settings.postgres_dsn is not None
    with ThreadPoolExecutor(1) as beside:
        training = beside.submit(trained)
        _once_up(settings.postgres_dsn)
        let_in(settings.postgres_dsn)
        migrate(settings.postgres_dsn)
        with connect(settings.postgres_dsn, name="harness-seed") as connection:
            adopt_policy(connection, POLICY, actor="installation")
        prepare_schema(settings, QuietLines())
        operator = settings.model_copy(update={"postgres_dsn": as_role(settings.postgres_dsn, DatabaseRole.OPERATOR)})
        with connect(str(operator.postgres_dsn), name="harness-seed") as connection:
            load_catalog(connection, catalog(), actor="harness")
            load_history(connection, recorded_demand(), recorded_receipts(), actor="harness")
        enrol(settings, *APPROVERS)
        asyncio.run(_crown(operator, *training.result()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

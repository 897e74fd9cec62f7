"""Orders in flight: read from PostgreSQL, judged with the champion, and taught to the next model."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest
from temporalio.testing import ActivityEnvironment

from activities.learning.learner import XgboostLearner
from activities.learning.model_file import unpack
from activities.models import ModelActivities
from connectors.postgres.catalog import load_history
from connectors.postgres.deliveries import PostgresDeliveries
from connectors.postgres.models import PostgresModels
from tests.fakes.learning import EchoLearner, MemoryModelStore
from tests.integration.test_lead_times import ordered, said
from tests.storeroom import LOCATION, MORNING, SUPPLIER, Storeroom, clock, sold
from tests.unit.learning_world import LAST_DAY, steady_world
from tests.unit.test_learning_lateness import world
from workers.deliveries import LiveDeliveries
from workflows.domain.deliveries import Delivery, DeliveryRecord
from workflows.domain.events import ShipmentStatus
from workflows.domain.feeds import RecordedDemand, RecordedReceipt
from workflows.domain.models import Progress, TrainingRequest, TrainingSeries

TODAY = MORNING.date()


@pytest.fixture(scope="module")
def artefact() -> bytes:
    """A small real model that has learned lateness too."""
    learner = XgboostLearner(rows=2_000, rounds=5)
    return learner.train(
        steady_world(count=20, days=300)[0], last_day=LAST_DAY, seed=1, progress=lambda *_: None, deliveries=world()
    )


async def live(storeroom: Storeroom, artefact: bytes) -> LiveDeliveries:
    store = MemoryModelStore()
    store.put(artefact)
    await storeroom.champion(artefact)
    return LiveDeliveries(PostgresDeliveries(storeroom.database), storeroom.models, store)


async def only(found: LiveDeliveries) -> Delivery:
    (one,) = await found.in_flight()
    return one


async def test_an_order_in_flight_is_told_with_its_odds_and_what_it_threatens(
    storeroom: Storeroom, artefact: bytes
) -> None:
    order_id = await ordered(storeroom)
    on_hand = storeroom.position()["on_hand_units"]
    storeroom.take(
        said(order_id, ShipmentStatus.ACKNOWLEDGED, MORNING, MORNING + timedelta(days=3)),
        *[sold(4, at=MORNING + timedelta(hours=n)) for n in range(1, 3)],
        clock(MORNING + timedelta(days=1)),
    )
    found = await live(storeroom, artefact)
    one = await only(found)
    assert (one.order_id, one.supplier_name, one.location) == (order_id, "Acme", LOCATION)
    assert (one.promised_on, one.expected_on) == (TODAY + timedelta(days=3), TODAY + timedelta(days=3))
    assert (one.shipped, one.called_late, one.source, one.lines) == (False, False, "model", 2)
    assert 0 < one.late_probability < 1
    assert one.value == sum(row["units"] * row["unit_cost"] for row in storeroom.rows("SELECT * FROM order_line"))
    assert on_hand - 8 == 1, "a single unit is left of what sells eight a day"
    assert one.threats == (), "eight in four weeks is no pace at which one unit is gone in two days"
    storeroom.take(*[sold(40, at=MORNING + timedelta(days=1, hours=1))], clock(MORNING + timedelta(days=2)))
    (threat,) = (await only(found)).threats
    assert (threat.item, threat.probability) == ("ITEM-001", Decimal(1))
    assert threat.lost_value == (threat.lost_units * Decimal("9.90")).quantize(Decimal("0.01"))
    assert (await found.suppliers())[0].in_flight == 1


async def test_an_order_that_is_overdue_is_late_for_certain_and_gone_when_it_came(
    storeroom: Storeroom, artefact: bytes
) -> None:
    order_id = await ordered(storeroom)
    storeroom.take(
        said(order_id, ShipmentStatus.ACKNOWLEDGED, MORNING, MORNING + timedelta(days=3)),
        clock(MORNING + timedelta(days=5)),
    )
    found = await live(storeroom, artefact)
    one = await only(found)
    assert (one.late_probability, one.source) == (Decimal(1), "counts")
    assert one.days_late >= 3, "two days over, and not here today"
    storeroom.connection.execute("UPDATE order_line SET short_units = units")
    assert await found.in_flight() == []


async def test_suppliers_are_told_by_what_they_promised_and_did(storeroom: Storeroom, artefact: bytes) -> None:
    await storeroom.stock()
    days = [TODAY - timedelta(days=10 * n + 20) for n in range(20)]
    past = [
        RecordedReceipt(
            supplier=SUPPLIER, location=LOCATION, item="ITEM-001", ordered_on=day, units=6,
            received_on=day + timedelta(days=3 if n % 4 else 9),
        )
        for n, day in enumerate(days)
    ]  # fmt: skip
    load_history(storeroom.connection, [], past, actor="test")
    storeroom.take(clock())
    (record,) = await (await live(storeroom, artefact)).suppliers()
    assert (record.orders, record.late, record.late_share) == (20, 5, Decimal("0.25"))
    assert (record.promised_days, record.lead_time_p50_days, record.lead_time_p95_days) == (3, 3, 9)
    assert (record.supplier_p50_days, record.delivered_share) == (None, Decimal(1))


class RememberingLearner(EchoLearner):
    """A learner that keeps the deliveries it was given."""

    deliveries: tuple[DeliveryRecord, ...] = ()

    def train(
        self, series: Sequence[TrainingSeries], *, last_day: date, seed: int, progress: Progress,
        deliveries: Sequence[DeliveryRecord] = (),
    ) -> bytes:  # fmt: skip
        self.deliveries = tuple(deliveries)
        return super().train(series, last_day=last_day, seed=seed, progress=progress)


async def test_the_retraining_round_hands_past_orders_to_the_learner(storeroom: Storeroom) -> None:
    """Point in time, and through the store by reference: what training saw can be looked up."""
    day = TODAY - timedelta(days=40)
    await ordered(storeroom)
    demand = [
        RecordedDemand(item="ITEM-001", location=LOCATION, day=TODAY - timedelta(days=n), units=3) for n in range(1, 60)
    ]
    past = [
        RecordedReceipt(
            supplier=SUPPLIER, location=LOCATION, item="ITEM-001", units=6, ordered_on=day,
            received_on=day + timedelta(days=4),
        )
    ]  # fmt: skip
    load_history(storeroom.connection, demand, past, actor="test")
    storeroom.take(clock(MORNING + timedelta(days=9)))

    async def nobody() -> bool:
        return False

    learner, store = RememberingLearner(), MemoryModelStore()
    models = PostgresModels(storeroom.database)
    work = ModelActivities(models, store, learner, nobody, PostgresDeliveries(storeroom.database))
    environment = ActivityEnvironment()
    plan = await environment.run(work.plan, TrainingRequest())
    assert plan.training_set is not None, plan.reason
    assert plan.training_set.deliveries_sha256 in store.bodies
    trained = await environment.run(work.train, plan)
    assert trained.digest
    old, open_one = learner.deliveries
    assert (old.received_on, old.promised_on) == (
        day + timedelta(days=4), day + timedelta(days=3),
    )  # fmt: skip
    assert (open_one.received_on, open_one.lines, open_one.dated) == (None, 2, False)


def test_an_artefact_carries_its_lateness_and_one_without_still_loads(artefact: bytes) -> None:
    loaded = unpack(artefact, nthread=1)
    assert loaded.lateness is not None
    assert loaded.lateness.orders > 1_000
    learner = XgboostLearner(rows=2_000, rounds=5)
    bare = learner.train(steady_world(count=20, days=300)[0], last_day=LAST_DAY, seed=1, progress=lambda *_: None)
    assert unpack(bare, nthread=1).lateness is None
    assert len(bare) < len(artefact)

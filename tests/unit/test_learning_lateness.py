"""Lateness: learned from what was known in time, calibrated on later orders, judged on orders later still."""

import csv
import gzip
import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.learning.calibration import (
    auc,
    calibration_error,
    expected_calibration_error,
    fit_isotonic,
    skill,
)
from activities.learning.lateness import LatenessModel, late_risks, train_lateness
from activities.learning.lateness_features import NAMES, is_late, snapshots, vector_of
from tests.unit.learning_world import row, series
from workflows.domain.deliveries import DeliveryRecord
from workflows.domain.errors import ModelUnusable
from workflows.domain.scores import KeptPromises, LeadTimes, OpenReceipt

LAST = date(2025, 6, 30)
TODAY = LAST + timedelta(days=1)
DATACO = Path(__file__).parents[3] / "shared" / "data" / "dataco_sample.csv.gz"
KNOWN_IN_TIME = (
    "order date (DateOrders)", "Shipping Mode", "Order Region", "Days for shipment (scheduled)", "Order Item Quantity",
    "Order Item Total",
)  # fmt: skip
LEAKS = (
    "Days for shipping (real)", "Delivery Status", "Order Status", "shipping date (DateOrders)", "Late_delivery_risk",
)  # fmt: skip


def world(orders: int = 1_200, seed: int = 5) -> list[DeliveryRecord]:
    """One supplier is late with 60 % of its large orders, another one always on time, a third with one in ten."""
    chance = np.random.default_rng(seed)
    made = []
    for number in range(orders):
        on = LAST - timedelta(days=int((orders - number) * 500 / orders) + 1)
        name = ("late", "never", "rarely")[number % 3]
        units = int(chance.integers(1, 200))
        chances = {"late": 0.6 if units > 100 else 0.2, "never": 0.0, "rarely": 0.1}
        promised = on + timedelta(days=5)
        came = promised + timedelta(days=int(chance.integers(1, 5))) if chance.random() < chances[name] else promised
        made.append(
            DeliveryRecord(
                supplier=name, location="L1", ordered_on=on, promised_on=promised, dated=True, units=units, lines=2,
                received_on=came if came <= LAST else None, value=Decimal(units),
            )
        )  # fmt: skip
    return made


def trained(records: list[DeliveryRecord]) -> LatenessModel:
    model = train_lateness(records, last_day=LAST, seed=1, nthread=1)
    assert model is not None
    return model


def open_receipt(**more: object) -> OpenReceipt:
    facts = {"units": 150, "order_units": 150, "order_lines": 2, "order_value": 150, "ordered_days_ago": 1,
             "expected_in_days": 4, "promised_days": 5, "dated": True}  # fmt: skip
    return OpenReceipt.model_validate(facts | more)


def test_the_model_knows_who_is_late_with_what() -> None:
    model = trained(world())
    late = LeadTimes(promised_days=5, lane_kept=KeptPromises(judged=290, late=120),
                     supplier_kept=KeptPromises(judged=290, late=120))  # fmt: skip
    never = LeadTimes(promised_days=5, lane_kept=KeptPromises(judged=290, late=0),
                      supplier_kept=KeptPromises(judged=290, late=0))  # fmt: skip
    rows = [
        row(series("a", [1]), lead_times=seen).model_copy(update={"open_receipts": (open_receipt(order_units=units),)})
        for seen, units in ((late, 180), (late, 20), (never, 180))
    ]
    (large,), (small,), (sure,) = late_risks(rows, model)
    assert None not in (large, small, sure)
    large, small, sure = int(large or 0), int(small or 0), int(sure or 0)
    assert 450_000 < large < 750_000
    assert 50_000 < small < 350_000
    assert sure < 60_000
    assert model.tested.brier_skill > 0.1
    assert model.tested.auc > 0.75


def test_a_suppliers_rate_is_not_taken_for_a_calendar() -> None:
    """Few suppliers, many orders: told finely, their slowly moving rates would name weeks, and trees learn them."""
    assert trained(world(20_000)).tested.calibration_error < 0.03


def test_the_same_records_give_the_same_document_in_any_order() -> None:
    records = world()
    document = trained(records).document()
    assert json.dumps(document, sort_keys=True) == json.dumps(trained(records[::-1]).document(), sort_keys=True)
    again = LatenessModel.from_document(json.loads(json.dumps(document)), nthread=1)
    vectors = snapshots(records, LAST, 0.2).vectors
    assert (again.risks_ppm(vectors) == trained(records).risks_ppm(vectors)).all()
    assert json.dumps(again.document(), sort_keys=True) == json.dumps(document, sort_keys=True)


@pytest.mark.parametrize("damage", [{"features": ["x"]}, {"booster": {"x": 1}}, {"format": 99}, {"scores": "x"}])
def test_a_damaged_document_is_refused(damage: dict[str, object]) -> None:
    document = trained(world(400)).document()
    with pytest.raises(ModelUnusable):
        LatenessModel.from_document(document | damage, nthread=1)


def test_few_orders_or_none_late_teach_nothing() -> None:
    records = world()
    assert train_lateness(records[:150], last_day=LAST, seed=1, nthread=1) is None
    punctual = [one for one in records if one.supplier == "never"]
    assert len(punctual) > 200
    assert train_lateness(punctual, last_day=LAST, seed=1, nthread=1) is None


def test_lateness_by_chance_alone_is_left_to_the_counts() -> None:
    """A model of pure noise beats the base rate by luck or not at all; its claims stay near what is true."""
    chance = np.random.default_rng(8)
    noise = [
        one.model_copy(update={"received_on": one.promised_on + timedelta(days=int(chance.random() < 0.3))})
        for one in world()
    ]
    model = train_lateness(noise, last_day=LAST + timedelta(days=9), seed=1, nthread=1)
    if model is not None:
        said = model.risks_ppm(snapshots(noise, LAST, 0.3).vectors) / 1e6
        assert 0.2 < said.mean() < 0.4
        assert model.tested.brier_skill < 0.05


def test_nothing_that_became_known_later_is_in_a_snapshot() -> None:
    """Changing what happened after a day changes nothing that is said of that day."""
    records = world(300)
    cut = records[200].ordered_on
    changed = [
        one.model_copy(update={"received_on": one.ordered_on + timedelta(days=30), "shipped_on": None})
        if one.ordered_on >= cut
        else one
        for one in records
    ]  # fmt: skip
    before, after = snapshots(records, LAST, 0.2), snapshots(changed, LAST, 0.2)
    # Orders of the five days before the cut came after it: only those of the cut's own day may know nothing new.
    same = (before.days == cut.toordinal()) & (before.vectors[:, NAMES.index("elapsed_days")] == 0)
    mirror = (after.days == cut.toordinal()) & (after.vectors[:, NAMES.index("elapsed_days")] == 0)
    assert same.sum() > 0
    np.testing.assert_array_equal(before.vectors[same], after.vectors[mirror])


def test_training_and_scoring_see_the_same_figures() -> None:
    """No skew: the vector of a receipt in flight is that of its snapshot."""
    records = world(300)
    one, age = records[-40], 2
    today = one.ordered_on + timedelta(days=age)
    judged = [record for record in records if is_late(record, today) is not None and record.supplier == one.supplier]
    recent = [record for record in judged if record.ordered_on > today - timedelta(days=365)]
    assert len(recent) < len(judged), "some are too old to count"
    kept = KeptPromises(judged=len(recent), late=sum(bool(is_late(record, today)) for record in recent))
    receipt = open_receipt(
        ordered_days_ago=age, order_units=one.units, order_lines=one.lines, order_value=one.value, units=one.units
    )
    at = snapshots(records, LAST + timedelta(days=9), 0.2)
    mine = (at.days == one.ordered_on.toordinal()) & (at.vectors[:, NAMES.index("elapsed_days")] == age)
    served = vector_of(receipt, LeadTimes(promised_days=5, lane_kept=kept, supplier_kept=kept), today, 0.2)
    assert any(np.array_equal(found, np.array(served, dtype=np.float32), equal_nan=True) for found in at.vectors[mine])


def test_what_cannot_be_asked_is_left_to_the_counts() -> None:
    model, seen = trained(world()), LeadTimes(promised_days=5)
    for receipt in (
        open_receipt(revised=True), open_receipt(ordered_days_ago=9),
        open_receipt(promised_days=None, ordered_days_ago=6),
    ):  # fmt: skip
        assert vector_of(receipt, seen, TODAY, 0.2) is None
    found = row(series("a", [1])).model_copy(update={"open_receipts": (open_receipt(), open_receipt(revised=True))})
    ((said, unsaid),) = late_risks([found], model)
    assert said is not None
    assert unsaid is None
    assert late_risks([found], None) == [[None, None]]


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=40))
def test_isotonic_regression_never_falls_and_keeps_the_mean(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in pairs], dtype=np.float64)
    outcomes = np.array([float(late) for _, late in pairs])
    fitted = fit_isotonic(scores, outcomes, np.ones(len(pairs)), prior_rate=float(outcomes.mean()))
    assert (np.diff(fitted(np.linspace(-6, 6, 50))) >= 0).all()
    assert (np.diff(fitted.scores) > 0).all()
    assert 0 <= fitted.rates.min() <= fitted.rates.max() <= 1


def test_metrics_on_cases_done_by_hand() -> None:
    p, y = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0.0, 1.0, 1.0])
    assert auc(p, y) == pytest.approx(0.75)
    assert skill(p, y, 0.5).brier == pytest.approx((0.01 + 0.16 + 0.4225 + 0.04) / 4)
    assert calibration_error(np.array([0.25, 0.25]), np.array([0.0, 1.0])) == pytest.approx(0.25)
    steps = fit_isotonic(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.0]), np.full(3, 1e9), prior_rate=0.3)
    assert steps.rates.tolist() == pytest.approx([0.0, 0.5], abs=1e-6)


def _code(name: str) -> str:
    return name.strip().replace(" ", "-")


def dataco() -> list[DeliveryRecord]:
    """The public sample as orders of a carrier's service (its `Shipping Mode`) into a region.

    The real days serve as the outcome and as nothing else; the columns that tell it are not read into any feature.
    """
    made = []
    with gzip.open(DATACO, "rt", encoding="latin-1") as lines:
        for line in csv.DictReader(lines):
            known = {name: line[name] for name in KNOWN_IN_TIME}
            on = datetime.strptime(known["order date (DateOrders)"], "%m/%d/%Y %H:%M").date()  # noqa: DTZ007
            made.append(
                DeliveryRecord(
                    supplier=_code(known["Shipping Mode"]), location=_code(known["Order Region"]),
                    ordered_on=on, promised_on=on + timedelta(days=int(known["Days for shipment (scheduled)"])),
                    received_on=on + timedelta(days=int(line["Days for shipping (real)"])),
                    units=int(known["Order Item Quantity"]), value=Decimal(known["Order Item Total"]),
                )
            )  # fmt: skip
    return sorted(made, key=lambda one: one.ordered_on)


@pytest.mark.skipif(not DATACO.exists(), reason="the public DataCo sample is not in ../shared/data")
def test_on_real_shipments_it_beats_the_base_rate_and_is_calibrated() -> None:
    assert not set(KNOWN_IN_TIME) & set(LEAKS)
    records = dataco()
    cut = records[int(len(records) * 0.7)].ordered_on
    model = train_lateness([one for one in records if one.ordered_on <= cut], last_day=cut, seed=1, nthread=1)
    assert model is not None
    last = records[-1].received_on
    assert last is not None
    at = snapshots(records, last + timedelta(days=9), model.base_rate)
    unseen = (at.days > cut.toordinal() + 7) & (at.vectors[:, NAMES.index("elapsed_days")] == 0)
    said = model.risks_ppm(at.vectors[unseen]) / 1e6
    found = skill(said, at.late[unseen], model.base_rate)
    print(f"DataCo, {len(records)} lines, unseen from {cut}: {found}")
    assert found.observations > 1_500
    assert found.brier_skill > 0.15
    assert found.auc > 0.7
    assert found.calibration_error < 0.02 + expected_calibration_error(said), "so much is chance on so few"

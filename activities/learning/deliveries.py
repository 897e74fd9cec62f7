"""Deliveries are orders in flight judged for people: by the laws and the model that the risk of stock-outs uses."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from activities.learning.arrivals import arrival_law
from activities.learning.lateness import LatenessModel
from activities.learning.lateness_features import vector_of
from activities.learning.lead_time import WHOLE, LeadTimeLaw, counts, lead_time_law
from activities.learning.model_file import unpack
from activities.learning.windows import Floats, Ints
from workflows.domain.deliveries import Delivery, OrderInFlight, SupplierRecord, SupplierYear, Threat, WaitingItem
from workflows.domain.scores import probability, units

MODEL, COUNTS = "model", "counts"
PERMILLE = 1_000
CENT = Decimal("0.01")
# A probability below this is no threat that anybody should read about.
LEAST_THREAT = Decimal("0.02")


class DeliveryForecasts:
    """Implements `domain.deliveries.DeliveryRisks`."""

    def __init__(self, *, nthread: int = 1) -> None:
        self._nthread = nthread

    def assess(self, orders: Sequence[OrderInFlight], model: bytes | None) -> list[Delivery]:
        """One result per order, in order; without a model, or with one that learned no lateness, from the counts.

        Raises:
            ModelUnusable: when the bytes are damaged or too new for this installation.
        """
        lateness = unpack(model, nthread=self._nthread).lateness if model is not None else None
        risks = _risks(orders, lateness)
        return [_assessed(order, late_ppm) for order, late_ppm in zip(orders, risks, strict=True)]

    def records(self, suppliers: Sequence[SupplierYear]) -> list[SupplierRecord]:
        """The suppliers' years in figures, in order."""
        return [_record(supplier) for supplier in suppliers]


def _risks(orders: Sequence[OrderInFlight], model: LatenessModel | None) -> list[int | None]:
    risks: list[int | None] = [None] * len(orders)
    if model is None:
        return risks
    asked = [(n, vector_of(one.receipt, one.lead_times, one.today, model.base_rate)) for n, one in enumerate(orders)]
    vectors = {n: vector for n, vector in asked if vector is not None}
    if vectors:
        said = model.risks_ppm(np.array(list(vectors.values()), dtype=np.float32))
        for n, ppm in zip(vectors, said.tolist(), strict=True):
            risks[n] = ppm
    return risks


def _assessed(order: OrderInFlight, late_ppm: int | None) -> Delivery:
    receipt, today = order.receipt, order.today
    law = arrival_law(receipt, order.lead_times, late_ppm)
    weights = law.weights / law.weights.sum()
    promised_on = order.promised_on or order.ordered_on + timedelta(days=order.lead_times.promised_days)
    # Projection day of the promise; negative when it has passed.
    due = (promised_on - today).days
    days = np.arange(len(weights))
    late = 1.0 if due < 0 else float(weights[due + 1 :].sum())
    expected_on = None if receipt.expected_in_days is None else today + timedelta(days=receipt.expected_in_days)
    threats = [_threat(item, weights, days) for item in order.items]
    return Delivery(
        order_id=order.order_id, supplier=order.supplier, supplier_name=order.supplier_name, location=order.location,
        ordered_on=order.ordered_on, promised_on=promised_on, expected_on=expected_on,
        shipped=receipt.shipped_days_ago is not None, called_late=receipt.revised,
        late_probability=probability(min(late, 1.0)),
        days_late=units(float((np.maximum(days - due, 0) * weights).sum())).quantize(Decimal("0.1")),
        likely_on=_day(today, law, 500), surely_by=_day(today, law, 950),
        source=COUNTS if late_ppm is None else MODEL, units=receipt.units, lines=len(order.items),
        value=order.outstanding_value, currency=order.currency,
        threats=tuple(
            sorted(
                (threat for threat in threats if threat.probability >= LEAST_THREAT),
                key=lambda threat: (-threat.lost_value, threat.item),
            )
        ),
    )  # fmt: skip


def _day(today: date, law: LeadTimeLaw, permille: int) -> date:
    return today + timedelta(days=law.quantile(permille))


def _threat(item: WaitingItem, weights: Floats, days: Ints) -> Threat:
    """Stock at the pace of late against each day the order may come; goods come before the day's sales."""
    wanted = float(item.daily_units) * days
    missing = np.maximum(wanted - max(0, item.on_hand_units), 0)
    lost = units(float((missing * weights).sum()))
    return Threat(
        item=item.item, name=item.name, probability=probability(min(1.0, float(weights[missing > 0].sum()))),
        lost_units=lost, lost_value=(lost * item.price).quantize(CENT),
    )  # fmt: skip


def _record(supplier: SupplierYear) -> SupplierRecord:
    seen = supplier.lead_times
    law = lead_time_law(seen)
    shares = seen.delivered_permille
    return SupplierRecord(
        supplier=supplier.supplier, name=supplier.name, orders=seen.supplier_kept.judged,
        late=seen.supplier_kept.late, in_flight=supplier.in_flight, promised_days=seen.promised_days,
        lead_time_p50_days=law.quantile(500), lead_time_p95_days=law.quantile(950),
        supplier_p50_days=_median(seen.supplier_handling_days),
        transport_p50_days=_median(seen.supplier_transport_days),
        delivered_share=(Decimal(sum(shares)) / (PERMILLE * len(shares))).quantize(Decimal("0.0001"))
        if shares else Decimal(1),
    )  # fmt: skip


def _median(days: Sequence[int]) -> int | None:
    return LeadTimeLaw(counts(days) * WHOLE).quantile(500) if days else None

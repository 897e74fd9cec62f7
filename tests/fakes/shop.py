"""A small shop with realistic decisions, made by the engine's own `decide` from invented scores."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import sin
from typing import Any

from tests.fakes.desk import MemoryShop
from workflows.domain.approvals import TaskState
from workflows.domain.catalog import Item, Sourcing, Supplier
from workflows.domain.deciding import decide
from workflows.domain.decisions import RULE, Decided, Decision, DecisionInputs, SupplyOption
from workflows.domain.identity import digest, need_id
from workflows.domain.models import (
    Comparison,
    ModelStatus,
    ModelVersion,
    TrainedModel,
    promotion_gate,
)
from workflows.domain.needs import Need, NeedCause
from workflows.domain.policies import Policy
from workflows.domain.positions import Position
from workflows.domain.scores import DayForecast, Driver, Scores, Wider

CLOCK = datetime(2025, 11, 24, 6, 30, tzinfo=UTC)
POLICY = Policy()


def decided(
    name: str = "Oat drink barista 1 l", *, item: str = "OAT-1L", location: str = "LEEDS", number: int = 1,
    revision: int = 1, daily: float = 12, on_hand: int = 55, on_order: int = 0, unit_cost: str = "4.20",
    price: str = "7.90", pack: int = 12, minimum: int = 24, supplier: str = "northern-foods", lead_days: int = 5,
    ordered_before: bool = True, largest_receipt: int | None = 240, risk: str = "0.62", soon: str = "0.31",
    novelty: bool = False,
) -> Decided:  # fmt: skip
    """One decision; the defaults are a proposal that waits for a person because of its value or risk."""
    protection = lead_days + 7
    sample = tuple(int(daily * protection * (0.72 + 0.006 * n)) - on_hand - on_order for n in range(100))
    days = tuple(_day(CLOCK.date() + timedelta(days=n), n, daily) for n in range(28))
    sourcing = Sourcing(
        item=item, location=location, supplier=supplier, unit_cost=Decimal(unit_cost), pack_units=pack,
        minimum_order_units=minimum, lead_time_days=lead_days, review_days=7,
    )  # fmt: skip
    scores = Scores(
        item=item, location=location, forecaster="xgboost", segment="smooth", target=Decimal("0.95"),
        requirement_units=sample, days=days, protection_days=protection, lead_time_p50_days=lead_days,
        lead_time_p95_days=lead_days + 4, demand_p10=_units(daily * protection * 0.78),
        demand_p50=_units(daily * protection), demand_p90=_units(daily * protection * 1.26),
        stockout_risk=Decimal(risk), stockout_risk_soon=Decimal(soon),
        expected_lost_units=_units(daily * float(risk) * 3), watch_level_units=int(daily * (lead_days + 1) * 1.3),
        novelty=novelty, **_picture(daily, on_hand + on_order - 3),
        drivers=(
            Driver(feature="average of the last week", value="14.1", effect_units=Decimal("3.4")),
            Driver(feature="promotion on the day", value="yes", effect_units=Decimal("1.9")),
            Driver(feature="same weekday in the last 8 weeks", value="11.2", effect_units=Decimal("-0.8")),
        ),
    )  # fmt: skip
    inputs = DecisionInputs(
        need=Need(
            need_id=need_id(location, item, number), item=item, location=location,
            cause=NeedCause.BELOW_WATCH_LEVEL, opened_at=CLOCK - timedelta(hours=2),
        ),
        item=Item(item=item, name=name, category="drinks", price=Decimal(price)),
        position=Position(
            item=item, location=location, on_hand_units=on_hand, reserved_units=3, on_order_units=on_order
        ),
        options=(
            SupplyOption(
                sourcing=sourcing,
                supplier=Supplier(supplier=supplier, name=supplier.replace("-", " ").title()),
                ordered_before=ordered_before,
            ),
        ),
        scores=scores, shortage_per_unit=Decimal(price) - Decimal(unit_cost), holding_per_unit_day=Decimal("0.0023"),
        ordered_before=ordered_before, largest_receipt_units=largest_receipt,
        data_through=CLOCK - timedelta(minutes=20), clock=CLOCK, rule=RULE,
    )  # fmt: skip
    decision = Decision(
        decision_id=inputs.need.need_id, revision=revision, decided_at=CLOCK, result=decide(inputs, POLICY),
        inputs_digest=digest(inputs), model_digest=digest("model"), policy_digest=POLICY.digest,
    )  # fmt: skip
    return Decided(decision=decision, inputs=inputs)


def open_task(hours_left: int = 60, **more: Any) -> dict[str, Any]:
    """The task of a proposal that waits."""
    return {"state": TaskState.OPEN, "expire_at": CLOCK + timedelta(hours=hours_left), "answered_by": None, **more}


def stocked_shop() -> MemoryShop:
    """A morning's inbox with a bit of everything: many rules, long names, large sums, a hold, orders, dead letters."""
    shop = MemoryShop(CLOCK)
    oat = decided(daily=38, on_hand=96, unit_cost="6.40", price="11.50")
    shop.put(oat, "Oat drink barista 1 l", task=open_task(31))
    tea = decided(
        "Regency teapot, roses, hand painted, with lid and strainer", item="22423", location="LONDON-WEST",
        daily=6.5, on_hand=9, unit_cost="38.50", price="74.00", pack=4, minimum=8, supplier="staffordshire-potteries",
        lead_days=14, risk="0.97", soon="0.83", largest_receipt=24,
    )  # fmt: skip
    shop.put(tea, "Regency teapot, roses, hand painted, with lid and strainer",
             task=open_task(9, escalated_at=CLOCK - timedelta(hours=3)))  # fmt: skip
    mug = decided(
        "Enamel mug", item="MUG-E", location="YORK", daily=2.2, on_hand=11, unit_cost="3.10", price="6.00",
        ordered_before=False, risk="0.24", soon="0.04", novelty=True, supplier="blech-und-co", largest_receipt=None,
    )  # fmt: skip
    shop.put(mug, "Enamel mug", task=open_task(90))
    for number in range(1, 7):
        more = decided(
            f"Candle no. {number}", item=f"CANDLE-{number}", location="LEEDS", daily=4 + number, on_hand=4 * number,
            unit_cost="1.90", price="4.50", ordered_before=number % 2 == 0, novelty=number % 2 == 0,
            risk=f"0.{3 + number}1",
        )  # fmt: skip
        shop.put(more, f"Candle no. {number}", task=open_task(20 + 9 * number))
    hold = decided("Rapeseed oil", item="OIL-R", daily=1, on_hand=500, risk="0.0004", soon="0")
    shop.put(hold, "Rapeseed oil")
    shop.counts = {
        "events": 128_412, "dead_lettered": 3, "needs": 4_211, "holds": 3_402, "proposals": 809,
        "auto_released": 752, "blocked": 1, "tasks_opened": 56, "open": 9, "approved": 35, "rejected": 8, "expired": 3,
        "voided": 1, "orders_placed": 164, "orders_at_supplier": 164, "receipts": 139, "outcomes": 611,
        "models_trained": 2, "model_promoted": 1, "ledger_entries": 9_120,
    }  # fmt: skip
    shop.orders = [_order(n, state) for n, state in enumerate(("collecting", "in_doubt", "placed", "refused"), 1)]
    shop.dead_letters = [
        {
            "dead_letter_id": 3, "topic": "qm.sales", "partition": 1, "kafka_offset": 90_211, "message_key": "LEEDS:X",
            "error_code": "unknown_type", "error_detail": "the type com.example.weather is not known here",
            "first_seen": CLOCK, "redriven_at": None,
        }
    ]  # fmt: skip
    return shop


def model_versions() -> list[ModelVersion]:
    """A champion, a candidate that waits for a person, and one that the gate refused."""
    return [
        _model(1, ModelStatus.CHAMPION, None),
        _model(2, ModelStatus.REFUSED, _comparison("1.0310", "1.0700")),
        _model(3, ModelStatus.AWAITING_APPROVAL, _comparison("0.9420", "0.9810")),
    ]


def _model(number: int, status: ModelStatus, comparison: Comparison | None) -> ModelVersion:
    key = digest(["model", number])
    facts = TrainedModel(
        digest=key, trained_through=date(2025, 11, 1 + number), rows=182_000, rounds=240, seconds=Decimal("21.4")
    )
    return ModelVersion(
        digest=key, number=number, status=status, trained_through=facts.trained_through,
        created_at=CLOCK - timedelta(days=9 - number), facts=facts, comparison=comparison,
        gate=promotion_gate(comparison) if comparison else None,
    )  # fmt: skip


def _comparison(ratio: str, upper: str) -> Comparison:
    return Comparison(
        first_day=date(2025, 10, 27), last_day=date(2025, 11, 23), series=412, loss_ratio=Decimal(ratio),
        loss_ratio_upper=Decimal(upper), candidate_coverage_90=Decimal("0.891"),
        champion_coverage_90=Decimal("0.874"), candidate_loss=Decimal("0.31"), champion_loss=Decimal("0.33"),
    )  # fmt: skip


def _order(number: int, state: str) -> dict[str, Any]:
    return {
        "order_id": f"northern-foods:LEEDS:2025-11-2{number}:1", "supplier": "northern-foods", "location": "LEEDS",
        "cycle": f"2025-11-2{number}", "state": state, "currency": "EUR", "lines": 2 * number, "units": 480 * number,
        "value": Decimal("1204.50") * number, "supplier_number": f"NF-{7000 + number}" if state == "placed" else None,
        "promised_at": CLOCK + timedelta(days=4) if state == "placed" else None, "delayed": state == "placed",
        "reason": "item discontinued" if state == "refused" else "",
    }  # fmt: skip


def _units(value: float) -> Decimal:
    return Decimal(str(round(value, 3)))


def _day(day: date, ahead: int, daily: float) -> DayForecast:
    middle = daily * (1 + 0.25 * sin(ahead * 6.2832 / 7))
    spread = 0.35 + 0.006 * ahead
    shares = (1 - 1.4 * spread, 1 - 0.5 * spread, 1 + 0.6 * spread, 1 + 2.1 * spread)
    return DayForecast(
        day=day, p10=_units(middle * (1 - spread)), p50=_units(middle), p90=_units(middle * (1 + 1.3 * spread)),
        wider=Wider(*(round(100 * middle * share) for share in shares)),
    )  # fmt: skip


def _picture(daily: float, available: int) -> dict[str, Any]:
    """Four weeks of sales before, and the stock's course if nothing is ordered."""
    courses = {
        f"stock_p{name}": tuple(round(available - daily * share * (n + 1)) for n in range(28))
        for name, share in ((10, 1.22), (50, 1.0), (90, 0.8))
    }
    return {"recent_units": tuple(round(daily * (1 + 0.4 * sin(n * 1.7))) for n in range(28)), **courses}

"""A batch decided as live batches are, and recorded with all that it rests on: for tests that decide it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from workflows.domain.assessing import decide_all, rows_of
from workflows.domain.catalog import Item, Sourcing, Supplier
from workflows.domain.counterfactual import Past
from workflows.domain.decisions import NeedFacts, SupplyOption
from workflows.domain.evidence import Snapshot
from workflows.domain.identity import Digest, digest
from workflows.domain.needs import Need, NeedBatch, NeedCause
from workflows.domain.policies import Policy
from workflows.domain.ports import BatchFacts
from workflows.domain.positions import Position
from workflows.domain.scores import DemandHistory, LeadTimes, Scores, ScoringRow
from workflows.domain.supplying import cover_days

CLOCK = datetime(2025, 3, 3, 5, tzinfo=UTC)
LOCATION = "LEEDS"
CHAMPION, OTHER = digest(b"the champion"), digest(b"another model")
BODIES = {CHAMPION: b"the champion", OTHER: b"another model"}


def bodies(sha256: Digest) -> bytes:
    """The champion, and for whatever else is asked for another model."""
    return BODIES.get(sha256, BODIES[OTHER])


@dataclass
class TwoModels:
    """`Scoring` that expects `daily` units a day with the champion and `otherwise` with the other model."""

    daily: float = 10.0
    otherwise: float = 10.0

    def score(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scores]:
        """One result per row."""
        # Here and not above: the storeroom loads the database's driver, and no workflow's sandbox should.
        from tests.storeroom import HandScoring

        return HandScoring(self.daily if model == BODIES[CHAMPION] else self.otherwise).score(rows, model)


def option(
    supplier: str = "acme", *, rank: int = 1, cost: str = "4.20", fixed: str = "0", **terms: Any
) -> SupplyOption:
    """One way to buy `ITEM`."""
    given = {"unit_cost": Decimal(cost), "pack_units": 6, "minimum_order_units": 12, "lead_time_days": 3, **terms}
    return SupplyOption(
        sourcing=Sourcing.model_validate(
            {"item": "ITEM", "location": LOCATION, "supplier": supplier, "rank": rank, **given}
        ),
        supplier=Supplier(supplier=supplier, name=supplier, cost_per_order=Decimal(fixed)),
    )


def need(number: int, *options: SupplyOption, stock: int = 0) -> NeedFacts:
    """The `number`-th need of the batch."""
    offered = options or (option(),)
    first = min(offered, key=lambda one: one.sourcing.rank)
    row = ScoringRow(
        item=f"ITEM-{number}", location=LOCATION, category="things", supplier=first.sourcing.supplier,
        last_day=date(2025, 3, 2), history=DemandHistory(first_day=date(2025, 3, 1), daily_units=(10, 10)),
        on_hand_units=stock, lead_times=LeadTimes(promised_days=first.sourcing.lead_time_days),
        review_days=cover_days(first, offered), shortage_per_unit=Decimal("5.70"), holding_per_unit_day=Decimal("0.01"),
    )  # fmt: skip
    others = tuple(
        row.model_copy(
            update={
                "supplier": one.sourcing.supplier, "review_days": cover_days(one, offered),
                "lead_times": LeadTimes(promised_days=one.sourcing.lead_time_days),
            }
        )
        for one in offered
        if one is not first
    )  # fmt: skip
    return NeedFacts(
        need=Need(
            need_id=f"{LOCATION}:ITEM-{number}:1", item=f"ITEM-{number}", location=LOCATION, cause=NeedCause.SWEEP,
            opened_at=CLOCK,
        ),
        item=Item(item=f"ITEM-{number}", name="Item", category="things", price=Decimal("9.90")),
        position=Position(
            location=LOCATION, item=f"ITEM-{number}", on_hand_units=stock, reserved_units=0, on_order_units=0,
            watch_level_units=0,
        ),
        options=tuple(offered), row=row, alternatives=others, ordered_before=True, largest_receipt_units=None,
        data_through=CLOCK,
    )  # fmt: skip


def recorded(*needs: NeedFacts, policy: Policy | None = None, scoring: TwoModels | None = None) -> list[Past]:
    """What the record has of these needs after the champion decided them together."""
    policy, scoring = policy or Policy(), scoring or TwoModels()
    found = BatchFacts(
        batch=NeedBatch(batch_id="b", location=LOCATION, clock=CLOCK, needs=len(needs)), facts=needs, policy=policy,
        currency="EUR", holding_rate_per_year=Decimal("0.2"),
    )  # fmt: skip
    rows = [row for one in needs for row in rows_of(one)]
    decided = decide_all(found, scoring.score(rows, BODIES[CHAMPION]), CHAMPION)
    return [
        Past(
            decision=one.decision, inputs=one.inputs, policy=policy,
            snapshot=Snapshot(row=facts.row, alternatives=facts.alternatives, source=digest(b"code")),
        )
        for one, facts in zip(decided, needs, strict=True)
    ]  # fmt: skip

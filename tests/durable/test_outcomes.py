"""Decisions whose horizon has passed are closed once, in bounded rounds."""

from decimal import Decimal

from tests.fakes.engine import Engine
from tests.fakes.shop import CLOCK
from workflows import naming
from workflows.domain.errors import Unavailable
from workflows.domain.outcomes import OutcomeFacts
from workflows.outcomes import OutcomesWorkflow


def due(number: int) -> OutcomeFacts:
    return OutcomeFacts(
        decision_id=f"LEEDS:A-{number}:1", horizon_days=12, closed_at=CLOCK, demand_units=40,
        forecast_p10=Decimal(30), forecast_p50=Decimal(38), forecast_p90=Decimal(50), days_out_of_stock=0,
        ordered_units=48, received_units=48, on_hand_units=20, shortage_per_unit=Decimal("3.70"),
        holding_per_unit_day=Decimal("0.0023"),
    )  # fmt: skip


async def close(engine: Engine) -> int:
    return await engine.client.execute_workflow(
        OutcomesWorkflow.run, id=naming.OUTCOMES_SCHEDULE, task_queue=naming.ENGINE_QUEUE
    )


async def test_everything_due_is_measured_in_rounds(engine: Engine) -> None:
    engine.records.due = [due(number) for number in range(1_001)]

    assert await close(engine) == 1_001
    assert len(engine.records.outcomes) == 1_001
    assert engine.outcomes.calls["record"] == 3


async def test_nothing_due_closes_nothing(engine: Engine) -> None:
    assert await close(engine) == 0


async def test_an_answer_lost_after_a_round_measures_nothing_twice(engine: Engine) -> None:
    engine.records.due = [due(number) for number in range(600)]
    engine.outcomes.fail("record", Unavailable("connection lost"), done=True)

    assert await close(engine) == 100, "the attempt that ended the round counts what was left"
    assert len(engine.records.outcomes) == 600
    assert engine.outcomes.fired == 1


async def test_a_round_that_stores_nothing_new_ends_instead_of_going_round_for_ever(engine: Engine) -> None:
    engine.records.due = [due(1)]
    await close(engine)
    engine.records.due = [due(1)] * 2

    assert await close(engine) == 0
    assert len(engine.records.outcomes) == 1

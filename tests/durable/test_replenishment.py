"""One proposal comes to exactly one end: released, rejected, expired, voided or refused, whatever happens meanwhile."""

from tests.fakes.engine import Engine
from workflows.domain.approvals import Meaning


async def test_an_approved_proposal_is_released(engine: Engine) -> None:
    ref = engine.task()
    handle = await engine.replenish(ref)
    notice = engine.records.answer(ref.decision_id, Meaning.APPROVE)
    assert await engine.verdicts.tell(ref.decision_id, notice)
    closed = await handle.result()
    assert closed.state == "released"

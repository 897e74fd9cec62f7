"""Outcomes become a candidate; the candidate meets the champion on days neither has seen; the gate decides."""

from temporalio import workflow

from workflows.domain.identity import Payload
from workflows.domain.models import ModelStatus, ModelVersion, TrainingRequest
from workflows.options import DATABASE, TRAINING

with workflow.unsafe.imports_passed_through():
    from activities.models import ModelActivities


class RetrainingClosed(Payload):
    """What a round of training came to."""

    digest: str | None
    status: ModelStatus | None
    reasons: tuple[str, ...] = ()


@workflow.defn(name="retraining")
class RetrainingWorkflow:
    """One round. Promotion is never forced: no gate, no promotion; and a person's word where the policy wants it."""

    @workflow.run
    async def run(self, request: TrainingRequest) -> RetrainingClosed:
        """Build a point-in-time data set, train, compare, and promote only what passes."""
        plan = await workflow.execute_activity_method(ModelActivities.plan, request, **TRAINING)
        if plan.nothing_new:
            return RetrainingClosed(digest=None, status=None, reasons=(plan.reason,))
        trained = await workflow.execute_activity_method(ModelActivities.train, plan, **TRAINING)
        judged = await workflow.execute_activity_method(ModelActivities.judge, args=[plan, trained.digest], **TRAINING)
        if judged.status is ModelStatus.CANDIDATE:
            judged = await self._promote(judged.digest)
        reasons = judged.gate.reasons if judged.gate else ()
        return RetrainingClosed(digest=judged.digest, status=judged.status, reasons=reasons)

    async def _promote(self, digest: str) -> ModelVersion:
        return await workflow.execute_activity_method(ModelActivities.promote, digest, **DATABASE)

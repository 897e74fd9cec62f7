"""Maps business ids to workflow ids, and names queues and search attributes: the one place that knows them."""

from typing import Final

from temporalio.common import SearchAttributeKey

ENGINE_QUEUE: Final = "quartermaster"
"""Workflows, and activities that talk to the database."""
LEARNING_QUEUE: Final = "quartermaster-learning"
"""Scoring and training: numeric work, few at a time."""
SUPPLIER_QUEUE: Final = "quartermaster-suppliers"
"""Everything that leaves the house: one queue, so that a slow supplier starves nobody else."""

DECISION_STATE: Final = SearchAttributeKey.for_keyword("DecisionState")
RISK_TIER: Final = SearchAttributeKey.for_keyword("RiskTier")
LOCATION: Final = SearchAttributeKey.for_keyword("Location")
SUPPLIER: Final = SearchAttributeKey.for_keyword("Supplier")
SEARCH_ATTRIBUTES: Final = (DECISION_STATE, RISK_TIER, LOCATION, SUPPLIER)

OUTCOMES_SCHEDULE: Final = "outcomes"
RETRAINING_SCHEDULE: Final = "retraining"
MONITORING_SCHEDULE: Final = "monitoring"
HISTORIES_SCHEDULE: Final = "histories"
RECONCILIATION_SCHEDULE: Final = "reconciliation"
HISTORIES_WORKFLOW: Final = "histories"
"""The type: the one workflow that continues as new."""
RETRAINING_WORKFLOW: Final = "retraining"
"""The type, for whoever starts it as a child: a module that held two workflows would load both for every run."""


def assessment_id(batch_id: str) -> str:
    """The workflow that assesses this batch of needs."""
    return f"assessment/{batch_id}"


def replenishment_id(decision_id: str) -> str:
    """The workflow that carries this decision."""
    return f"replenishment/{decision_id}"


def purchasing_id(order_id: str) -> str:
    """The workflow that carries this purchase order."""
    return f"purchasing/{order_id}"


def retraining_id(last_day: str, seed: int) -> str:
    """The workflow that trains on demand up to this day."""
    return f"retraining/{last_day}/{seed}"


def alarm_retraining_id(alarm_id: str) -> str:
    """The workflow that a drift alarm starts, once."""
    return f"retraining/alarm/{alarm_id}"


def replaying_id(request: str) -> str:
    """The workflow that makes the decisions again that this request (its digest) names: the same one runs once."""
    return f"replaying/{request}"

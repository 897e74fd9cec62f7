"""The workflows that there are: the worker runs them and the replayer replays them."""

from workflows.assessment import AssessmentWorkflow
from workflows.exporting import HistoriesWorkflow
from workflows.monitoring import MonitoringWorkflow
from workflows.outcomes import OutcomesWorkflow
from workflows.purchasing import PurchasingWorkflow
from workflows.reconciliation import ReconciliationWorkflow
from workflows.replaying import ReplayingWorkflow
from workflows.replenishment import ReplenishmentWorkflow
from workflows.retraining import RetrainingWorkflow

WORKFLOWS = (
    AssessmentWorkflow,
    ReplenishmentWorkflow,
    PurchasingWorkflow,
    OutcomesWorkflow,
    RetrainingWorkflow,
    MonitoringWorkflow,
    HistoriesWorkflow,
    ReplayingWorkflow,
    ReconciliationWorkflow,
)

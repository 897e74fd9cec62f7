"""Workflows that do nothing but wait, or do not wait at all: in a module that the sandbox can load anew."""

from temporalio import workflow

from workflows.domain.ports import ReplenishmentRef
from workflows.replenishment import ReplenishmentClosed, ReplenishmentState


@workflow.defn(name="waiting")
class Waiting:
    """Ends when it is told to."""

    def __init__(self) -> None:
        self._go = False

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self._go)
        return 1

    @workflow.signal
    def go(self) -> None:
        self._go = True


@workflow.defn(name="waiting")
class Hasty:
    """What a careless change of it does."""

    @workflow.run
    async def run(self) -> int:
        await workflow.sleep(60)
        return 1


@workflow.defn(name="renamed")
class Renamed:
    """Not the type that was."""

    @workflow.run
    async def run(self) -> None:
        return None


@workflow.defn(name="replenishment")
class HastyReplenishment:
    """What a careless change of the replenishment could look like: it releases without waiting."""

    @workflow.run
    async def run(self, ref: ReplenishmentRef) -> ReplenishmentClosed:
        return ReplenishmentClosed(decision_id=ref.decision_id, state=ReplenishmentState.RELEASED)

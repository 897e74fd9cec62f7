"""Judges approvals in memory: by the person's amount, and by how many signatures the task says that it needs."""

from collections.abc import Mapping, Sequence

from tests.fakes.desk import MemoryShop
from tests.fakes.people import MemoryPeople
from workflows.domain import authority
from workflows.domain.approvals import TaskState
from workflows.domain.decisions import Proposal
from workflows.domain.judging import Judgement


class MemoryJudging:
    """`Judging` over the shop."""

    def __init__(self, shop: MemoryShop, people: MemoryPeople) -> None:
        self._shop, self._people = shop, people

    async def judge(self, decision_ids: Sequence[str], name: str) -> Mapping[str, Judgement]:
        found = {}
        person = await self._people.find(name)
        for decision_id in decision_ids:
            case = self._shop.cases.get(decision_id)
            if case is None or case.task is None or case.task["state"] != TaskState.OPEN:
                continue
            result = case.decided.decision.result
            assert isinstance(result, Proposal)
            refusal = authority.of_person(person, name, case.decided.inputs.position.location)
            if refusal is None and person is not None:
                refusal = authority.of_value(person, result.value, result.currency)
            found[decision_id] = Judgement(
                refused=str(refusal.error) if refusal else "", signatures=case.task.get("signatures_needed", 1)
            )
        return found

"""Judges approvals that nobody has given yet, by the same rules and reads as the storage of answers."""

from collections.abc import Mapping, Sequence

from connectors.postgres.authority import approving
from connectors.postgres.people import person_of
from connectors.postgres.pool import Database
from connectors.postgres.signatures import first_signature
from workflows.domain import authority
from workflows.domain.judging import Judgement


class PostgresJudging:
    """The `Judging` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def judge(self, decision_ids: Sequence[str], name: str) -> Mapping[str, Judgement]:
        found: dict[str, Judgement] = {}
        async with self._database.transaction("judging.judge") as cursor:
            person = await person_of(cursor, name)
            await cursor.execute(
                "SELECT decision_id, location FROM task WHERE decision_id = ANY (%s) AND state = 'open'",
                [list(decision_ids)],
            )
            for row in await cursor.fetchall():
                refusal, needed = authority.of_person(person, name, row["location"]), 1
                if refusal is None and person is not None:
                    first = await first_signature(cursor, row["decision_id"])
                    judged = await approving(cursor, row["decision_id"], None, person, first)
                    refusal, needed = judged.refusal, judged.needed
                found[row["decision_id"]] = Judgement(refused=str(refusal.error) if refusal else "", signatures=needed)
        return found

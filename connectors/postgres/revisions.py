"""Reads a revision of a decision by the hash under which somebody saw it."""

from connectors.postgres.pool import Database
from workflows.domain.decisions import Decided, Decision, DecisionInputs


async def revision(database: Database, decision_id: str, proposal_hash: str) -> Decided | None:
    """The decision and its inputs as they were; None when no revision has this hash."""
    async with database.reading() as cursor:
        await cursor.execute(
            """SELECT d.body, e.body AS inputs FROM decision d JOIN evidence e ON e.sha256 = d.inputs_sha256
               WHERE d.decision_id = %s AND d.proposal_hash = %s ORDER BY d.revision DESC LIMIT 1""",
            [decision_id, proposal_hash],
        )
        row = await cursor.fetchone()
    if row is None:
        return None
    decision, inputs = Decision.model_validate_json(row["body"]), DecisionInputs.model_validate_json(row["inputs"])
    return Decided(decision=decision, inputs=inputs)

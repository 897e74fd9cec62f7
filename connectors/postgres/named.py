"""Finds policies and models of the record by their digest or its beginning, in the ledger alone."""

import json

from pydantic import ValidationError

from connectors.postgres.evidence import PostgresEvidence
from connectors.postgres.pool import Connection, connect, reading
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.evidence import EvidenceDamaged, EvidenceMissing
from workflows.domain.identity import Digest
from workflows.domain.policies import Policy
from workflows.domain.recordable import dereferenced

LEAST = 8
"""Characters of a digest that are asked for."""
_MODELS = """
SELECT DISTINCT stream FROM ledger_entry
WHERE type IN ('model.trained', 'model.judged', 'model.promoted') AND starts_with(stream, %s) ORDER BY stream LIMIT 3
"""
_POLICIES = """
SELECT body FROM ledger_entry WHERE type IN ('policy.adopted', 'policy.proposed') ORDER BY recorded_at, stream, seq
"""


def model_named(dsn: str, beginning: str) -> Digest:
    """The one model whose digest begins so.

    Raises:
        InvalidInput: it is too short, or several models' digests begin so.
        NotFound: the ledger knows none.
    """
    _long_enough(beginning, "model")
    with connect(dsn, name="quartermaster-named") as connection, reading(connection) as cursor:
        cursor.execute(_MODELS, [f"model:{beginning}"])
        found = [str(row["stream"]).removeprefix("model:") for row in cursor.fetchall()]
    return _only(found, beginning, "model")


def policy_named(dsn: str, beginning: str) -> Policy:
    """The one policy whose digest begins so: adopted, proposed, or kept because a decision rests on it.

    Raises:
        InvalidInput: it is neither a file nor a digest, or several policies' digests begin so.
        NotFound: the ledger knows none.
    """
    _long_enough(beginning, "policy")
    with connect(dsn, name="quartermaster-named") as connection:
        known = {one.digest: one for one in (Policy(), *_documents(connection))}
        found = [digest for digest in known if digest.startswith(beginning)]
        if not found and len(beginning) == 64:
            try:
                return Policy.model_validate_json(PostgresEvidence(connection).get(beginning))
            except (EvidenceMissing, ValidationError):
                pass
    return known[_only(found, beginning, "policy")]


def _documents(connection: Connection) -> list[Policy]:
    found = []
    evidence = PostgresEvidence(connection)
    with reading(connection) as cursor:
        cursor.execute(_POLICIES)
        for row in cursor.fetchall():
            try:
                body = dereferenced(json.loads(row["body"]), evidence)
                found.append(Policy.model_validate(body.get("policy")))
            except (ValidationError, EvidenceMissing, EvidenceDamaged):
                continue
    return found


def _long_enough(beginning: str, what: str) -> None:
    if len(beginning) < LEAST or not set(beginning) <= set("0123456789abcdef"):
        neither = "neither a file nor the digest of a policy" if what == "policy" else "no digest of a model"
        raise InvalidInput(f"{beginning[:80]!r} is {neither}; of a digest give at least {LEAST} characters")


def _only(found: list[str], beginning: str, what: str) -> str:
    if not found:
        raise NotFound(f"the ledger knows no {what} whose digest begins with {beginning}")
    if len(found) > 1:
        raise InvalidInput(f"{len(found)} digests of a {what} begin with {beginning}: give more of it")
    return found[0]

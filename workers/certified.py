"""What the books say of the notary once all have stopped: every entry of the ledger is under a signed checkpoint."""

from typing import Any

from connectors.postgres.pool import connect, reading
from workers.stack import EngineStack
from workers.wiring import required

_COUNTS = """
SELECT (SELECT count(*) FROM ledger_checkpoint) AS checkpoints,
       (SELECT coalesce(max(size), 0) FROM ledger_checkpoint) AS entries_certified,
       (SELECT count(*) FROM ledger_entry e WHERE NOT EXISTS (
            SELECT FROM ledger_leaf l WHERE l.stream = e.stream AND l.seq = e.seq AND l.hash = e.hash
       )) + (SELECT count(*) FROM ledger_leaf)
       - (SELECT coalesce(max(size), 0) FROM ledger_checkpoint) AS entries_uncertified
"""


def closed_books(stack: EngineStack) -> dict[str, int]:
    """Stop what writes, let the notary sign its last checkpoint, and count what it covers."""
    for name in ("worker", "intake", "notary"):
        stack.stop_process(name)
    with (
        connect(required(stack.settings, "postgres_dsn"), name="quartermaster-demo") as connection,
        reading(connection) as cursor,
    ):
        cursor.execute(_COUNTS)
        return {name: int(count) for name, count in (cursor.fetchone() or {}).items()}


def uncertified(counts: dict[str, Any]) -> list[str]:
    """What the notary left open: nothing, if it kept its promise."""
    broken = []
    if not counts["checkpoints"]:
        broken.append("the notary signed nothing")
    if counts["entries_uncertified"]:
        broken.append(f"{counts['entries_uncertified']} entries of the ledger are under no signed checkpoint")
    return broken

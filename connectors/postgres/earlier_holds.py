"""Names the holds of earlier releases, whose entries have only a number and a root: the root proves the list."""

import json

from connectors.postgres.pool import Connection
from workflows.domain.evidence import EvidenceDamaged, EvidenceMissing, EvidenceSource
from workflows.domain.identity import Digest
from workflows.domain.ledger import merkle_root

_LISTS = "SELECT sha256 FROM evidence_part WHERE kind = 'earlier_items' ORDER BY sha256"


class EarlierHolds:
    """Lists of holds by their Merkle root; read once, when the first is asked for. Only their digests are held."""

    def __init__(self, connection: Connection, evidence: EvidenceSource) -> None:
        self._connection, self._evidence = connection, evidence
        self._by_root: dict[str, Digest] | None = None

    def items(self, root: str) -> list[list[str | int]] | None:
        """[decision, revision, hash] of each hold under this root, by decision; None: no list that is kept has it.

        Raises:
            EvidenceMissing, EvidenceDamaged: the list was there a moment ago.
        """
        if self._by_root is None:
            self._by_root = self._read()
        sha256 = self._by_root.get(root)
        return None if sha256 is None else _list(self._evidence.get(sha256))

    def _read(self) -> dict[str, Digest]:
        found = {}
        for row in self._connection.execute(_LISTS).fetchall():
            try:
                items = _list(self._evidence.get(row["sha256"]))
            except (EvidenceMissing, EvidenceDamaged):
                continue  # whatever it listed is named by nothing now, and its batch is counted as such
            found[merkle_root(str(one[2]).encode() for one in items)] = row["sha256"]
        return found


def _list(body: bytes) -> list[list[str | int]]:
    found: list[list[str | int]] = json.loads(body)
    return found

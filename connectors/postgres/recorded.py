"""Opens what the ledger says of recorded decisions: each digest is followed to its evidence, a batch at a time."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from psycopg.rows import DictRow
from pydantic import ValidationError

from connectors.postgres.earlier_holds import EarlierHolds
from connectors.postgres.evidence import PostgresEvidence
from connectors.postgres.pool import Connection
from workflows.domain.counterfactual import Past, Recorded, Unread, Which
from workflows.domain.decisions import Decision, DecisionInputs
from workflows.domain.evidence import EvidenceDamaged, EvidenceMissing, Snapshot, references, unfold
from workflows.domain.identity import Digest
from workflows.domain.ledger import EntryType
from workflows.domain.policies import Policy
from workflows.domain.recordable import dereferenced

MOST_KEPT_BYTES = 64 * 2**20
"""What is held of evidence that many decisions share."""
NOT_NAMED = "holds of an earlier release: of a batch only their number and their root were recorded"
NO_SNAPSHOT = "what was scored was not recorded, as before there were snapshots: another model cannot score it"
_ENTRIES = """
SELECT e.stream, e.seq, e.type, e.body, EXISTS (
           SELECT 1 FROM ledger_entry l WHERE l.stream = e.stream AND l.seq > e.seq AND l.type = e.type
       ) AS superseded
FROM unnest(%s::text[], %s::integer[]) AS k (stream, seq) JOIN ledger_entry e USING (stream, seq)
ORDER BY e.stream COLLATE "C", e.seq
"""
_ADOPTED = "SELECT body FROM ledger_entry WHERE type = 'policy.adopted'"


class Place(NamedTuple):
    """Where an entry is."""

    stream: str
    seq: int


class Held(NamedTuple):
    """One hold as its batch's entry names it."""

    decision_id: str
    revision: int
    proposal_hash: Digest


class Shelf:
    """Evidence, read many at a time; what was read lately is at hand."""

    def __init__(self, connection: Connection) -> None:
        self._source = PostgresEvidence(connection)
        self._kept: dict[str, bytes] = {}
        self._bytes = 0

    def get(self, sha256: str) -> bytes:
        """The bytes.

        Raises:
            EvidenceMissing, EvidenceDamaged: the message names the digest.
        """
        if sha256 not in self._kept:
            self._keep({sha256: self._source.get(sha256)})
        return self._kept[sha256]

    def fetch(self, digests: Iterable[str]) -> None:
        """Read these in one go; what is not there is found out when it is asked for."""
        wanted = [one for one in dict.fromkeys(digests) if one not in self._kept]
        try:
            self._keep(self._source.get_many(wanted) if wanted else {})
        except (EvidenceMissing, EvidenceDamaged):
            for sha256 in wanted:
                try:
                    self._keep({sha256: self._source.get(sha256)})
                except (EvidenceMissing, EvidenceDamaged):
                    continue

    def forget(self) -> None:
        """Make room between batches: nothing that one batch needs goes while it is open."""
        if self._bytes > MOST_KEPT_BYTES:
            self._kept.clear()
            self._bytes = 0

    def _keep(self, found: Mapping[str, bytes]) -> None:
        self._kept.update(found)
        self._bytes += sum(map(len, found.values()))


class Opening:
    """Opens batches on one connection, for one question."""

    def __init__(self, connection: Connection, which: Which) -> None:
        self._connection, self._which = connection, which
        self.evidence = Shelf(connection)
        self._earlier = EarlierHolds(connection, PostgresEvidence(connection))
        self._policies: dict[Digest, Policy] = {}

    def open(self, batch: Sequence[Place]) -> Recorded:
        """Everything that was recorded at these places."""
        self.evidence.forget()
        places = [[one.stream for one in batch], [one.seq for one in batch]]
        rows = self._connection.execute(_ENTRIES, places).fetchall()
        found: list[tuple[Decision, bool]] = []
        unread: list[Unread] = []
        for row in rows:
            if row["type"] == EntryType.HOLDS_RECORDED:
                self._open_holds(row, found, unread)
            else:
                decision = Decision.model_validate(json.loads(row["body"])["decision"])
                found.append((decision, self._asked(decision) and not row["superseded"]))
        read = self._with_evidence(found, unread)
        return Recorded(read=tuple(read), unread=tuple(unread), entries=len(batch))

    def held(self, body: bytes) -> list[Held] | None:
        """The holds that a batch's entry names; None where it only counts them."""
        told = json.loads(body)
        items = told.get("items")
        listed = self._earlier.items(told["merkle_root"]) if items is None else json.loads(self.evidence.get(items))
        return None if listed is None else [Held(*one) for one in listed]

    def _asked(self, decision: Decision) -> bool:
        which = self._which
        if which.decision_id not in (None, decision.decision_id):
            return False
        return which.model in (None, decision.model_digest)

    def _open_holds(self, row: DictRow, found: list[tuple[Decision, bool]], unread: list[Unread]) -> None:
        body = json.loads(row["body"])
        batch, which = str(body["batch"]), self._which
        asked = which.decision_id is None and which.model in (None, body["model"])
        try:
            held = self.held(row["body"])
        except (EvidenceMissing, EvidenceDamaged) as error:
            unread.append(Unread(decision_id=batch, why=str(error), decisions=body["holds"], asked=asked))
            return
        if held is None:
            unread.append(Unread(decision_id=batch, why=NOT_NAMED, decisions=body["holds"], asked=asked))
            return
        self.evidence.fetch(one.proposal_hash for one in held)
        for one in held:
            try:
                decision = Decision.model_validate_json(self.evidence.get(one.proposal_hash))
            except (EvidenceMissing, EvidenceDamaged) as error:
                wanted = which.decision_id in (None, one.decision_id)
                unread.append(Unread(decision_id=one.decision_id, why=str(error), asked=wanted))
            else:
                found.append((decision, self._asked(decision)))

    def _with_evidence(self, found: Sequence[tuple[Decision, bool]], unread: list[Unread]) -> list[Past]:
        self.evidence.fetch(decision.inputs_digest for decision, _ in found)
        inputs: dict[Digest, DecisionInputs] = {}
        for decision, asked in found:
            try:
                inputs[decision.inputs_digest] = DecisionInputs.model_validate_json(
                    self.evidence.get(decision.inputs_digest)
                )
            except (EvidenceMissing, EvidenceDamaged) as error:
                unread.append(Unread(decision_id=decision.decision_id, why=str(error), asked=asked))
            except ValidationError as error:
                why = f"its inputs cannot be read: {error.errors()[0]['msg']}"
                unread.append(Unread(decision_id=decision.decision_id, why=why, asked=asked))
        snapshots = [one.snapshot for one in inputs.values() if one.snapshot]
        self.evidence.fetch(snapshots)
        self.evidence.fetch(part for one in snapshots for part in self._parts(one))
        read = []
        for decision, asked in found:
            if own := inputs.get(decision.inputs_digest):
                past = self._past(decision, own, asked)
                if isinstance(past, Unread):
                    unread.append(past)
                else:
                    read.append(past)
        return read

    def _parts(self, snapshot: Digest) -> Sequence[Digest]:
        try:
            return references(self.evidence.get(snapshot))
        except (EvidenceMissing, EvidenceDamaged):
            return ()

    def _past(self, decision: Decision, inputs: DecisionInputs, asked: bool) -> Past | Unread:
        try:
            policy = self._policy(decision.policy_digest)
        except (EvidenceMissing, EvidenceDamaged) as error:
            return Unread(decision_id=decision.decision_id, why=f"its policy: {error}", asked=asked)
        snapshot, why = self._snapshot(inputs)
        return Past(decision=decision, inputs=inputs, policy=policy, snapshot=snapshot, unscored=why, asked=asked)

    def _snapshot(self, inputs: DecisionInputs) -> tuple[Snapshot | None, str]:
        if inputs.snapshot is None:
            return None, NO_SNAPSHOT
        try:
            return unfold(inputs.snapshot, self.evidence), ""
        except (EvidenceMissing, EvidenceDamaged) as error:
            return None, f"its snapshot: {error}"

    def _policy(self, sha256: Digest) -> Policy:
        """As evidence; of earlier releases as the ledger's entry has it; what nobody adopted is the default."""
        if sha256 not in self._policies:
            try:
                self._policies[sha256] = Policy.model_validate_json(self.evidence.get(sha256))
            except EvidenceMissing:
                known = {one.digest: one for one in (*self._adopted(), Policy())}
                if sha256 not in known:
                    raise
                self._policies[sha256] = known[sha256]
        return self._policies[sha256]

    def _adopted(self) -> list[Policy]:
        found: list[Policy] = []
        for row in self._connection.execute(_ADOPTED).fetchall():
            try:
                found.append(Policy.model_validate(dereferenced(json.loads(row["body"]), self.evidence).get("policy")))
            except (ValidationError, EvidenceMissing, EvidenceDamaged):
                continue
        return found

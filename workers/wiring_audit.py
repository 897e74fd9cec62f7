"""Gives the console what its auditors ask for; each heavy thing is done once at a time, in a thread, within bounds."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

from connectors.postgres.access_review import PostgresAccess
from connectors.postgres.auditing import note
from connectors.postgres.evidence import PostgresEvidence
from connectors.postgres.pool import connect
from connectors.postgres.record import PostgresRecord
from connectors.postgres.replay import PostgresDecisionLedger
from connectors.postgres.roles import DatabaseRole
from workers.copying import LiveCopies
from workers.databases import dsn_of
from workers.recording import origin
from workers.remaking import LedgerReplays
from workers.settings import Settings
from workers.turns import OneAtATime
from workers.wiring import Engine
from workflows.domain.access_review import AccessReview
from workflows.domain.approvals import Actor
from workflows.domain.auditing import AnchorTold
from workflows.domain.controls import Controls
from workflows.domain.errors import InvalidInput
from workflows.domain.ledger import Entry, EntryType
from workflows.domain.notary import SignedCheckpoint
from workflows.domain.remaking import Remade, Replaying
from workflows.domain.replaying import Point, ReplayPlan, ReplayRequest
from workflows.domain.scores import Scoring

REPLAY_SECONDS = 30.0
ANCHOR_TAIL = 256 * 2**10


class LiveReplays:
    """The `DecisionReplays` port: models stay loaded from one to the next, the libraries load when first needed."""

    def __init__(self, dsn: str, seconds: float = REPLAY_SECONDS) -> None:
        self._dsn, self._seconds = dsn, seconds
        self._one = OneAtATime("decision")
        self._scorings: dict[int, Scoring] = {}

    async def remade(self, decision_id: str, actor: Actor) -> Sequence[Remade]:
        """See the port."""
        return await asyncio.to_thread(self._remade, decision_id, actor)

    def _remade(self, decision_id: str, actor: Actor) -> list[Remade]:
        with self._one(), closing(connect(self._dsn, name="quartermaster-replay")) as connection:
            until = time.monotonic() + self._seconds
            connection.execute(f"SET statement_timeout = {int(self._seconds * 1000)}".encode())

            def hurry() -> None:
                if time.monotonic() > until:
                    raise InvalidInput(
                        f"making {decision_id} again takes longer than the {self._seconds:.0f} s that a page waits: "
                        f"`quartermaster audit replay {decision_id}` waits as long as it takes"
                    )

            ledger, evidence = _TimedLedger(connection, hurry), _TimedEvidence(connection, hurry)
            replays = LedgerReplays(ledger, Replaying(ledger, lambda: evidence, self._scoring))
            found = replays.replaying.one(decision_id)
            replays.note_one(actor.name, found, uuid4().hex)
            return found

    def _scoring(self, threads: int) -> Scoring:
        if threads not in self._scorings:
            # Here, because the numeric libraries take seconds to load and most consoles are never asked for this.
            from activities.learning.scoring import XgboostScoring

            self._scorings[threads] = XgboostScoring(nthread=threads, cached_models=2)
        return self._scorings[threads]


class _TimedLedger(PostgresDecisionLedger):
    def __init__(self, connection: Any, hurry: Callable[[], None]) -> None:
        super().__init__(connection)
        self._hurry = hurry

    def deciding(self, after: Point, plan: ReplayPlan, request: ReplayRequest, limit: int) -> Sequence[Entry]:
        self._hurry()
        return super().deciding(after, plan, request, limit)

    def chains(self, streams: Iterable[str]) -> Mapping[str, tuple[Entry, ...]]:
        self._hurry()
        return super().chains(streams)


class _TimedEvidence(PostgresEvidence):
    def __init__(self, connection: Any, hurry: Callable[[], None]) -> None:
        super().__init__(connection)
        self._hurry = hurry

    def get(self, sha256: str) -> bytes:
        self._hurry()
        return super().get(sha256)


class LiveReviews:
    """The `RecordReviews` port."""

    def __init__(self, dsn: str) -> None:
        self._dsn, self._access = dsn, PostgresAccess(dsn)

    async def review(self, on: date, since: date, actor: Actor) -> AccessReview:
        """See the port."""
        found = await asyncio.to_thread(self._access.review, on, since)
        await self._note(actor, {"what": "access", "on": on, "since": since, "people": len(found.people)})
        return found

    async def controls(self, since: date, until: date, actor: Actor) -> Controls:
        """See the port."""
        found = await asyncio.to_thread(self._access.controls, since, until)
        await self._note(actor, {"what": "controls", "since": since, "until": until, "entries": found.entries})
        return found

    async def _note(self, actor: Actor, body: Mapping[str, Any]) -> None:
        await asyncio.to_thread(note, self._dsn, actor, EntryType.AUDIT_READ, body)


def anchors_of(settings: Settings) -> Callable[[SignedCheckpoint | None], Sequence[AnchorTold]]:
    """Says where the anchors are, as far as this process can see."""

    def look(newest: SignedCheckpoint | None) -> list[AnchorTold]:
        found = [_folder_told(settings.anchor_directory, newest)]
        if settings.anchor_url is not None:
            words = "The notary posts each checkpoint there; `quartermaster notary show` says which one it took."
            found.append(AnchorTold(where=origin(str(settings.anchor_url)), has_newest=None, says=words))
        return found

    return look


def _folder_told(folder: Path | None, newest: SignedCheckpoint | None) -> AnchorTold:
    try:
        files = sorted(folder.glob("anchor-????-??-??.jsonl")) if folder is not None and folder.is_dir() else []
        has = newest is not None and any(_ends_with(path, newest.note) for path in files[-1:])
    except OSError:
        files, has = [], False
    if folder is None or not files:
        words = "The notary's own anchor cannot be seen from this process: `quartermaster notary show` looks at it."
        return AnchorTold(where="the notary's folder", has_newest=None, says=words)
    words = "It has the newest checkpoint." if has else "The newest checkpoint is not at its end."
    beside = " It lies on this machine: keep it, or a copy of it, where whoever runs the database cannot reach."
    return AnchorTold(where=str(folder), has_newest=has, says=words + beside)


def _ends_with(path: Path, wanted: str) -> bool:
    """Whether the note is among the newest lines of the file; only its end is read."""
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - ANCHOR_TAIL))
        return json.dumps(wanted, ensure_ascii=False).encode() in file.read()


def audit_ports(parts: Engine) -> dict[str, Any]:
    """What `ConsolePorts` has for auditors, by its fields' names."""
    dsn = dsn_of(parts.settings, DatabaseRole.AUDITOR)
    return {
        "record": PostgresRecord(parts.database, dsn, anchors_of(parts.settings)), "replays": LiveReplays(dsn),
        "copies": LiveCopies(dsn, parts.settings.anchor_directory), "reviews": LiveReviews(dsn),
    }  # fmt: skip

"""The notary's process: it alone has the key, connects as a role of its own, and signs even when nothing happens."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from connectors.anchors import FileAnchor, UrlAnchor
from connectors.notary_folder import NotaryFolder
from connectors.postgres.notary import PostgresNotary
from connectors.postgres.proofs import waiting_now
from connectors.postgres.roles import DatabaseRole
from workers.certifying import Notary
from workers.databases import dsn_of, in_role
from workers.processes import process
from workers.recording import record_settings
from workers.settings import Settings
from workers.wiring import required_path
from workflows.domain.errors import QuartermasterError, Unavailable
from workflows.domain.notary import NotaryRuns, SignedCheckpoint, Waiting

log = logging.getLogger(__name__)

LISTEN_SECONDS = 0.5
LAST_ROUND_WITHIN_S = 4.0
"""A supervisor waits ten seconds before it kills."""


class Watched:
    """What operators watch of a notary; its age grows while it signs nothing."""

    def __init__(self, meter: Meter) -> None:
        self.signed: SignedCheckpoint | None = None
        self.waiting = Waiting(entries=0)
        self.refusing = False
        meter.create_observable_gauge(
            "qm.notary.waiting", [self._waiting], "{entry}", "Ledger entries without a leaf after the last round"
        )
        meter.create_observable_gauge("qm.notary.age", [self._age], "s", "Age of the newest checkpoint")
        meter.create_observable_gauge("qm.notary.refusing", [self._refusing], "1", "1 while nothing is signed")

    def _waiting(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self.waiting.entries)]

    def _age(self, _: CallbackOptions) -> Iterable[Observation]:
        if self.signed is None:
            return []
        return [Observation(max(0.0, (datetime.now(UTC) - self.signed.signed_at).total_seconds()))]

    def _refusing(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(int(self.refusing))]


def folder_of(settings: Settings) -> NotaryFolder:
    """The notary's own folder.

    Raises:
        InvalidInput: the settings name none.
    """
    return NotaryFolder(required_path(settings, "notary_key_file"))


def notary_of(settings: Settings, folder: NotaryFolder) -> Notary:
    """A notary on what the settings name, connected as its role.

    Raises:
        InvalidInput: a setting is missing.
    """
    dsn = dsn_of(settings, DatabaseRole.NOTARY)
    url = UrlAnchor(settings.anchor_url) if settings.anchor_url else None
    anchor = FileAnchor(required_path(settings, "anchor_directory"))
    return Notary(lambda: PostgresNotary(dsn), folder, anchor, url)


async def run_notary(settings: Settings) -> None:
    """Certify and sign at once, every interval, and once more when told to stop.

    What it refuses is said in the log, in an alarm and in a metric, and looked at again every interval.

    Raises:
        NotaryRuns: another notary works with this key or on this database.
    """
    async with process("notary", settings) as (stop, telemetry):
        folder = folder_of(settings)
        notary, watched = notary_of(settings, folder), Watched(telemetry.meter)
        folder.lock()
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: notary.hurry.set())
        with suppress(Unavailable):  # of a database that is away it only says so, and goes on looking
            await asyncio.to_thread(record_settings, "notary", in_role(settings, DatabaseRole.NOTARY))
        try:
            log.info("notary runs")
            while not stop.is_set():
                begun = monotonic()
                await _round(settings, notary, watched, settings.checkpoint_seconds)
                while not stop.is_set() and monotonic() < begun + settings.checkpoint_seconds:
                    if await asyncio.to_thread(_asked, folder, notary):
                        break
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), LISTEN_SECONDS)
            notary.leaving = True
            notary.hurry.clear()
            await _round(settings, notary, watched, LAST_ROUND_WITHIN_S)
        finally:
            stopping.cancel()
            await asyncio.to_thread(notary.close)
            folder.unlock()


async def _round(settings: Settings, notary: Notary, watched: Watched, within_s: float) -> None:
    try:
        signed = await asyncio.to_thread(notary.round, within_s)
    except NotaryRuns:
        raise
    except QuartermasterError:
        watched.refusing = True  # the notary itself has said why
    else:
        watched.signed, watched.refusing = signed, False
        log.info("checkpoint %d covers %d entries", signed.number, signed.size)
    with suppress(Unavailable):
        watched.waiting = await asyncio.to_thread(waiting_now, dsn_of(settings, DatabaseRole.NOTARY))


def _asked(folder: NotaryFolder, notary: Notary) -> bool:
    """Do what a command left to be done; whether there was something."""
    asked = folder.asked()
    if asked is None:
        return False
    try:
        key = notary.replace_key(str(asked.get("actor")), str(asked.get("reason")))
        log.info("key %s follows, asked for by %s", key.key_id, asked.get("actor"))
    except QuartermasterError as error:
        log.error("the key was not replaced: %s", error)
    folder.answered()
    return True

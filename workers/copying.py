"""Makes copies of the record for whoever asks at the console: in a thread, one at a time, and bounded in size."""

import asyncio
import json
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any

from connectors.postgres.auditing import note
from connectors.postgres.packs import PackReader, reading
from connectors.postgres.population import PostgresPopulations
from workers.packing import write_pack
from workers.recording import release
from workers.turns import OneAtATime
from workflows.domain.approvals import Actor
from workflows.domain.auditing import MadeFile
from workflows.domain.errors import InvalidInput
from workflows.domain.ledger import EntryType
from workflows.domain.packs import LeafRange, PackMade, PackRequest, Scope
from workflows.domain.population import Item, PopulationFormat, Wanted, header, line

PACK_BYTES = 200 * 2**20
"""Before they are compressed; the command makes packs of any size."""
PACK_SECONDS = 120.0
POPULATION_ROWS = 200_000


class LiveCopies:
    """The `RecordCopies` port: files appear whole in a folder of their own, and only after the ledger says so."""

    def __init__(
        self, dsn: str, anchors: Path | None, *, pack_bytes: int = PACK_BYTES, pack_seconds: float = PACK_SECONDS,
        rows: int = POPULATION_ROWS,
    ) -> None:  # fmt: skip
        self._dsn, self._anchors = dsn, anchors
        self._pack_bytes, self._pack_seconds, self._rows = pack_bytes, pack_seconds, rows
        self._one = OneAtATime("copy of the record")

    async def pack(self, request: PackRequest, actor: Actor) -> MadeFile:
        """See the port."""
        return await asyncio.to_thread(self._pack, request, actor)

    async def population(self, wanted: Wanted, form: PopulationFormat, actor: Actor) -> MadeFile:
        """See the port."""
        return await asyncio.to_thread(self._population, wanted, form, actor)

    def _pack(self, request: PackRequest, actor: Actor) -> MadeFile:
        about = request.decision or f"{request.since}-{request.until}"
        name = f"evidence-{''.join(one if one.isalnum() or one in '-_' else '-' for one in about)}.zip"

        def announce(made: PackMade) -> None:
            body = {
                "what": "evidence pack", "sha256": made.sha256, "bytes": made.size, "channel": actor.channel,
                "entries": made.manifest.counts.entries, "scope": made.manifest.scope.model_dump(mode="json"),
            }  # fmt: skip
            note(self._dsn, actor, EntryType.EXPORT_MADE, body)

        with self._one(), _folder() as folder, reading(self._dsn) as record:
            bounded = _Bounded(record, request, self._pack_bytes, self._pack_seconds)
            made = write_pack(
                bounded, request, folder / name, made_by=actor.name, release=release(), announce=announce,
                anchors=self._anchors if self._anchors is not None and self._anchors.is_dir() else None,
            )  # fmt: skip
            return MadeFile(folder / name, name, made.sha256, made.size)

    def _population(self, wanted: Wanted, form: PopulationFormat, actor: Actor) -> MadeFile:
        name = f"{wanted.what}-{wanted.since}-{wanted.until}"
        with self._one(), _folder() as folder:
            table, count = folder / f"{name}.{form}", 0
            with table.open("w", encoding="utf-8", newline="") as file:

                def take(item: Item) -> None:
                    nonlocal count
                    if (count := count + 1) > self._rows:
                        raise InvalidInput(
                            f"there are more than {self._rows:,} {wanted.what} in these days: ask for fewer days, or "
                            f"let `quartermaster audit population --what {wanted.what} --since {wanted.since} --until "
                            f"{wanted.until} --output FILE` write all of them"
                        )
                    file.write(line(form, item))

                file.writelines(header(form))
                found = PostgresPopulations(self._dsn).export(wanted, take)
            proof = found.model_copy(update={"sha256": _sha256(table)})
            path = folder / f"{name}.zip"
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.write(table, table.name)
                archive.writestr(f"{table.name}.proof.json", json.dumps(proof.model_dump(mode="json"), indent=2) + "\n")
            table.unlink()
            sha256 = _sha256(path)
            note(self._dsn, actor, EntryType.EXPORT_MADE, {**proof.told, "zip_sha256": sha256})
            return MadeFile(path, path.name, sha256, path.stat().st_size)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


@contextmanager
def _folder() -> Iterator[Path]:
    """A new folder, which stays when all went well: whoever sends the file removes it."""
    folder = Path(tempfile.mkdtemp(prefix="quartermaster-audit-"))
    try:
        yield folder
    except BaseException:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        raise


class _Bounded:
    """The record of a pack that stops where it would become larger, or take longer, than a page should."""

    def __init__(self, record: PackReader, request: PackRequest, most: int, seconds: float) -> None:
        self.at: datetime = record.at
        self._record, self._request, self._most = record, request, most
        self._seconds, self._until, self._read = seconds, time.monotonic() + seconds, 0

    def scope(self, request: PackRequest) -> tuple[Scope, LeafRange]:
        return self._record.scope(request)

    def entries(self, scope: Scope, leaves: LeafRange) -> Iterator[dict[str, Any]]:
        for row in self._record.entries(scope, leaves):
            self._count(len(row["body"]) + 500)
            yield row

    def leaves(self) -> Iterator[tuple[int, str, int, str]]:
        for leaf in self._record.leaves():
            self._count(120)
            yield leaf

    def checkpoints(self, newest_only: bool) -> Iterator[dict[str, Any]]:
        for row in self._record.checkpoints(newest_only):
            self._count(600)
            yield row

    def keys(self) -> Iterator[dict[str, Any]]:
        return self._record.keys()

    def proofs(self, entries: Iterable[tuple[str, int]]) -> Iterator[dict[str, Any]]:
        return self._record.proofs(entries)

    def objects(self, digests: list[str]) -> Mapping[str, bytes | str]:
        found = self._record.objects(digests)
        self._count(sum(len(body) for body in found.values()))
        return found

    def _count(self, size: int) -> None:
        self._read += size
        late = time.monotonic() > self._until
        if self._read > self._most or late:
            asked = self._request
            about = f"--decision {asked.decision}" if asked.decision else f"--since {asked.since} --until {asked.until}"
            why = (
                f"takes longer than {self._seconds:.0f} s" if late else f"holds more than {self._most / 2**20:.0f} MiB"
            )
            raise InvalidInput(
                f"this pack {why}, which is more than a page makes: ask for fewer days or without models, or let "
                f"`quartermaster audit pack {about} --output FILE` make it"
            )

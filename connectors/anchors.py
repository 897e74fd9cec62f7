"""Anchors are copies of what was certified, kept where whoever holds the database cannot change them.

A file anchor is a folder of append-only files, `anchor-YYYY-MM-DD.jsonl`, one JSON object a line:

    {"key": VERIFIER KEY, ...}     a key was installed
    {"leaf": [index, stream, seq, type, actor, occurred_at, recorded_at, body_sha256, hash]}
    {"checkpoint": NOTE}           never before the leaves that it covers

Half a line that a crash left stays as it is, and what it should have said follows on a line of its own.
"""

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from connectors.certificates import believed_for
from connectors.folders import sync_folder
from workflows.domain.errors import Unavailable
from workflows.domain.failpoints import Effect
from workflows.domain.notary import Standing

RECENT = 10_000
"""So many of the newest leaves and checkpoints are looked at when a notary starts."""
HALF_LINES = 100
"""More lines than that are looked at for them: a crash leaves half of one."""
POST_ATTEMPTS = 3
POST_TIMEOUT_S = 5.0


class FileAnchor:
    """A folder, meant for another disk or host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._newest: Path | None = None
        self._length = 0

    def standing(self) -> Standing:
        """Look at what is there, newest files first, as far back as a leaf and a checkpoint are found.

        Raises:
            Unavailable: the folder cannot be read.
        """
        next_leaf, notes, recent, empty = 0, list[str](), list[tuple[int, str, int, str]](), True
        try:
            for path in reversed(self._files()):
                found = _read(path)
                empty = empty and found.empty
                next_leaf = next_leaf or found.next_leaf
                notes = [*found.notes, *notes]
                recent = recent or list(found.recent)
                if found.begins or (next_leaf and len(notes) >= RECENT):
                    break
        except OSError as error:
            raise Unavailable(f"the anchor {self.folder} cannot be read: {error}") from error
        return Standing(next_leaf=next_leaf, notes=tuple(notes), recent=tuple(recent), empty=empty)

    def append(self, lines: Iterable[dict[str, Any]], day: date) -> None:
        """Append these lines; on disk when this returns. After a failure the same lines may be given again.

        Raises:
            Unavailable: the folder cannot be written, or what was written into it is gone.
        """
        try:
            with Effect("anchor.append"):
                self._append(lines, day)
        except OSError as error:
            self._newest = None
            raise Unavailable(f"the anchor {self.folder} cannot be written: {error}") from error

    def _append(self, lines: Iterable[dict[str, Any]], day: date) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        files = self._files()
        # A clock that went back must not bring an older file behind a newer one.
        path = max([self.folder / f"anchor-{day.isoformat()}.jsonl", *files[-1:]])
        if self._newest is not None:
            standing = self._newest.stat().st_size if self._newest.exists() else -1
            if standing < self._length:
                self._newest = None
                raise OSError(f"{files[-1] if files else 'its newest file'} lost something that was written into it")
        fresh = not path.exists()
        with path.open("ab") as file:
            if file.tell() and not _ends_with_a_line(path):
                file.write(b"\n")
            for line in lines:
                file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            self._newest, self._length = path, file.tell()
        if fresh:
            sync_folder(self.folder)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("anchor-????-??-??.jsonl"))


class _Found:
    """What one file has."""

    def __init__(self) -> None:
        self.next_leaf, self.empty, self.begins = 0, True, False
        self.notes: deque[str] = deque(maxlen=RECENT)
        self.recent: list[tuple[int, str, int, str]] = []
        self._leaves: deque[bytes] = deque(maxlen=RECENT + HALF_LINES)

    def take(self, line: bytes) -> None:
        self.empty = False
        if line.startswith(b'{"leaf":'):
            self._leaves.append(line)  # a day may have millions, and only the newest are looked at
            return
        # Of half a line nothing is taken: what it should have said was never counted on.
        with suppress(ValueError, TypeError, AttributeError, KeyError):
            self._take(json.loads(line))

    def _take(self, line: dict[str, Any]) -> None:
        if "checkpoint" in line:
            self.notes.append(str(line["checkpoint"]))
        elif "key" in line:
            statement = json.loads(line.get("statement") or "{}")
            if "loss" in statement:
                # Another log begins here, with the leaves that it still has.
                self.next_leaf, self.begins = int(statement["loss"]["leaves"]), True
                self.notes.clear()
                self._leaves.clear()

    def end(self) -> None:
        """Read the newest leaves."""
        for line in self._leaves:
            try:
                index, stream, seq, *_, entry_hash = json.loads(line)["leaf"]
                self.recent.append((int(index), str(stream), int(seq), str(entry_hash)))
                self.next_leaf = int(index) + 1
            except (ValueError, TypeError, KeyError):
                continue  # half a line, as above
        del self.recent[:-RECENT]


def _read(path: Path) -> _Found:
    found = _Found()
    for line in _lines(path):
        found.take(line)
    found.end()
    return found


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                yield line


def _ends_with_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


class UrlAnchor:
    """Somebody else's server that keeps what it is sent: each newest note is POSTed there."""

    def __init__(self, url: str) -> None:
        """
        Raises:
            InvalidInput: SSL_CERT_FILE names no certificates.
        """
        self.url = url
        self._verify = believed_for(httpx.URL(url).scheme)

    def post(self, note: str, *, attempts: int = POST_ATTEMPTS) -> None:
        """Send a note; a note that came already is harmless.

        Raises:
            Unavailable: it was not taken. The next one covers everything that this one did.
        """
        repeated = Retrying(
            retry=retry_if_exception_type(Unavailable), stop=stop_after_attempt(attempts),
            wait=wait_exponential(multiplier=0.2, max=2), reraise=True,
        )  # fmt: skip
        repeated(self._post, note)

    def _post(self, note: str) -> None:
        kind = {"content-type": "text/plain; charset=utf-8"}
        try:
            with (
                httpx.Client(
                    timeout=POST_TIMEOUT_S, trust_env=False, follow_redirects=False, verify=self._verify
                ) as client,
                Effect("anchor.post"),
            ):
                answer = client.post(self.url, content=note.encode(), headers=kind)
        except httpx.HTTPError as error:
            raise Unavailable(f"the anchor at {httpx.URL(self.url).host} did not answer: {error}") from error
        if not answer.is_success:
            raise Unavailable(f"the anchor at {httpx.URL(self.url).host} answered {answer.status_code}")

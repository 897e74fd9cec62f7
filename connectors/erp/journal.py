"""A journal is append-only JSON lines: an entry that was acknowledged survives kill -9; a torn one never happened."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from connectors.folders import sync_folder


class JournalDamaged(Exception):
    """What is in the file is not what was written: the ground truth is gone, so nobody may go on from it."""


class JournalUnwritable(Exception):
    """The entry is not in the journal (disk full, for one), and the journal is as it was."""


class JournalInUse(Exception):
    """Another process writes this journal."""


class Journal:
    """One file, one writer. Not safe to share between threads: the caller holds a lock."""

    def __init__(self, path: Path) -> None:
        """Open or create it; a torn last line (its writer was killed) is cut off.

        Raises:
            JournalInUse: another process has it open.
            JournalDamaged: a line before the last cannot be read.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise JournalInUse(f"{path} is written by another process") from None
        body = path.read_bytes()
        whole = body.rfind(b"\n") + 1
        if whole < len(body):
            os.ftruncate(self._file, whole)
        # Also makes the file's name durable, and whatever a writer that was killed had not synced yet.
        os.fsync(self._file)
        sync_folder(path.parent)
        self.entries = [_entry(path, number, line) for number, line in enumerate(body[:whole].splitlines(), 1)]
        """What was in it when it was opened, in order."""
        self._end = whole

    def append(self, entry: dict[str, Any]) -> None:
        """Write one entry and wait until it is on the disk.

        Raises:
            JournalUnwritable: it is not in the journal; the journal is as it was.
            JournalDamaged: it may or may not be in the journal, and nothing more can be written.
        """
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        try:
            written = os.write(self._file, line)
            if written < len(line):
                raise OSError(f"only {written} of {len(line)} bytes could be written")
            os.fsync(self._file)
        except OSError as error:
            try:
                os.ftruncate(self._file, self._end)
            except OSError as worse:
                self.close()
                raise JournalDamaged(f"half an entry could not be taken back: {worse}") from error
            raise JournalUnwritable(str(error)) from error
        self._end += len(line)

    def close(self) -> None:
        """Let another process write it."""
        os.close(self._file)


def _entry(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        raise JournalDamaged(f"{path}, line {number}: not JSON") from None
    if not isinstance(entry, dict):
        raise JournalDamaged(f"{path}, line {number}: not an entry")
    return entry

"""The notary's own folder: its key, what it signed last, and a rotation that has begun. No other process looks in.

notary.key            PRIVATE+KEY+NAME+HASH+BASE64, mode 0600
notary.json           the last checkpoint that was signed (`State`)
rotation.json         a key that is being installed, until everybody knows it; mode 0600
rotation.asked.json   what a command asks of the process that runs
notary.lock           held while a notary works
"""

import json
import os
import stat
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from connectors.folders import sync_folder
from connectors.signing import NoteSigner
from workflows.domain.errors import InvalidInput, Unavailable
from workflows.domain.failpoints import Effect
from workflows.domain.notary import InstalledKey, NotaryRefuses, NotaryRuns, State


class NotaryFolder:
    """The folder of the key file. Every write is whole or has not happened."""

    def __init__(self, key_file: Path) -> None:
        self.key_file = key_file
        self._folder = key_file.parent
        self._state = self._folder / "notary.json"
        self._rotation = self._folder / "rotation.json"
        self._asked = self._folder / "rotation.asked.json"
        self._lock = FileLock(self._folder / "notary.lock", thread_local=False)

    def lock(self) -> None:
        """Take the folder for this process.

        Raises:
            NotaryRuns: another process has it.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise NotaryRuns(f"another notary works with the key in {self._folder}") from None

    def unlock(self) -> None:
        """Let it go; twice is harmless."""
        self._lock.release(force=True)

    def key(self) -> NoteSigner | None:
        """The key; None when there is no file.

        Raises:
            NotaryRefuses: others may read it, or it is no key.
        """
        try:
            with self.key_file.open() as file:
                mode, text = stat.S_IMODE(os.fstat(file.fileno()).st_mode), file.read(1024)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise NotaryRefuses("key", f"the notary's key in {self.key_file} cannot be read: {error}") from None
        if mode & 0o077:
            raise NotaryRefuses(
                "key", f"others may read the notary's key {self.key_file} (mode {mode:o}): `chmod 600` it, and "
                "`quartermaster notary rotate` if somebody may have done so"
            )  # fmt: skip
        try:
            return NoteSigner.parse(text)
        except InvalidInput as error:
            raise NotaryRefuses("key", f"the notary's key in {self.key_file} is of no use: {error}") from None

    def keep_key(self, signer: NoteSigner) -> None:
        """Put a key in place of the one that is there, if any."""
        with Effect("notary_key.keep"):
            self._write(self.key_file, signer.private_text())

    def state(self) -> State | None:
        """What was signed last; None before the first time.

        Raises:
            NotaryRefuses: the file is damaged.
        """
        try:
            return State.model_validate_json(self._state.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            said = str(error).splitlines()[0]
            raise NotaryRefuses(
                "state",
                f"the notary's memory of what it signed, {self._state}, is damaged ({said}). Restore it from its "
                "backup; or compare the newest checkpoint of the anchor with the database's (`quartermaster notary "
                "show`) and, when they agree, move the file away: it is made anew from the anchor",
            ) from None

    def keep_state(self, state: State) -> None:
        """Remember what was signed."""
        with Effect("notary_state.keep"):
            self._write(self._state, state.model_dump_json() + "\n")

    def forget_state(self) -> None:
        """Another log begins."""
        with Effect("notary_state.forget"):
            self._state.unlink(missing_ok=True)

    def rotation(self) -> tuple[NoteSigner, InstalledKey] | None:
        """A key that is being installed, if a crash left one.

        Raises:
            NotaryRefuses: the file is damaged.
        """
        try:
            kept = json.loads(self._rotation.read_text())
            return NoteSigner.parse(kept["private"]), InstalledKey.model_validate(kept["key"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, InvalidInput) as error:
            raise NotaryRefuses(
                "key", f"the key that is being installed, {self._rotation}, cannot be read "
                f"({str(error).splitlines()[0]}): restore it from its backup, it may be the newest that signed"
            ) from None  # fmt: skip

    def keep_rotation(self, signer: NoteSigner, key: InstalledKey) -> None:
        """Note a key before anybody hears of it: whatever follows can then be repeated."""
        kept = {"private": signer.private_text(), "key": key.model_dump(mode="json")}
        with Effect("notary_rotation.keep"):
            self._write(self._rotation, json.dumps(kept) + "\n")

    def end_rotation(self) -> None:
        """Everybody knows the key."""
        with Effect("notary_rotation.end"):
            self._rotation.unlink(missing_ok=True)
            sync_folder(self._folder)

    def ask(self, what: dict[str, Any]) -> None:
        """Leave a request for the process that runs."""
        with Effect("notary_request.keep"):
            self._write(self._asked, json.dumps(what) + "\n")

    def asked(self) -> dict[str, Any] | None:
        """The request that a command left."""
        try:
            found = json.loads(self._asked.read_text())
        except FileNotFoundError:
            return None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self.answered()
            return None
        return found

    def answered(self) -> None:
        """The request is done with."""
        with Effect("notary_request.answer"):
            self._asked.unlink(missing_ok=True)

    def _write(self, path: Path, text: str) -> None:
        """Atomically, and on disk when this returns.

        Raises:
            Unavailable: the disk is full, or the folder cannot be written; what was there stays.
        """
        draft = path.with_name(path.name + ".new")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            sync_folder(self._folder)
        except OSError as error:
            raise Unavailable(f"the notary's folder {self._folder} cannot be written: {error}") from error

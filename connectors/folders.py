"""A file's name is durable only once its folder is: what every connector that writes files of its own must do."""

import os
import secrets
from pathlib import Path

from workflows.domain.failpoints import Effect


def write_once(path: Path, body: bytes) -> None:
    """Make a file that its owner alone reads. It is written whole before it has its name: nobody reads half of it, and
    a crash leaves none.

    Raises:
        FileExistsError: somebody was quicker.
        OSError: the folder cannot be written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        with Effect("key_file.make"):
            os.link(draft, path)
    finally:
        draft.unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the folder's entries are on disk.

    Raises:
        OSError: the folder cannot be opened or written.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

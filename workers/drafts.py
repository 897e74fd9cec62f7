"""Files that a command writes for somebody hold business data: their owner alone reads them, and they appear whole."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.folders import sync_folder
from workflows.domain.errors import InvalidInput


@contextmanager
def draft_of(output: Path) -> Iterator[Path]:
    """An empty file beside `output` that nobody else can have made or reads (mode 0600), under a name that nobody
    guesses. It takes the place of `output` when the block ends well, and is gone otherwise. Where `output` is a link,
    the link is replaced and not what it leads to.

    Raises:
        InvalidInput: the folder cannot be written, or `output` is there and is no file.
    """
    if output.exists() and not output.is_file():
        raise InvalidInput(f"{output} is no file")
    try:
        with _beside(output) as draft:
            yield draft
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written: {error.strerror or error}") from error


@contextmanager
def _beside(output: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.absolute().parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(output)
        sync_folder(output.absolute().parent)
    finally:
        draft.unlink(missing_ok=True)

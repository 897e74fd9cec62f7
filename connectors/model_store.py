"""Model bytes are kept under their own SHA-256: what is read is what was written, or it is an error."""

import hashlib
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from connectors.folders import sync_folder
from workflows.domain.errors import ModelUnusable
from workflows.domain.failpoints import Effect

_SHA256 = re.compile(r"[0-9a-f]{64}")


class DirectoryModelStore:
    """Blobs in a directory (`ab/abcdef...`), used for models and training sets.

    Several processes may put and get at the same time. A blob appears whole or not at all, also after a power loss.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, body: bytes) -> str:
        """Store the bytes durably and return their SHA-256 (hex). Twice is one copy; a damaged copy is mended."""
        sha256 = hashlib.sha256(body).hexdigest()
        target = self._path(sha256)
        if _intact(target, sha256):
            return sha256
        with Effect("model.keep"):
            self._write(target, body)
        return sha256

    def _write(self, target: Path, body: bytes) -> None:
        self._make_folder(target.parent)
        handle, name = tempfile.mkstemp(prefix=".incoming-", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as sink:
                sink.write(body)
                sink.flush()
                os.fsync(sink.fileno())
            os.replace(name, target)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
        sync_folder(target.parent)

    def get(self, sha256: str) -> bytes:
        """The bytes under this digest.

        Raises:
            ModelUnusable: it is not a digest, nothing is stored under it, or the bytes are not what they were.
        """
        if _SHA256.fullmatch(sha256) is None:
            raise ModelUnusable(f"{sha256[:80]!r} is not a SHA-256 in lower-case hex")
        try:
            body = self._path(sha256).read_bytes()
        except FileNotFoundError:
            raise ModelUnusable(f"nothing is stored under {sha256}") from None
        except OSError as error:
            raise ModelUnusable(f"{sha256} cannot be read: {error.strerror}") from error
        if hashlib.sha256(body).hexdigest() != sha256:
            raise ModelUnusable(f"the bytes stored under {sha256} are damaged")
        return body

    def _path(self, sha256: str) -> Path:
        return self._root / sha256[:2] / sha256

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            # A folder's name is durable only once its parent is: else a power loss takes the blob with it.
            sync_folder(folder.parent)


def _intact(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False

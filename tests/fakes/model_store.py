"""A model store in memory."""

import hashlib
import re

from workflows.domain.errors import ModelUnusable


class InMemoryModelStore:
    """A fake of the `ModelStore` port."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    def put(self, body: bytes) -> str:
        """As the port says."""
        sha256 = hashlib.sha256(body).hexdigest()
        self.bodies[sha256] = body
        return sha256

    def get(self, sha256: str) -> bytes:
        """As the port says."""
        if re.fullmatch(r"[0-9a-f]{64}", sha256) is None:
            raise ModelUnusable(f"{sha256[:80]!r} is not a SHA-256 in lower-case hex")
        if sha256 not in self.bodies:
            raise ModelUnusable(f"nothing is stored under {sha256}")
        return self.bodies[sha256]

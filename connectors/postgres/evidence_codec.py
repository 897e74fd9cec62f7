"""Evidence is kept small: what is packed here unpacks to the same bytes for as long as its dictionary is kept too.

A dictionary is text that the small objects of one kind look like. It is evidence itself, kept under its digest as it
is; each packed object names the one it needs. So a later version may come with a better one: both stay readable.
"""

import hashlib
import zlib
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from workflows.domain.evidence import EvidenceDamaged, EvidenceKind, Kept
from workflows.domain.identity import Digest

LEVEL: Final = 6
"""9 takes a third more time and saves less than one byte in a hundred (`tests/bench/evidence_bytes.py`)."""
LARGE_LEVEL: Final = 1
LARGE_BYTES: Final = 1 << 20
"""Models: trees hardly shrink more at a higher level, and their numbers not at all."""
_DICTIONARY = Path(__file__).parent / "evidence_dictionary.txt"
_LIKE_IT = frozenset({EvidenceKind.SNAPSHOT, EvidenceKind.PART, EvidenceKind.DECISION})
"""Kinds that the dictionary is made for; to others it is only weight."""


class Packed(NamedTuple):
    """A row of `evidence_part`."""

    sha256: Digest
    kind: str
    codec: str
    dictionary: Digest | None
    size: int
    body: bytes


@cache
def dictionary() -> tuple[Digest, bytes]:
    """What this version packs with: digest and bytes."""
    body = _DICTIONARY.read_bytes()
    return hashlib.sha256(body).hexdigest(), body


def pack(sha256: Digest, kept: Kept) -> Packed:
    """The smallest form of the object among those that are worth trying."""
    kind, body = kept
    if kind is EvidenceKind.DICTIONARY:
        return Packed(sha256, str(kind), "raw", None, len(body), body)
    name, words = dictionary() if kind in _LIKE_IT else (None, b"")
    level = LARGE_LEVEL if len(body) >= LARGE_BYTES else LEVEL
    squeezer = zlib.compressobj(level, zdict=words) if words else zlib.compressobj(level)
    small = squeezer.compress(body) + squeezer.flush()
    if len(small) >= len(body):
        return Packed(sha256, str(kind), "raw", None, len(body), body)
    return Packed(sha256, str(kind), "zlib", name, len(body), small)


def unpack(packed: Packed, words: bytes) -> bytes:
    """The object's bytes; `words` is the dictionary that it names, empty when it names none.

    Raises:
        EvidenceDamaged: they are not those that were kept; the message names the digest and the kind.
    """
    body = packed.body
    if packed.codec == "zlib":
        try:
            opener = zlib.decompressobj(zdict=words) if words else zlib.decompressobj()
            # One byte more than there may be: a damaged stream shows, and cannot fill the memory.
            body = opener.decompress(packed.body, packed.size + 1)
        except zlib.error as error:
            raise EvidenceDamaged(f"evidence {packed.sha256} ({packed.kind}) cannot be unpacked: {error}") from error
    return checked(packed.sha256, packed.kind, body)


def checked(sha256: Digest, kind: str, body: bytes) -> bytes:
    """The bytes, if they are what the digest says.

    Raises:
        EvidenceDamaged: they are not.
    """
    found = hashlib.sha256(body).hexdigest()
    if found != sha256:
        raise EvidenceDamaged(f"evidence {sha256} ({kind}) is damaged: its bytes have the digest {found}")
    return body

"""Evidence is kept small: what is packed here unpacks to the same bytes for as long as its dictionary is kept too.

A dictionary is text that the small objects of one kind look like. It is evidence itself, kept under its digest as it
is; each packed object names the one it needs. So a later version may come with a better one: both stay readable.
"""

import hashlib
import lzma
import zlib
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from workflows.domain.evidence import EvidenceDamaged, EvidenceKind, Kept
from workflows.domain.identity import Digest

LEVEL: Final = 5
"""6 takes a third more time for three bytes in a hundred; 1 takes two thirds of it and a third more bytes."""
QUICK_LEVEL: Final = 1
"""Of lists of accepted events: mostly digests, which no level makes smaller; a third of the time, a twentieth more."""
LARGE_BYTES: Final = 1 << 18
"""Models, of which there are few: half a second makes 705 kB of 3 MB where zlib makes 905."""
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
    if kind is EvidenceKind.ITEMS:
        codec, name, small = "zlib", None, zlib.compress(body, QUICK_LEVEL)
    elif len(body) >= LARGE_BYTES:
        codec, name, small = "xz", None, lzma.compress(body)
    else:
        name, words = dictionary() if kind in _LIKE_IT else (None, b"")
        squeezer = _squeezer(words).copy()
        codec, small = "zlib", squeezer.compress(body) + squeezer.flush()
    if len(small) >= len(body):
        return Packed(sha256, str(kind), "raw", None, len(body), body)
    return Packed(sha256, str(kind), codec, name, len(body), small)


@cache
def _squeezer(words: bytes) -> "zlib._Compress":
    """Ready to begin: to read the dictionary anew for each object would take longer than the object."""
    return zlib.compressobj(LEVEL, zdict=words) if words else zlib.compressobj(LEVEL)


def unpack(packed: Packed, words: bytes) -> bytes:
    """The object's bytes; `words` is the dictionary that it names, empty when it names none.

    Raises:
        EvidenceDamaged: they are not those that were kept; the message names the digest and the kind.
    """
    # One byte more than there may be: a damaged stream shows, and cannot fill the memory.
    most = packed.size + 1
    try:
        if packed.codec == "raw":
            body, whole = packed.body, True
        else:
            stream = lzma.LZMADecompressor() if packed.codec == "xz" else _inflating(words)
            body = stream.decompress(packed.body, most)
            # What stands behind the end is read by nobody, and was not kept by us.
            whole = stream.eof and not stream.unused_data
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise EvidenceDamaged(f"evidence {packed.sha256} ({packed.kind}) cannot be unpacked: {error}") from error
    if not whole or len(body) != packed.size:
        raise EvidenceDamaged(
            f"evidence {packed.sha256} ({packed.kind}) is damaged: it is shorter or longer than it was"
        )
    return checked(packed.sha256, packed.kind, body)


def _inflating(words: bytes) -> "zlib._Decompress":
    return zlib.decompressobj(zdict=words) if words else zlib.decompressobj()


def checked(sha256: Digest, kind: str, body: bytes) -> bytes:
    """The bytes, if they are what the digest says.

    Raises:
        EvidenceDamaged: they are not.
    """
    found = hashlib.sha256(body).hexdigest()
    if found != sha256:
        raise EvidenceDamaged(f"evidence {sha256} ({kind}) is damaged: its bytes have the digest {found}")
    return body

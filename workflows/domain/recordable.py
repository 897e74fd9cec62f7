"""Whatever enters the ledger has one spelling: the same facts give the same bytes on every machine, and few of them."""

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import rfc8785
from pydantic import BaseModel

from workflows.domain.errors import InvalidInput
from workflows.domain.evidence import EvidenceKind, EvidenceSource, Kept
from workflows.domain.identity import Digest, rfc3339

MAX_DEPTH = 16
"""Objects and lists within each other, the body itself included."""
MAX_BYTES = 64 * 1024
LONG_PART = 8 * 1024
"""Bytes. A part of a body that is longer and may grow is kept as evidence."""
MAX_INTEGER = 2**53 - 1
REFERENCE = "evidence_sha256"


class NotRecordable(InvalidInput):
    """A body that the ledger does not take."""


def entry_bytes(body: Mapping[str, Any]) -> bytes:
    """The canonical bytes (RFC 8785) of an entry's body.

    No floats; integers within +-(2^53 - 1), and as strings beyond; decimals as strings; instants in UTC with
    microseconds (RFC 3339); text in Unicode's form C; keys in ASCII, none twice; at most 16 levels and 64 KiB.

    Raises:
        NotRecordable: the message names the place.
    """
    try:
        found = rfc8785.dumps(_formed(body, "body", 1))
    except (UnicodeError, rfc8785.CanonicalizationError) as error:
        raise NotRecordable(f"it holds text that has no UTF-8 form ({error})") from None
    if len(found) > MAX_BYTES:
        raise NotRecordable(
            f"it has {len(found):,} bytes, and an entry has at most {MAX_BYTES:,}; keep its long part as evidence"
        )
    return found


def _formed(value: Any, where: str, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if value is None or kind is bool:
        return value
    if isinstance(value, str):
        return unicodedata.normalize("NFC", str(value))
    if isinstance(value, int):
        return int(value) if abs(value) <= MAX_INTEGER else str(int(value))
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise NotRecordable(f"{where} is {value}, which is no amount")
        return format(value, "f")
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise NotRecordable(f"{where} is an instant without a time zone")
        return rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    return _compound(value, where, depth)


def _compound(value: Any, where: str, depth: int) -> Any:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="python")
    if depth > MAX_DEPTH:
        raise NotRecordable(f"{where} lies deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return dict(_pairs(value, where, depth))
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_formed(item, f"{where}[{number}]", depth + 1) for number, item in enumerate(value)]
    word = "a float" if isinstance(value, float) else f"a {type(value).__name__}"
    raise NotRecordable(f"{where} is {word}; an entry holds integers, decimals, strings, instants, lists and objects")


def _pairs(value: Mapping[Any, Any], where: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if not isinstance(key, str) or not key.isascii():
            raise NotRecordable(f"{where} has the key {key!r}; keys are ASCII text, so put it into a list of pairs")
        yield str(key), _formed(item, f"{where}.{key}", depth + 1)


def read_body(raw: bytes) -> dict[str, Any]:
    """An entry's body, from its bytes.

    Raises:
        NotRecordable: they are no JSON object, or a key is in one of its objects twice.
    """
    try:
        found = json.loads(raw, object_pairs_hook=_once)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise NotRecordable(f"the bytes of the entry cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise NotRecordable("the bytes of the entry are no object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = sorted({key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1})
        raise NotRecordable(f"the key {twice[0]!r} is there twice")
    return found


def by_reference(body: Mapping[str, Any], *names: str) -> tuple[dict[str, Any], dict[Digest, Kept]]:
    """The body with each of these parts that is long replaced by a reference to it, and what to keep as evidence.

    A short part stays where it is, so most entries of a kind are whole, and none ever fails for its length.
    """
    short, kept = dict(body), dict[Digest, Kept]()
    for name in names:
        if (part := short.get(name)) is None:
            continue
        written = rfc8785.dumps(_formed(part, name, 2))
        if len(written) > LONG_PART:
            sha256 = hashlib.sha256(written).hexdigest()
            short[name] = {REFERENCE: sha256, "bytes": len(written)}
            kept[sha256] = Kept(EvidenceKind.RECORD, written)
    return short, kept


def dereferenced(body: Mapping[str, Any], evidence: EvidenceSource) -> dict[str, Any]:
    """The body with every long part in its place again.

    Raises:
        EvidenceMissing, EvidenceDamaged: a part that it refers to is not there as it was.
    """
    return {
        name: json.loads(evidence.get(part[REFERENCE])) if isinstance(part, dict) and REFERENCE in part else part
        for name, part in body.items()
    }

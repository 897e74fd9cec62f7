"""The same seed gives the same rubbish: documents bent in their structure, and bytes bent whatever they mean."""

import copy
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, -(2**63), 10**40, 0.1, -0.0, 1e308, "", " ", "0", "-1", "1e400",
    "\x00", "\u200b", "\u202e", "\ud800", "é" * 300, "x" * 70_000, "'; DROP TABLE inbox; --", "<script>", "../../etc",
    "2025-03-03", "2025-03-03T05:00:00", "2025-03-03T05:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z",
    "2150-01-01T00:00:00Z",
    "2200-12-31T23:59:59.999999-12:00", "NaN", "Infinity", "\\u0000", "\x1f" * 200, "\U0001f4a9" * 200, "a" * 200,
    [], {}, [[]], [None], {"": ""}, [{}] * 50, {"a": {"b": {"c": {}}}}, "approve", "APPROVE", "LEEDS", "ITEM-001",
)  # fmt: skip
"""Values that have broken a program somewhere."""
RAW: tuple[bytes, ...] = (
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"', b"\\", b"\\u0000", b"\\ud800", b",", b":", b"{", b"}",
    b"[", b"]", b"null", b"NaN", b"-Infinity", b"1e9999", b"-0", b"0x10", b"/*", b"\r\n", b"'", b"e", b"9" * 5_000,
    b"[" * 3_000, b'{"a":' * 3_000, b'"id":"again",', b"1E+999999999", b"0." + b"3" * 400,
)  # fmt: skip


def bent(chance: random.Random, document: Any) -> bytes:
    """One document as bytes, changed in one to four places: mostly in what it says, sometimes in its bytes."""
    changed = copy.deepcopy(document)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        changed = _one_change(chance, changed)
    raw = _written(chance, changed)
    return garbled(chance, raw) if chance.random() < 0.3 else raw


def garbled(chance: random.Random, raw: bytes) -> bytes:
    """The bytes, changed in one to three places, whatever they mean."""
    bytes_ = bytearray(raw)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(bytes_) + 1)
        match chance.randrange(6):
            case 0:
                bytes_[at:at] = chance.choice(RAW)
            case 1:
                del bytes_[at : at + chance.randint(1, 12)]
            case 2:
                bytes_[at:at] = bytes_[chance.randrange(len(bytes_) + 1) :][: chance.randint(1, 40)]
            case 3:
                del bytes_[at:]
            case 4:
                bytes_[at : at + 1] = chance.randbytes(1)
            case 5:
                bytes_[at:at] = chance.randbytes(chance.randint(1, 30))
    return bytes(bytes_)


def _one_change(chance: random.Random, document: Any) -> Any:
    """The document with one place changed; a new root where the root was picked."""
    places = list(_places(document))
    if not places or chance.random() < 0.02:
        return _strange(chance)
    holder, key = chance.choice(places)
    match chance.randrange(8):
        case 0 | 1 | 2:
            holder[key] = _strange(chance)
        case 3:
            del holder[key]
        case 4:
            holder[key] = _close(chance, holder[key])
        case 5:
            holder[key] = [holder[key]]
        case 6 if isinstance(holder, dict):
            holder[chance.choice((str(key).upper(), f"{key} ", "extra", ""))] = holder[key]
        case _:
            other, name = chance.choice(places)
            holder[key] = copy.deepcopy(other[name]) if name in _keys(other) else None
    return document


def _strange(chance: random.Random) -> Any:
    return copy.deepcopy(chance.choice(STRANGE))


def _close(chance: random.Random, value: Any) -> Any:
    """A value near this one: the edges of what is allowed are nearer than what is absurd."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return chance.choice((value + 1, value - 1, -value, value * 10**6, float(value), str(value), 100_000_001))
    if isinstance(value, str):
        return chance.choice(
            (value[:-1], value + value, value.upper(), value.lower(), f" {value}", f"{value}\n", value + "é",
             (value or "a") * 60, value[::-1], value.replace("0", "9"))
        )  # fmt: skip
    if isinstance(value, list):
        return value * chance.choice((0, 2, 300))
    return {**value, "extra": 1} if isinstance(value, dict) else _strange(chance)


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    for key in _keys(document):
        yield document, key
        yield from _places(document[key])


def _keys(document: Any) -> Sequence[Any]:
    if isinstance(document, dict):
        return list(document)
    # Of a long list the ends will do.
    return [*range(min(len(document), 3))] if isinstance(document, list) else ()


def _written(chance: random.Random, document: Any) -> bytes:
    encoding = "utf-16" if chance.random() < 0.01 else "utf-8"
    text = json.dumps(document, ensure_ascii=chance.random() < 0.5)
    return text.encode(encoding, "surrogatepass")

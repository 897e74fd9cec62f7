"""UBJSON is read here without XGBoost's help, so that a model's file can be checked by code that did not write it.

The subset that XGBoost writes (Universal Binary JSON, draft 12): numbers are big-endian, keys carry no type marker.
"""

import struct
from typing import Any

import numpy as np

NUMBERS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
CONSTANTS = {b"Z": None, b"T": True, b"F": False}
DEEPEST = 64
"""Levels of nesting: a file that goes deeper is no model."""


def read_ubjson(raw: bytes) -> Any:
    """The value in these bytes: objects as dicts, typed arrays as NumPy arrays of their own type.

    Raises:
        ValueError: when the bytes are no UBJSON, or go on behind the value.
    """
    reader = _Reader(raw)
    try:
        found = reader.value(reader.take(1), 0)
    except (struct.error, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no UBJSON: {error}") from error
    if reader.place != len(raw):
        raise ValueError(f"{len(raw) - reader.place} bytes follow the value")
    return found


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.place = 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.place + count > len(self._raw):
            raise ValueError(f"the bytes end at {len(self._raw)}, {count} more are promised at {self.place}")
        self.place += count
        return self._raw[self.place - count : self.place]

    def value(self, marker: bytes, depth: int) -> Any:
        if depth > DEEPEST:
            raise ValueError("nested too deeply")
        if marker in NUMBERS:
            return self._numbers(marker, 1)[0].item()
        if marker in CONSTANTS:
            return CONSTANTS[marker]
        if marker == b"S":
            return self._text()
        if marker == b"[":
            return self._array(depth)
        if marker == b"{":
            return self._object(depth)
        raise ValueError(f"unknown marker {marker!r} at {self.place - 1}")

    def _numbers(self, marker: bytes, count: int) -> Any:
        kind = np.dtype(NUMBERS[marker])
        return np.frombuffer(self.take(count * kind.itemsize), kind).astype(kind.newbyteorder("="))

    def _length(self) -> int:
        marker = self.take(1)
        if marker not in (b"i", b"U", b"I", b"l", b"L"):
            raise ValueError(f"a length of type {marker!r} at {self.place - 1}")
        return int(self._numbers(marker, 1)[0])

    def _text(self) -> str:
        return self.take(self._length()).decode()

    def _array(self, depth: int) -> Any:
        marker, kind = self.take(1), b""
        if marker == b"$":
            kind, marker = self.take(1), self.take(1)
        if marker == b"#":
            count = self._length()
            if kind in NUMBERS:
                return self._numbers(kind, count)
            return [self.value(kind or self.take(1), depth + 1) for _ in range(count)]
        if kind:
            raise ValueError(f"a typed array without its length at {self.place}")
        found = []
        while marker != b"]":
            found.append(self.value(marker, depth + 1))
            marker = self.take(1)
        return found

    def _object(self, depth: int) -> dict[str, Any]:
        found = {}
        while self.take(1) != b"}":
            self.place -= 1
            key = self._text()
            found[key] = self.value(self.take(1), depth + 1)
        return found

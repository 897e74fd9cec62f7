"""Identity comes from the business, never from chance or from a run.

Every id here is a function of facts that outlive processes, so doing the same thing twice gives the same id and the
second attempt is recognised as such.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar

import rfc8785
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

CODE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Codes appear in URLs, Kafka keys and workflow ids: ASCII, no separator of ours (':' and '/')."""

Code = Annotated[str, StringConstraints(pattern=CODE_PATTERN)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Payload(BaseModel):
    """A value that travels between processes: frozen; grows only by fields with defaults; unknown fields are ignored,
    so that old and new workers overlap during a deploy."""

    model_config = ConfigDict(frozen=True, extra="ignore")


Made = TypeVar("Made", bound=Payload)


class Grown(Payload):
    """A payload that is hashed, and that got fields since its first records were written: those are left out where they
    are at their default. So a record from before a field was there keeps its bytes when it is read, and its digest."""

    FIRST_FIELDS: ClassVar[frozenset[str]]
    """Always written, because the first records have them all."""

    @model_serializer(mode="wrap")
    def _without_what_changes_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        return {
            name: value
            for name, value in handler(self).items()
            if name in self.FIRST_FIELDS or getattr(self, name) != fields[name].default
        }

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Its fields, of which only the first are always there: the serializer alone says nothing of them."""
        schema = handler({key: value for key, value in core_schema.items() if key != "serialization"})
        found = handler.resolve_ref_schema(schema)
        found["required"] = [name for name in found.get("required", ()) if name in cls.FIRST_FIELDS]
        return schema


def rfc3339(moment: datetime) -> str:
    """UTC with microseconds: one spelling per instant, so that equal instants hash equally."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Instant = Annotated[AwareDatetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
"""An aware instant; in JSON always UTC with microseconds, so that a value and its copy from storage hash equally."""


def plain(value: Any) -> Any:
    """The value in the types that canonical JSON knows: decimals as strings, instants in UTC, models as objects.

    Raises:
        TypeError: for a float. A float has no single spelling across machines, so it never enters a hash.
    """
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="python"))
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray)):
        items = sorted(value) if isinstance(value, (set, frozenset)) else value
        return [plain(item) for item in items]
    raise TypeError(f"{type(value).__name__} has no canonical form; use an integer, a Decimal or a string")


_sorted_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of the value (after `plain`): what is hashed, stored and compared."""
    document = plain(value)
    # Without floats (`plain` refuses them) Python's JSON differs in the order of keys beyond the Basic Multilingual
    # Plane alone, and takes a tenth of the time.
    text = _sorted_json(document)
    return text.encode() if text.isascii() else rfc8785.dumps(document)


def made(kind: type[Made], values: dict[str, Any]) -> Made:
    """A payload of values that are known to be valid: none is checked, and what is not given is at its default."""
    one = kind.__new__(kind)
    names, defaults = _fields(kind)
    if len(values) < len(names):
        values = {**defaults, **values}
    _set(one, "__dict__", values)
    # One set for all: payloads are frozen, and copies copy it.
    _set(one, "__pydantic_fields_set__", names)
    _set(one, "__pydantic_extra__", None)
    _set(one, "__pydantic_private__", None)
    return one


def changed(one: Made, values: dict[str, Any]) -> Made:
    """The payload with these values, which are known to be valid."""
    return made(type(one), {**one.__dict__, **values})


_set = object.__setattr__


@cache
def _fields(kind: type[Payload]) -> tuple[set[str], Mapping[str, Any]]:
    """All names, and the defaults."""
    fields = kind.model_fields
    optional = {name: field for name, field in fields.items() if not field.is_required()}
    return set(fields), {name: field.get_default(call_default_factory=True) for name, field in optional.items()}


def canonical_texts(rows: Sequence[Sequence[str]]) -> bytes:
    """What `canonical` gives for rows of texts, in a tenth of its time: Python's JSON escapes texts as RFC 8785 does;
    it is numbers and the order of keys that differ."""
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()


def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical bytes; of the bytes themselves when given bytes."""
    return hashlib.sha256(value if isinstance(value, bytes) else canonical(value)).hexdigest()


def need_id(location: str, item: str, number: int) -> str:
    """The `number`-th need (from 1) of one item at one location; it is the decision's id too."""
    return f"{location}:{item}:{number}"


def order_id(supplier: str, location: str, cycle: str, part: int) -> str:
    """A purchase order is one supplier, one location, one order cycle and one part of it (from 1)."""
    return f"{supplier}:{location}:{cycle}:{part}"


def order_key(supplier: str, location: str, cycle: str, part: int) -> str:
    """The idempotency key that every attempt to place this order carries: SHA-256 of its business identity."""
    return digest([supplier, location, cycle, part])

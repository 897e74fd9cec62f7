"""Many values travel as one parameter: joined here, split in the server, at a fraction of what a list of them costs."""

from collections.abc import Sequence

_UNIT = "\x1f"


def split(name: str, kind: str = "text") -> str:
    """SQL for the array that the parameter of this name was `joined` from; an empty text becomes NULL."""
    array = f"string_to_array(%({name})s::text, E'\\x1f', '')"
    return array if kind == "text" else f"{array}::{kind}[]"


def literal(values: Sequence[str]) -> str:
    """These texts as an array in one text, for `%s::text[]`: of a list each text would be looked at by itself."""
    whole = '","'.join(values)
    if whole.count('"') != 2 * max(0, len(values) - 1) or "\\" in whole:
        whole = '","'.join([value.replace("\\", "\\\\").replace('"', '\\"') for value in values])
    return f'{{"{whole}"}}' if values else "{}"


def joined(values: Sequence[str]) -> str:
    """These texts as one, for `split`.

    Raises:
        ValueError: one of them has the separator; no code, number or instant of ours has.
    """
    whole = _UNIT.join(values)
    if whole.count(_UNIT) != max(0, len(values) - 1):
        raise ValueError("a value holds the separator of values (U+001F)")
    return whole


def separable(values: Sequence[str]) -> bool:
    """Whether these texts of anybody's can be `joined` and come back as they are."""
    return all(values) and not any(_UNIT in value for value in values)

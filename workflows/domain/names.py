"""Names of people: no two people's names may look alike, and inside everybody is a random reference instead."""

import re
import unicodedata
from collections.abc import Mapping

OURS = frozenset({
    "engine", "clock", "intake", "send gate", "relay", "identity provider", "installation", "measured outcomes",
})  # fmt: skip
"""What the record calls parts of ours."""
_LOOK_ALIKE = ("LATIN", "CYRILLIC", "GREEK", "CHEROKEE", "ARMENIAN")
"""Scripts with letters that look the same; a word is written in one of them."""
_WORD = re.compile(r"\w+")
# Begins with its letters, so that a long page is searched quickly: what must not stand before them is looked at after.
_REFERENCE = re.compile(r"p-(?<!\w..)[0-9a-f]{12}\b")


NOBODY_YET = "p-000000000000"
"""In the place of a reference until the store has made one up."""


def is_reference(name: str) -> bool:
    """Whether it was made up: `p-` and 12 hexadecimal digits; people of before have their plain name."""
    return _REFERENCE.fullmatch(name) is not None


def erased_name(reference: str) -> str:
    """What somebody is called whose name is known no more; the reference tells two of them apart."""
    return f"erased person {reference}"


def references_at(text: str) -> list[tuple[int, str]]:
    """Where the text mentions which reference, from its beginning."""
    return [(found.start(), found[0]) for found in _REFERENCE.finditer(text)]


def with_names(text: str, names: Mapping[str, str]) -> str:
    """The text with what people are called in the place of their references; others stay as they are."""
    return _REFERENCE.sub(lambda found: names.get(found[0], found[0]), text)


def name_key(name: str) -> str:
    """What two names have in common that are one person's: they differ in case, blanks, width or unseen characters.

    Unicode's compatibility form and case folding (UAX 15, UAX 31 section 5): a name in wide letters is the same name.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(_seen(char) for char in folded).split())


def name_problem(name: str) -> str:
    """Why nobody new may be called so; empty when somebody may."""
    if name_key(name) in OURS:
        return f"{name} is what the record calls a part of the engine: choose another name"
    if _REFERENCE.search(name_key(name)):
        return f"{name} looks like a reference that the engine makes up: choose another name"
    if any(unicodedata.category(char) in {"Cf", "Co", "Cn", "Cs"} for char in name):
        return "a name has no characters that nobody sees"
    for word in _WORD.findall(name):
        if sum(any(_script(char) == script for char in word) for script in _LOOK_ALIKE) > 1:
            return f"{word!r} mixes letters of scripts that look alike: write it in one of them"
    return ""


def tidy_name(name: str) -> str:
    """A name from elsewhere in its usual characters, on one line."""
    usual = unicodedata.normalize("NFKC", name)
    return " ".join("".join(_seen(char) for char in usual).split())


def _seen(char: str) -> str:
    category = unicodedata.category(char)
    return "" if category in {"Cf", "Co", "Cn", "Cs"} else " " if category in {"Cc", "Zl", "Zp"} else char


def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0] if char.isalpha() else ""

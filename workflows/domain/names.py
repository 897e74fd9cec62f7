"""Names of people: whoever looks like somebody is taken for them, so no two people's names may look alike."""

import re
import unicodedata

OURS = frozenset({
    "engine", "clock", "intake", "send gate", "relay", "identity provider", "installation", "measured outcomes",
})  # fmt: skip
"""What the record calls parts of ours."""
_LOOK_ALIKE = ("LATIN", "CYRILLIC", "GREEK", "CHEROKEE", "ARMENIAN")
"""Scripts with letters that look the same; a word is written in one of them."""
_WORD = re.compile(r"\w+")


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

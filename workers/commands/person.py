"""Who gives a command: whoever the system says that this process runs as, under their reference.

A variable of the environment, LOGNAME or USER, would let one person answer under two names.
"""

import os
import pwd
from contextvars import ContextVar

from workflows.domain.approvals import Actor

_reference: ContextVar[str | None] = ContextVar("reference", default=None)


def name() -> str:
    """The name of the system's user; of one without a name (a container's), its number."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def known_as(reference: str) -> None:
    """From here on this command's author goes by the reference that was found for the system's user."""
    _reference.set(reference)


def me() -> Actor:
    """The same as the author of an answer: by reference, or by number before anybody looked, but never by name."""
    return Actor(name=_reference.get() or f"uid {os.getuid()}", channel="cli")

"""Who gives a command: whoever the system says that this process runs as.

A variable of the environment, LOGNAME or USER, would let one person answer under two names.
"""

import os
import pwd

from workflows.domain.approvals import Actor


def name() -> str:
    """The name of the system's user; of one without a name (a container's), its number."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def me() -> Actor:
    """The same as the author of an answer."""
    return Actor(name=name(), channel="cli")

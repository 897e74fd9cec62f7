"""Crashes, fails or holds this process at the failpoints that a test armed in a folder; nothing does without one.

The folder has three parts. `armed/NAME:MOMENT` is a request, JSON `{"mode": "crash" | "raise" | "delay", "seconds":
2.0}`: the first process that comes there moves it to `fired/NAME:MOMENT.PID` and does it, so each is done once.
`reached/NAME:MOMENT` is there when any process came to that point since a test last removed it.
"""

import json
import logging
import os
import time
from pathlib import Path
from typing import NoReturn

from workers.settings import Settings
from workflows.domain import failpoints
from workflows.domain.errors import InvalidInput, Unavailable

log = logging.getLogger(__name__)

CRASHED = 137
"""The exit code of a process that was killed, which is what a crash stands for."""
ARMED, FIRED, REACHED = "armed", "fired", "reached"


class FolderTrigger:
    """Does what the folder asks for; may be asked by several threads at once."""

    def __init__(self, folder: Path) -> None:
        self._armed, self._fired, self._reached = folder / ARMED, folder / FIRED, folder / REACHED
        for each in (self._armed, self._fired, self._reached):
            each.mkdir(exist_ok=True)

    def __call__(self, point: str) -> float:
        """What `failpoints.Trigger` says.

        Raises:
            Unavailable: a failure was asked for here.
        """
        (self._reached / point).touch()
        fired = self._fired / f"{point}.{os.getpid()}"
        try:
            (self._armed / point).rename(fired)  # of several processes one wins
        except FileNotFoundError:
            return 0.0
        asked = json.loads(fired.read_bytes())
        _settled(fired)
        log.critical("failpoint %s: %s", point, asked)
        match asked["mode"]:
            case "crash":
                _crash()
            case "raise":
                raise Unavailable(f"failpoint {point}")
            case "delay":
                return float(asked["seconds"])
            case other:
                raise ValueError(f"{fired} asks for {other!r}; a failpoint can crash, raise or delay")


def listen(settings: Settings) -> None:
    """Let the folder that the settings name, if any, decide about this process's failpoints from now on.

    Raises:
        InvalidInput: there is no such folder.
    """
    if settings.failpoints is None:
        return
    if not settings.failpoints.is_dir():
        raise InvalidInput(
            f"QM_FAILPOINTS={settings.failpoints} is no folder. It is for tests, which crash processes by it: unset it"
        )
    log.critical("QM_FAILPOINTS is set: whoever can write to %s can crash this process at will", settings.failpoints)
    failpoints.install(FolderTrigger(settings.failpoints), hold=time.sleep)


def _crash() -> NoReturn:
    """As a killed process: no `finally`, no flush, no goodbye to a server."""
    os._exit(CRASHED)


def _settled(path: Path) -> None:
    """The file and its name outlive the machine."""
    for each, flags in ((path, os.O_RDONLY), (path.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(each, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""A command that is given twice under one id is answered once, as the operators' desk does it."""

from typing import Any

from workflows.domain.errors import InvalidInput
from workflows.domain.identity import Payload, digest


class Once:
    """A command id gets one answer."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, Any]] = {}

    def answered(self, command_id: str | None, asked: dict[str, Any]) -> Any:
        """The answer that was given, if any."""
        if command_id is None or command_id not in self._kept:
            return None
        before, answer = self._kept[command_id]
        if before != digest(asked):
            raise InvalidInput(f"the key {command_id} was used for another command")
        return answer

    def keep(self, command_id: str | None, asked: dict[str, Any], answer: Payload) -> Any:
        """Remember it."""
        if command_id is not None:
            self._kept[command_id] = digest(asked), answer
        return answer

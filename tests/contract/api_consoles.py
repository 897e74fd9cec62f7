"""Consoles that programs are let loose on: one with all that can be shown, one with nothing optional."""

from dataclasses import fields
from typing import Any

from console.auth import api_token
from console.ports import ConsolePorts
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.files import MemoryFiles
from tests.fakes.live import MemoryLive
from tests.fakes.notices import MemoryNotices
from tests.fakes.shop import model_versions
from tests.unit.test_console_deliveries import MemoryDeliveries
from tests.unit.test_console_money import MemoryMoney, MemoryWhatIf
from tests.unit.test_console_planning import MemoryPlanning
from workflows.domain.people import Person, Role

ALL_ROLES = Person(name="Everything", roles=frozenset(Role))
TASK = "LEEDS:OAT-1L:1"


def whole() -> ConsoleOverFakes:
    """Everything that the console can have, and somebody who may do everything."""
    console = ConsoleOverFakes(
        planning=MemoryPlanning(), deliveries=MemoryDeliveries(), money=MemoryMoney(), what_if=MemoryWhatIf(),
        files=MemoryFiles(), notices=MemoryNotices(), live=MemoryLive(),
    )  # fmt: skip
    console.people.known[ALL_ROLES.name] = ALL_ROLES
    return console


def bare() -> ConsoleOverFakes:
    """What a console must have, and no more."""
    nothing: dict[str, Any] = {one.name: None for one in fields(ConsolePorts) if one.default is None}
    console = ConsoleOverFakes(**nothing)
    console.people.known[ALL_ROLES.name] = ALL_ROLES
    return console


def as_person(name: str) -> dict[str, str]:
    """The header of a program that acts as this person."""
    return {"Authorization": f"Bearer {api_token(KEY, name)}"}


def known_ids(console: ConsoleOverFakes) -> dict[str, str]:
    """Ids of things that are there, by the names of path parameters."""
    letter = str(console.shop.dead_letters[0]["dead_letter_id"])
    return {
        "decision_id": TASK, "location": "LEEDS", "item": "OAT-1L", "digest": model_versions()[0].digest,
        "redrive_id": "1", "order_id": console.shop.orders[0]["order_id"], "dead_letter_id": letter,
        "person": "Ada", "first_day": "2025-03-03", "change_id": "1", "stop_id": "1", "view_id": "1",
        "report_id": "northern-foods:3", "difference_id": console.reconciliations.found[0].difference_id,
    }  # fmt: skip

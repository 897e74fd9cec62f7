"""Who gives a command is whom the system knows, in every command: one person is never two."""

import os
import pwd
from contextvars import copy_context
from pathlib import Path

import pytest

from workers.commands import person
from workflows.domain.approvals import Actor

COMMANDS = Path(person.__file__).parent


def test_no_variable_says_who_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "somebody-else")
    assert person.name() == pwd.getpwuid(os.getuid()).pw_name
    assert person.me() == Actor(name=f"uid {os.getuid()}", channel="cli"), "who is not looked up yet is no name"


def test_the_author_is_the_reference_that_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> str:
        person.known_as("p-0123456789ab")
        return person.me().name

    assert copy_context().run(found) == "p-0123456789ab"
    assert person.me().name == f"uid {os.getuid()}", "of this command alone"


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert person.name() == "uid 3999999999"


@pytest.mark.parametrize("file", sorted(COMMANDS.glob("*.py")), ids=lambda file: file.stem)
def test_no_command_asks_anybody_else(file: Path) -> None:
    text = file.read_text()
    assert "getpass" not in text
    assert "LOGNAME" not in text or file.stem == "person"
    assert "getpwuid" not in text or file.stem == "person"

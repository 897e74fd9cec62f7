"""Programs read one line of JSON on stdout; people and progress are on stderr; a known error is one sentence."""

import asyncio
import json
import os
import signal
from decimal import Decimal

import pytest
import typer

from workers.commands import output
from workers.commands.output import KNOWN, errors_explained, print_json, print_table, run
from workers.embedded import StackRunning
from workers.progress import QuietLines
from workers.servers.ports import PortInUse
from workers.servers.server import ServerUnusable
from workers.servers.supervisor import ProcessFailed
from workers.settings import SettingsError
from workflows.domain.errors import InvalidInput, NotFound, Unavailable


def test_json_is_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"words": "zwei\nZeilen ü", "price": Decimal("1.50"), "none": None})

    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert out.endswith("\n")
    assert json.loads(out) == {"words": "zwei\nZeilen ü", "price": "1.50", "none": None}
    assert err == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("there is no such feed"), 1),
        (NotFound("there is no decision [x]"), 1),
        (Unavailable("Temporal did not answer"), 1),
        (StackRunning("already running, pid 7"), 1),
        (ServerUnusable("no package"), 1),
        (ProcessFailed("worker died"), 1),
        (SettingsError("QM_MOOD is not a setting"), 2),
    ],
)
def test_a_known_error_is_its_message_on_stderr_and_an_exit_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(error, KNOWN)
    with pytest.raises(typer.Exit) as left, errors_explained():
        raise error

    out, err = capsys.readouterr()
    assert left.value.exit_code == code
    assert out == ""
    assert err.split() == f"{type(error).__name__}: {error}".split()


def test_a_taken_port_is_a_known_error() -> None:
    assert isinstance(PortInUse(9, "QM_KAFKA_PORT"), KNOWN)


def test_a_fault_is_not_explained_away() -> None:
    with pytest.raises(ZeroDivisionError), errors_explained():
        raise ZeroDivisionError


def test_an_empty_table_says_so_and_cells_are_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Tasks", ("a",), [])
    print_table("Tasks", ("a", "b"), [("[bold]x[/bold]", None), ("[/]", 3)])

    out, _ = capsys.readouterr()
    assert out.startswith("Tasks: none\n")
    assert "[bold]x[/bold]" in out
    assert "[/]" in out


def test_sigterm_ends_a_command_after_what_it_holds_was_let_go() -> None:
    let_go = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(30)
        finally:
            let_go.append(True)

    with pytest.raises(typer.Exit) as left:
        run(work())

    assert let_go == [True]
    assert left.value.exit_code == 143


def test_a_bar_without_a_terminal_is_a_quiet_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    say = QuietLines()
    for done in range(11):
        say.bar("days", done, 10)

    out, err = capsys.readouterr()
    assert (out, err) == ("", "days: 0 of 10\n")


HOSTILE = "order\x1b]0;owned\x07 \x1b[2J\x9b31m\u202e000,1\u2066 und ein Ärger\tmehr"
"""What a supplier's answer could hold: a new title, an empty screen, colours, and a sum that reads backwards."""


def test_what_strangers_wrote_does_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.out.print(HOSTILE)
    print_table("Answers", ("said",), [(HOSTILE,)])
    with pytest.raises(typer.Exit), errors_explained():
        raise InvalidInput(HOSTILE)
    print_json({"said": HOSTILE})

    said = "".join(capsys.readouterr())
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u2066"} & set(said)
    assert said.count("Ärger") == 4
    assert json.loads(said.splitlines()[[line[:1] for line in said.splitlines()].index("{")]) == {"said": HOSTILE}

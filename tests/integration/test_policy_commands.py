"""`quartermaster policy` on a real database: for people and for programs, and two people are two system users."""

import json
import pwd
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from connectors.postgres.people import PostgresPeople
from connectors.postgres.policy_changes import PostgresPolicies
from connectors.postgres.pool import Database
from console.policy_desk import PolicyDesk
from tests.command_line import Said
from workers import cli
from workers.commands import policy
from workers.enrolling import INSTALLATION, let_in
from workers.settings import Settings
from workflows.domain.people import Permission, Person, Role
from workflows.domain.policies import Policy

Quartermaster = Callable[..., Said]
PEOPLE = (
    Person(name="ada", roles=frozenset({Role.PLANNER, Role.APPROVER})),
    Person(name="bob", roles=frozenset({Role.APPROVER})),
    Person(name="pia", roles=frozenset({Role.PLANNER})),
    Person(name="vera", roles=frozenset({Role.VIEWER})),
)


@pytest.fixture
def quartermaster(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Quartermaster:
    """The command line on a fresh database; `by` is the system user that runs it."""

    @asynccontextmanager
    async def connected(state: str | None, needs: Permission = Permission.SEE) -> AsyncIterator[Any]:
        settings = Settings(home=tmp_path, postgres_dsn=dsn)
        async with Database(dsn, name="test-cli", size=2) as database:
            for one in PEOPLE:
                await PostgresPeople(database).register(one, INSTALLATION)
            await let_in(settings, database, needs)
            desk = PolicyDesk(PostgresPolicies(database))
            yield SimpleNamespace(policy_desk=desk, settings=settings, database=database)

    monkeypatch.setattr(policy, "connected", connected)

    def called(*arguments: str, by: str = "ada", **variables: str) -> Said:
        monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name=by))
        done = CliRunner().invoke(cli.app, ["policy", *arguments], env={"COLUMNS": "160", **variables})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Said(done.exit_code, done.stdout, done.stderr)

    return called


@pytest.fixture
def changed(quartermaster: Quartermaster, tmp_path: Path) -> Path:
    """The document in force with another limit, as a person would write it."""
    document = quartermaster("show", "--json").json
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(document | {"auto_value_limit": 2000, "cover_cap_days": 90}))
    return file


def refused(said: Said, *words: str) -> None:
    """One sentence on stderr, nothing on stdout."""
    assert (said.code, said.out) == (1, "")
    assert len(said.err.strip().splitlines()) == 1
    for word in words:
        assert word in said.err


def test_from_show_to_a_new_version(quartermaster: Quartermaster, changed: Path) -> None:
    assert quartermaster("check", str(changed), "--json").json["differences"] == [
        {"limit": "auto_value_limit", "before": "1500", "after": "2000"},
        {"limit": "cover_cap_days", "before": None, "after": "90"},
    ]
    assert quartermaster("dry-run", str(changed), "--json").json["decisions"] == 0
    assert quartermaster("changes", "--json").json == {"changes": []}
    change = quartermaster("propose", str(changed), "--reason", "larger orders", "--json").json
    assert (change["state"], change["author"], change["number"]) == ("proposed", "ada", 1)
    again = quartermaster("propose", str(changed), "--reason", "larger orders", "--json").json
    assert again == change

    refused(quartermaster("approve", "1"), "NotAllowed", "another person must")
    refused(quartermaster("approve", "1", LOGNAME="bob", USER="bob"), "NotAllowed")
    adopted = quartermaster("approve", change["change_id"][:20], "--comment", "yes", "--json", by="bob").json
    assert (adopted["state"], adopted["decided_by"], adopted["decided_reason"]) == ("adopted", "bob", "yes")
    assert quartermaster("approve", "1", "--comment", "yes", "--json", by="bob").json == adopted

    shown = quartermaster("show", "--json").json
    assert (shown["version"], shown["auto_value_limit"], shown["cover_cap_days"]) == (2, "2000", 90)
    assert Policy.model_validate(shown).digest == change["digest"]
    assert quartermaster("show", "--version", "1", "--json").json == Policy().model_dump(mode="json")
    versions = quartermaster("history", "--json").json["versions"]
    assert [(one["policy"]["version"], one["approved_by"]) for one in versions] == [(2, "bob"), (1, None)]
    refused(quartermaster("check", str(changed)), "of version 1, but version 2 is in force", "policy show --json")


def test_people_read_tables(quartermaster: Quartermaster, changed: Path) -> None:
    assert "auto_value_limit" in quartermaster("show").out
    assert "cover_cap_days" in quartermaster("check", str(changed)).out
    assert "0 decisions change" in quartermaster("dry-run", str(changed)).out
    said = quartermaster("propose", str(changed), "--reason", "larger orders").out
    assert "waits for another person" in said
    assert "larger orders" in quartermaster("changes").out
    assert "rejected by bob" in quartermaster("reject", "1", "--reason", "no", by="bob").out
    assert "installation" in quartermaster("history").out
    assert quartermaster("suggest", "--json").json == {"served": [], "proposals": [], "change": None}
    refused(quartermaster("suggest", "--propose"), "no other service target")


def test_rights_hold_on_the_command_line_too(quartermaster: Quartermaster, changed: Path) -> None:
    refused(quartermaster("suggest", "--propose", by="vera"), "MayNot", "planner")
    refused(quartermaster("propose", str(changed), "--reason", "larger orders", by="vera"), "MayNot", "planner")
    quartermaster("propose", str(changed), "--reason", "larger orders", by="bob")
    refused(quartermaster("approve", "1", by="pia"), "MayNot", "approver")
    refused(quartermaster("reject", "1", "--reason", "not mine", by="pia"), "MayNot", "approver")
    assert "rejected by bob" in quartermaster("reject", "1", "--reason", "withdrawn", by="bob").out
    quartermaster("propose", str(changed), "--reason", "larger orders", by="pia")
    assert "rejected by pia" in quartermaster("reject", "2", "--reason", "withdrawn", by="pia").out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "a JSON object"),
        ('{"autonomy": "L3", "autonomy": "L2"}', "says autonomy twice"),
        ('{"auto_value_limit": "a lot"}', "auto_value_limit: Input should be a valid decimal"),
        ('{"overrides": [{"category": "dairy"}]}', "overrides.0: the override for category dairy sets no limit"),
        ("{}", "changes nothing"),
    ],
)
def test_a_file_that_is_no_policy_is_refused(
    quartermaster: Quartermaster, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(text)
    for command in (("check",), ("dry-run",), ("propose", "--reason", "because")):
        refused(quartermaster(command[0], str(file), *command[1:]), words)
    refused(quartermaster("check", str(tmp_path / "none.json")), "cannot be read")
    refused(quartermaster("approve", "7"), "no policy change", "policy changes")
    refused(quartermaster("show", "--version", "7"), "there is no version 7")

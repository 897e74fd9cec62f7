"""`quartermaster people`: who may sign in and what each may do; the first admin is added on the machine itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from connectors.postgres.erasing import PostgresErasing
from connectors.postgres.people import PostgresPeople
from connectors.postgres.pool import Database
from connectors.postgres.tokens import PostgresTokens
from workers.commands import person
from workers.commands.connection import State, addresses
from workers.commands.output import AsJson, errors_explained, out, print_json, print_table, run
from workers.databases import owner_of
from workers.enrolling import let_in, recognised
from workers.personal_key import database_of
from workflows.domain.erasure import Erased, ErasureReason
from workflows.domain.errors import InvalidInput, NotAllowed, NotFound
from workflows.domain.people import Permission, Person, PersonName, Role, newcomer
from workflows.domain.sessions import LONGEST_TOKEN_DAYS, ApiToken

app = typer.Typer(no_args_is_help=True, help="People: who may sign in, and what each may do.")
Name = Annotated[
    str, typer.Argument(help="What the person is called; inside they have a reference that says nothing of them.")
]
Roles = Annotated[list[Role] | None, typer.Option("--role", help="May be given several times.")]
Places = Annotated[
    list[str] | None, typer.Option("--location", help="Only tasks of this location; several times. `all`: everywhere.")
]
Limit = Annotated[
    str | None, typer.Option("--approval-limit", help="Highest value to approve alone or sign first. `none`: any.")
]
Email = Annotated[str | None, typer.Option("--email", help="Where notices go.")]
Subject = Annotated[
    str | None, typer.Option("--subject", help="issuer#sub at the identity provider. `none`: known only here.")
]


@app.command("list")
def list_people(state: State = None, json: AsJson = False) -> None:
    """List everybody who is known, with their rights."""
    with errors_explained():
        found = run(_everyone(state))
        if json:
            print_json({"people": [one.model_dump(mode="json") for one in found]})
            return
        rows = [
            (one.called, ", ".join(sorted(one.roles)), _places(one), "any" if one.approval_limit is None else
             f"{one.approval_limit:f}", one.email, "disabled" if one.disabled_at else "")
            for one in found
        ]  # fmt: skip
        print_table("People", ("name", "roles", "locations", "approves up to", "e-mail", ""), rows)


@app.command()
def add(
    name: Name,
    role: Roles = None,
    location: Places = None,
    approval_limit: Limit = None,
    email: Email = None,
    subject: Subject = None,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Add somebody. As long as nobody has the role admin, whoever may reach the database may add the first one."""
    with errors_explained():
        _say(run(_add(state, name, _given(role, location, approval_limit, email, subject))), json)


@app.command()
def change(
    name: Name,
    role: Roles = None,
    location: Places = None,
    approval_limit: Limit = None,
    email: Email = None,
    subject: Subject = None,
    enable: Annotated[bool, typer.Option("--enable", help="Let a disabled person in again.")] = False,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Change what is given, and nothing else. Nobody changes their own rights."""
    with errors_explained():
        given = _given(role, location, approval_limit, email, subject) | ({"disabled_at": None} if enable else {})
        _say(run(_change(state, name, given)), json)


@app.command()
def disable(name: Name, state: State = None, json: AsJson = False) -> None:
    """Let somebody do nothing any more: every session and token ends at once, and the record stays."""
    with errors_explained():
        _say(run(_change(state, name, {"disabled_at": datetime.now(UTC)})), json)


@app.command()
def token(
    name: Name,
    label: Annotated[str, typer.Option("--for", help="What it is for.")],
    days: Annotated[int, typer.Option(min=1, max=LONGEST_TOKEN_DAYS, help="Days until it ends.")] = 30,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Make a token for the REST API that acts as this person. It is shown this one time."""
    with errors_explained():
        made, secret = run(_token(state, name, label, days))
        if json:
            print_json({**made.model_dump(mode="json"), "token": secret})
        else:
            out.print(secret, soft_wrap=True)


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(help="The token's id, as its maker and the console show it.")],
    state: State = None,
    json: AsJson = False,
) -> None:
    """Make an API token worthless at once."""
    with errors_explained():
        run(_revoke(state, token_id))
        if json:
            print_json({"token_id": token_id, "revoked": True})
        else:
            out.print(f"{token_id} opens nothing any more")


@app.command()
def erase(
    name: Name,
    reason: Annotated[ErasureReason, typer.Option(help="Why; a code, because words would be personal data again.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Destroy name, address, identity and words of somebody for good; the ledger keeps the reference and verifies."""
    with errors_explained():
        if not yes:
            typer.confirm(f"Erase what is personal of {name}? Nobody can undo it", abort=True, err=True)
        erased = run(_erase(state, name, reason))
        if json:
            print_json({**erased.model_dump(mode="json"), "name_stays": erased.name_stays})
        else:
            out.print(erased.words)


@app.command("give-up-key")
def give_up_key(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Throw away what was sealed with a key file that is lost for good, and begin with a new key and new people."""
    with errors_explained():
        if not yes:
            words = "Throw away all names, addresses and comments that the lost key sealed? A backup could have it"
            typer.confirm(words, abort=True, err=True)
        people = run(_give_up_key(state))
        if json:
            print_json({"people": people})
        else:
            out.print(f"What was sealed of {people:,} people is gone; `quartermaster people add` adds the first admin")


def _given(
    role: list[Role] | None, location: list[str] | None, limit: str | None, email: str | None, subject: str | None
) -> dict[str, Any]:
    """Only what the command line says."""
    given: dict[str, Any] = {}
    if role is not None:
        given["roles"] = frozenset(role)
    if location is not None:
        given["locations"] = None if location == ["all"] else frozenset(location)
    if limit is not None:
        given["approval_limit"] = None if limit == "none" else _amount(limit)
    if email is not None:
        given["email"] = email
    if subject is not None:
        given["subject"] = None if subject == "none" else subject
    return given


def _amount(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or not 0 <= value < Decimal(10) ** 12:
        raise InvalidInput(f"--approval-limit {text} is no amount; give one such as 1500.00, or none")
    return value


@asynccontextmanager
async def _opened(state: str | None, needs: Permission | None = None) -> AsyncIterator[Database]:
    """The database; who gives the command is known, and asked for what it needs if anything."""
    async with addresses(state) as found:
        dsn = owner_of(found)
        if dsn is None:
            raise NotAllowed("This is for the owner of the database: name its DSN, as for `quartermaster migrate`.")
        async with database_of(found, dsn, name="quartermaster-cli", size=1) as database:
            if needs is not None:
                await let_in(found, database, needs)
            else:
                await recognised(PostgresPeople(database))
            yield database


async def _everyone(state: str | None) -> list[Person]:
    async with _opened(state, Permission.SEE) as database:
        return await PostgresPeople(database).everyone()


async def _add(state: str | None, name: str, given: dict[str, Any]) -> Person:
    async with _opened(state) as database:
        people = PostgresPeople(database)
        if await people.named(name):
            raise InvalidInput(f"there is {name} already; `quartermaster people change` changes rights")
        fields = {**_newcomer(name).model_dump(), **given}
        return await people.save(_person(fields), person.me())


async def _change(state: str | None, name: str, given: dict[str, Any]) -> Person:
    async with _opened(state) as database:
        people = PostgresPeople(database)
        before = await _known(people, name)
        return await people.save(_person({**before.model_dump(), **given}), person.me())


async def _token(state: str | None, name: str, label: str, days: int) -> tuple[ApiToken, str]:
    async with _opened(state, Permission.SEE) as database:
        whose = (await _known(PostgresPeople(database), name)).name
        return await PostgresTokens(database).make(whose, label.strip()[:60] or "a program", days, person.me())


async def _revoke(state: str | None, token_id: str) -> None:
    async with _opened(state) as database:
        await PostgresTokens(database).revoke(token_id, person.me())


async def _erase(state: str | None, name: str, reason: ErasureReason) -> Erased:
    async with _opened(state, Permission.MANAGE_PEOPLE) as database:
        return await PostgresErasing(database).erase(name, reason, person.me())


async def _give_up_key(state: str | None) -> int:
    async with addresses(state) as found:
        dsn = owner_of(found)
        if dsn is None:
            raise NotAllowed("This is for the owner of the database: name its DSN, as for `quartermaster migrate`.")
        async with database_of(found, dsn, name="quartermaster-cli", size=1) as database:
            return await PostgresErasing(database).give_up_key(person.me())


async def _known(people: PostgresPeople, name: str) -> Person:
    found = await people.named(name)
    if found is None:
        raise NotFound(f"nobody is known as {name}; `quartermaster people list` shows who is")
    return found


def _newcomer(name: str) -> Person:
    try:
        return newcomer(TypeAdapter(PersonName).validate_python(name))
    except ValidationError as error:
        raise InvalidInput(f"name: {error.errors()[0]['msg']}") from None


def _person(fields: dict[str, Any]) -> Person:
    try:
        return Person.model_validate(fields)
    except ValidationError as error:
        raise InvalidInput("; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())) from None


def _places(one: Person) -> str:
    return "everywhere" if one.locations is None else ", ".join(sorted(one.locations)) or "nowhere"


def _say(one: Person, json: bool) -> None:
    if json:
        print_json(one.model_dump(mode="json"))
        return
    roles = ", ".join(sorted(one.roles)) or "no role"
    out.print(f"{one.called}: {'disabled' if one.disabled_at else roles}, {_places(one)}")

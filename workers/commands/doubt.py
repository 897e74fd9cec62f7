"""`quartermaster orders in-doubt` and what a person says of one: look again, the supplier has it, send it again."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from connectors.postgres.operations import PostgresOrderDesk
from connectors.postgres.order_words import PostgresOrderWords
from workers.commands import person
from workers.commands.connection import State, connected
from workers.commands.output import AsJson, errors_explained, print_json, print_table, run, say
from workers.wiring import Engine
from workflows.domain.doubt import Doubt, SupplierNumber
from workflows.domain.errors import InvalidInput
from workflows.domain.operations import OrderDone
from workflows.domain.people import Permission
from workflows.domain.stops import Reason as ReasonText

Order = Annotated[str, typer.Argument(help="The order's id, as `orders in-doubt` shows it.")]
Reason = Annotated[str, typer.Option("--reason", help="How you know; everybody sees it and the ledger keeps it.")]
Said = Callable[[Engine], Awaitable[OrderDone]]
REASON: TypeAdapter[str] = TypeAdapter(ReasonText)
_NUMBER: TypeAdapter[str] = TypeAdapter(SupplierNumber)


def register(app: typer.Typer) -> None:
    """Add the commands to `quartermaster orders`."""
    app.command("in-doubt")(in_doubt)
    app.command()(look)
    app.command()(confirm)
    app.command()(resend)
    app.command()(close)


def in_doubt(
    limit: Annotated[int, typer.Option(min=1, max=500)] = 100, state: State = None, json: AsJson = False
) -> None:
    """List orders of which nobody is sure that their supplier has them, and what may be said of each."""
    with errors_explained():
        found = run(_in_doubt(state, limit))
        if json:
            print_json({"orders": [one.model_dump(mode="json") for one in found]})
            return
        rows = [
            (one.order_id, str(one.request).replace("_", " "), one.level or "", one.n,
             f"{one.last_sent_at:%Y-%m-%d %H:%M:%S}" if one.last_sent_at else "", one.reason, _may(one))
            for one in found
        ]  # fmt: skip
        print_table("In doubt", ("order", "request", "level", "sent", "last sent", "why", "you may"), rows)


async def _in_doubt(state: str | None, limit: int) -> list[Doubt]:
    async with connected(state) as parts:
        return await PostgresOrderWords(parts.database).in_doubt(limit=limit)


def _may(one: Doubt) -> str:
    words = {"look": one.why_not_look, "confirm": one.why_not_confirm, "resend": one.why_not_send}
    return ", ".join(word for word, refusal in words.items() if not refusal) or one.why_not_confirm


def look(order: Order, reason: Reason, state: State = None, json: AsJson = False) -> None:
    """Ask the supplier now whether it has an order that is in doubt."""
    why = checked(REASON, reason, "--reason")
    carry_out(state, json, lambda parts: PostgresOrderWords(parts.database).look_again(order, why, person.me()))


def confirm(
    order: Order,
    number: Annotated[str, typer.Option("--number", help="The supplier's own number of the order.")],
    reason: Reason,
    state: State = None,
    json: AsJson = False,
) -> None:
    """The supplier has the order, under this number of its own: it is placed, and never sent again."""
    why, theirs = checked(REASON, reason, "--reason"), checked(_NUMBER, number, "--number")
    carry_out(
        state, json, lambda parts: PostgresOrderWords(parts.database).confirm_by_hand(order, theirs, why, person.me())
    )  # fmt: skip


def resend(order: Order, reason: Reason, state: State = None, json: AsJson = False) -> None:
    """The supplier does not have the order: send it again. Your word stands for what its system cannot tell."""
    why = checked(REASON, reason, "--reason")
    carry_out(state, json, lambda parts: PostgresOrderWords(parts.database).send_again(order, why, person.me()))


def close(order: Order, reason: Reason, state: State = None, json: AsJson = False) -> None:
    """Close an order as not ordered: certainly nothing of it is at the supplier. What is needed is needed anew."""
    why = checked(REASON, reason, "--reason")
    carry_out(state, json, lambda parts: PostgresOrderDesk(parts.database).close_unordered(order, why, person.me()))


def checked(kind: TypeAdapter[str], text: str, option: str) -> str:
    """The text as this kind has it; one that is none ends the command and names the option."""
    with errors_explained():
        try:
            return kind.validate_python(text)
        except ValidationError as error:
            raise InvalidInput(f"{option}: {error.errors()[0]['msg']}") from error


def carry_out(state: str | None, json: bool, said: Said) -> None:
    """Have an operator's word about one order carried out, and print what came of it."""
    with errors_explained():
        done = run(_carried(state, said))
        if json:
            print_json(done.model_dump(mode="json"))
        else:
            say(f"{done.order_id}: {done.done}")


async def _carried(state: str | None, said: Said) -> OrderDone:
    async with connected(state, Permission.OPERATE) as parts:
        return await said(parts)

"""`quartermaster what-if`: the newest weeks replayed as they were and changed, before anybody changes anything."""

from functools import partial
from typing import Annotated, Any

import typer

from connectors.postgres.studies import PostgresStudies
from workers.commands.connection import State, connected
from workers.commands.output import AsJson, errors_explained, out, print_json, print_table, run, say
from workers.what_if import LiveWhatIf
from workflows.domain.what_if import DEFINITIONS, WEEKS, Answer, Question

FIGURES = {
    "total_cost": "total cost", "holding_cost": "holding cost", "shortage_cost": "shortage cost",
    "order_cost": "order cost", "fill_rate": "fill rate", "mean_stock_units": "mean stock", "orders": "order lines",
}  # fmt: skip
Text = str | None


def what_if(
    item: Annotated[Text, typer.Option(help="Ask about this item only.")] = None,
    location: Annotated[Text, typer.Option(help="Ask about this location only.")] = None,
    category: Annotated[Text, typer.Option(help="Ask about this category only.")] = None,
    supplier: Annotated[Text, typer.Option(help="Ask about what is bought from this supplier only.")] = None,
    service: Annotated[Text, typer.Option(help="Service target, as in 0.98.")] = None,
    slip_days: Annotated[int | None, typer.Option(help="Deliveries come so many days later.")] = None,
    block: Annotated[Text, typer.Option(help="This supplier takes no orders.")] = None,
    demand: Annotated[Text, typer.Option(help="Demand times this, as in 1.2.")] = None,
    review_days: Annotated[int | None, typer.Option(help="Days that one order should last.")] = None,
    order_cost: Annotated[Text, typer.Option(help="What one order line costs.")] = None,
    price: Annotated[Text, typer.Option(help="The selling price.")] = None,
    weeks: Annotated[int, typer.Option(help="How many of the last weeks are replayed.")] = WEEKS,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Replay the last weeks with the engine as it is and with a change, and say what the change would have cost."""
    with errors_explained():
        question = Question.of(
            {
                "item": item, "location": location, "category": category, "supplier": supplier, "service": service,
                "slip_days": slip_days, "block": block, "demand": demand, "review_days": review_days,
                "order_cost": order_cost, "price": price, "weeks": weeks,
            }
        )  # fmt: skip
        answer = run(_ask(state, question))
        if json:
            print_json({**answer.model_dump(mode="json"), "definitions": DEFINITIONS})
            return
        show(answer)


def show(answer: Answer) -> None:
    """The answer as a table and a sentence."""
    rows: list[tuple[Any, ...]] = []
    for name, title in FIGURES.items():
        now, then = getattr(answer.now, name), getattr(answer.changed, name)
        if name == "fill_rate":
            shown = [f"{value * 100:.1f} %" for value in (now, then)]
            rows.append((title, *shown, f"{(then - now) * 100:+.1f} points"))
        else:
            rows.append((title, f"{now:,}", f"{then:,}", f"{then - now:+,}"))
    title = f"{answer.series} items at locations, {answer.first_day} to {answer.last_day}, {answer.currency}"
    print_table(title, ("", "as it is", "changed", "difference"), rows)
    out.print(answer.sentence)
    for note in answer.notes:
        out.print(f"Note: {note}.")


async def _ask(state: str | None, question: Question) -> Answer:
    async with connected(state) as parts:
        stretches = PostgresStudies(parts.database)
        return await LiveWhatIf(stretches, watch=partial(say.bar, "days replayed")).ask(question)

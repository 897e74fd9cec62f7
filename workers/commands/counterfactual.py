"""`quartermaster audit what-if`: what recorded decisions would have been with another policy or model."""

import asyncio
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import date, datetime
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from pydantic import ValidationError

from activities.counterfactual import Counterfactuals
from connectors.model_store import DirectoryModelStore
from connectors.postgres.auditing import note
from connectors.postgres.counterfactual import PostgresRecordings
from connectors.postgres.named import model_named, policy_named
from workers.commands.auditing import Desk, auditing
from workers.commands.connection import State
from workers.commands.output import AsJson, errors_explained, out, print_json, print_table, run, say
from workers.drafts import draft_of
from workers.wiring import required_path
from workflows.domain.counterfactual import Compared, Counterfactual, Other, Standing, Sums, Unread, Which
from workflows.domain.errors import InvalidInput, explained
from workflows.domain.evidence import EvidenceMissing
from workflows.domain.identity import Digest, canonical
from workflows.domain.ledger import EntryType
from workflows.domain.policies import Policy
from workflows.domain.policy_changes import read_document

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day of the decisions, business clock.")]
Last = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day of the decisions, inclusive.")]
ROWS = (
    ("held", "hold"), ("ordered without a person", "auto"), ("put before a person", "review"), ("blocked", "blocked"),
    ("units without a person", "auto_units"), ("units before people", "review_units"),
    ("value without a person", "auto_value"), ("value before people", "review_value"),
    ("expected cost", "expected_cost"),
)  # fmt: skip


def what_if(
    decision: Annotated[str | None, typer.Argument(help="One decision; or give --since.")] = None,
    since: Day = None,
    until: Last = None,
    policy: Annotated[str | None, typer.Option(help="A policy file, or the digest of an adopted policy.")] = None,
    model: Annotated[str | None, typer.Option(help="The digest of a model version, or its beginning.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Also write every comparison here, a line of JSON each.")
    ] = None,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Make recorded decisions again with another policy or model, from nothing but what was recorded for each.

    It says what every single decision would have been, and changes nothing. (`quartermaster what-if` is another
    question: it replays the newest weeks of the live business with a change, and says what that would have cost.)
    """
    with errors_explained():
        answer = run(_ask(state, _which(decision, since, until), policy, model, output))
        if json:
            print_json(answer.model_dump(mode="json"))
            return
        show(answer)


def _which(decision: str | None, since: datetime | None, until: datetime | None) -> Which:
    if decision is None and since is None and until is None:
        raise InvalidInput("name a decision, or the days whose decisions are asked about: --since DATE [--until DATE]")
    try:
        return Which(decision_id=decision, since=_day(since), until=_day(until))
    except ValidationError as error:
        raise InvalidInput(explained(error)) from None


def _day(given: datetime | None) -> date | None:
    return given.date() if given else None


async def _ask(
    state: str | None, which: Which, policy: str | None, model: str | None, output: Path | None
) -> Counterfactual:
    async with auditing(state) as desk:
        return await asyncio.to_thread(_answer, desk, which, policy, model, output)


def _answer(desk: Desk, which: Which, policy: str | None, model: str | None, output: Path | None) -> Counterfactual:
    try:
        other = Other(policy=_policy(desk, policy), model=model and model_named(desk.dsn, model))
    except ValidationError as error:
        raise InvalidInput(explained(error)) from None
    recordings = PostgresRecordings(desk.dsn)
    store = DirectoryModelStore(required_path(desk.settings, "model_store"))

    def bodies(digest: Digest) -> bytes:
        try:
            return recordings.model(digest)
        except EvidenceMissing:
            # A candidate that never decided: its bytes are its digest's, wherever they come from.
            return store.get(digest)

    # The numeric libraries take seconds to load: only a question that is asked does it.
    from activities.learning.scoring import XgboostScoring

    asking = Counterfactuals(recordings, XgboostScoring(nthread=desk.settings.training_threads), bodies)
    with draft_of(output) if output else nullcontext() as draft:
        with draft.open("wb") if draft else nullcontext() as file:
            answer = asking.ask(which, other, progress=say.bar, told=_lines_to(file) if file else None)
        note(desk.dsn, desk.actor, EntryType.COUNTERFACTUAL_ASKED, recorded(answer))
    return answer


def _lines_to(file: IO[bytes]) -> Any:
    def write(compared: Iterable[Compared], unread: Iterable[Unread]) -> None:
        for one in (*compared, *unread):
            file.write(canonical(one) + b"\n")

    return write


def _policy(desk: Desk, given: str | None) -> Policy | None:
    if given is None:
        return None
    file = Path(given)
    if not file.is_file():
        return policy_named(desk.dsn, given)
    try:
        return Policy.model_validate(read_document(file.read_bytes()))
    except ValidationError as error:
        raise InvalidInput(f"{file} is not a policy: {explained(error, 'policy')}") from None


def recorded(answer: Counterfactual) -> dict[str, Any]:
    """What the ledger keeps of a question: what was asked, and the digest that its answer has again."""
    return answer.model_dump(
        mode="python", include={"which", "policy", "model", "compared", "changed", "flipped", "sha256"}
    ) | {"not_possible": sum(one.decisions for one in answer.not_possible)}


def show(answer: Counterfactual) -> None:
    """The answer as tables and sentences."""
    for one in answer.totals:
        rows = [_row(title, name, one.before, one.after) for title, name in ROWS]
        print_table(f"{one.before.hold + one.before.auto + one.before.review + one.before.blocked:,} decisions, "
                    f"{one.currency}", ("", "as recorded", "would be", "difference"), rows)  # fmt: skip
        out.print(
            f"{one.newly_automatic:,} would newly go out without a person, for {one.newly_automatic_value:,.2f} "
            f"{one.currency}; {one.no_longer_automatic:,} would no longer."
        )
    out.print(
        f"{answer.compared:,} made again: {answer.changed:,} would be others, {answer.flipped:,} of them "
        f"ending elsewhere, {answer.quantity_changed:,} with another quantity, {answer.supplier_changed:,} from "
        "another supplier."
    )
    for why in answer.not_possible:
        out.print(f"Not possible for {why.decisions:,}: {why.why}.")
    biggest = [(c.decision_id, c.revision, _words(c.before), _words(c.after)) for c in answer.biggest]
    print_table("The biggest differences", ("decision", "revision", "as recorded", "would be"), biggest)
    for text in answer.notes:
        out.print(f"Note: {text}.")


def _row(title: str, name: str, before: Sums, after: Sums) -> tuple[str, str, str, str]:
    was, now = getattr(before, name), getattr(after, name)
    return title, f"{was:,}", f"{now:,}", f"{now - was:+,}"


def _words(one: Standing) -> str:
    if not one.units:
        return str(one.outcome)
    rules = f" ({', '.join(one.rules)})" if one.rules else ""
    return f"{one.outcome}: {one.units} from {one.supplier} for {one.value:.2f}{rules}"

"""`quartermaster model show`: one model version, what the gate said of it, and what it would have decided otherwise."""

import typer

from workers.commands import counterfactual
from workers.commands.connection import State, connected
from workers.commands.output import AsJson, errors_explained, out, print_json, run
from workflows.domain.errors import NotFound
from workflows.domain.models import ModelVersion


def show(
    digest: str = typer.Argument(help="The model's digest, or its beginning."),
    state: State = None,
    json: AsJson = False,
) -> None:
    """Show one model version: every check of the gate, and recorded decisions as it would have made them."""
    with errors_explained():
        version = run(_version(state, digest))
        if json:
            print_json(version.model_dump(mode="json"))
            return
        out.print(
            f"Model {version.number}, {version.digest}: {version.status}, trained through {version.trained_through}"
        )
        for reason in version.gate.reasons if version.gate else ():
            out.print(f"  {reason}")
        if version.comparison and version.comparison.redecided and version.comparison.redecided.compared:
            out.print("The champion's newest recorded decisions, made again with it:")
            counterfactual.show(version.comparison.redecided)


async def _version(state: str | None, digest: str) -> ModelVersion:
    async with connected(state) as parts:
        version = await parts.models.find(digest)
        if version is None:
            raise NotFound(f"no model, or more than one, begins with {digest}; `quartermaster model list` shows them")
        return version

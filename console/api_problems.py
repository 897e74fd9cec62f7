"""What every operation of the REST API has in common: how it is refused, and the key that each POST carries."""

from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel, ConfigDict, Field

from workflows.domain.approvals import STORABLE
from workflows.domain.differences import ProposalDifference
from workflows.domain.identity import Digest

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """An error as RFC 9457 has it. `type` is an address on this console that says what to do about it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Stable: decide by it, not by `detail`", examples=["/docs/api#not-found"])
    title: str
    status: int
    detail: str = Field(description="What is wrong with this request, in words for a person")
    instance: str = Field(description="The path that was asked")


class Standing(BaseModel):
    """What stands now."""

    revision: int
    proposal_hash: Digest
    units: int | None
    value: str | None
    state: str | None
    answered_by: str | None
    first_signature_by: str | None


class Outdated(Problem):
    """The answer does not count: what stands now, and what of it is other than what the caller saw."""

    current: Standing | None = None
    changes: list[ProposalDifference] = []


class LineProblem(BaseModel):
    """What is wrong with a file, and where; line 0: nowhere in particular."""

    line: int
    column: str = ""
    reason: str


class UnusableFile(Problem):
    """A file of which nothing was taken: what is wrong, line by line."""

    problems: list[LineProblem] = []
    further_problems: int = Field(default=0, description="There are so many more than `problems` lists")


def told(description: str = "", model: type[BaseModel] = Problem) -> dict[str, Any]:
    """An operation's own words for one way of being refused; empty: the usual ones of that status."""
    return {"model": model, "description": description}


NOT_HERE: dict[int | str, dict[str, Any]] = {404: told("This installation does not show it")}
"""For operations that ask for nothing by its id, and can still find nothing."""

_HEADER: dict[str, Any] = {"alias": "Idempotency-Key", "min_length": 8, "max_length": 100, "pattern": STORABLE}
KeptKey = Annotated[
    str,
    Header(
        **_HEADER,
        description="Yours, and kept with what it did. The same key with the same request gives the same answer and "
        "does nothing twice; with another request it is refused with 422.",
    ),
]
"""For operations that store the key."""
FreeKey = Annotated[
    str,
    Header(
        **_HEADER,
        description="Yours. It is not kept, because this operation may be repeated with any key: what it would do is "
        "recognised as done, or it changes nothing at all.",
    ),
]
"""For operations that are idempotent by themselves."""

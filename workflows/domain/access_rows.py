"""An access review as a table for spreadsheets, a row for each person; command line, console and REST give the same."""

from collections.abc import Mapping
from typing import Any

from workflows.domain.access_review import AccessReview, Answers, Rights, place_of

COLUMNS = (
    "on", "person", "state", "roles", "permissions", "where", "approval_limit", "since", "granted_by", "known_since",
    "conflicts", "since_day", "approved", "edited", "rejected", "signed_first", "withdrawn", "refused", "approve_share",
    "median_seconds", "quick", "sessions",
)  # fmt: skip


def rows(review: AccessReview) -> list[Mapping[str, str]]:
    """A row for each person: rights, conflicts and answers; somebody who answered without recorded rights has one."""
    people: dict[str, Rights | None] = {one.person: one for one in review.people}
    answers = {one.person: one for one in review.answers}
    return [
        _row(review, person, people.get(person), answers.get(person) or Answers(person=person))
        for person in sorted({*people, *answers})
    ]


def _row(review: AccessReview, person: str, rights: Rights | None, did: Answers) -> Mapping[str, str]:
    kinds = sorted({str(one.kind) for one in review.conflicts if one.person == person})
    told: dict[str, Any] = {
        "on": review.on, "person": person, "conflicts": " ".join(kinds), "since_day": review.since,
        "state": "not recorded", **did.model_dump(),
    }  # fmt: skip
    if rights is not None:
        told |= {
            "state": rights.state, "roles": " ".join(rights.roles), "permissions": " ".join(rights.permissions),
            "where": place_of(rights), "approval_limit": rights.approval_limit, "since": rights.since.isoformat(),
            "granted_by": rights.granted_by, "known_since": rights.known_since.isoformat(),
        }  # fmt: skip
    return {name: "" if told.get(name) is None else str(told[name]) for name in COLUMNS}

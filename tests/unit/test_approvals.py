"""A verdict command says one complete thing, or cannot be made."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from workflows.domain.approvals import Actor, Meaning, RejectReason, VerdictCommand

GOOD: dict[str, Any] = {"command_id": "click-0001", "decision_id": "B:A:1", "proposal_hash": "0" * 64}


@pytest.mark.parametrize(
    "fields",
    [
        {"meaning": "approve"},
        {"meaning": "approve_edited", "units": 1},
        {"meaning": "reject", "reason": "too_much"},
        {"meaning": "reject", "reason": "other", "comment": "  seasonal  "},
    ],
)
def test_complete_verdicts(fields: dict[str, Any]) -> None:
    command = VerdictCommand.model_validate(GOOD | fields)
    assert command.comment in {"", "seasonal"}
    assert VerdictCommand.model_validate_json(command.model_dump_json()) == command


@pytest.mark.parametrize(
    "fields",
    [
        {"meaning": "expire"},
        {"meaning": "maybe"},
        {"meaning": "reject"},
        {"meaning": "approve", "units": 3},
        {"meaning": "reject", "reason": "other", "units": 3},
        {"meaning": "approve_edited"},
        {"meaning": "approve_edited", "units": 0},
        {"meaning": "approve_edited", "units": 100_000_001},
        {"meaning": "approve", "comment": "\x00"},
        {"meaning": "approve", "comment": "x" * 1_001},
        {"meaning": "approve", "command_id": "short"},
        {"meaning": "approve", "command_id": "click-\x000001"},
        {"meaning": "approve", "decision_id": "B:\x00:1"},
        {"meaning": "approve", "proposal_hash": "abc"},
        {"meaning": "approve", "proposal_hash": "A" * 64},
    ],
)
def test_incomplete_or_impossible_verdicts(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VerdictCommand.model_validate(GOOD | fields)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(Meaning), st.none() | st.integers(-5, 10**9), st.none() | st.sampled_from(RejectReason), st.text()
)
def test_whatever_is_accepted_is_complete(
    meaning: Meaning, units: int | None, reason: RejectReason | None, comment: str
) -> None:
    fields = {"meaning": meaning, "units": units, "reason": reason, "comment": comment}
    try:
        command = VerdictCommand.model_validate(GOOD | fields)
    except ValidationError:
        return
    assert command.meaning is not Meaning.EXPIRE
    assert (command.units is not None) == (command.meaning is Meaning.APPROVE_EDITED)
    assert command.meaning is not Meaning.REJECT or command.reason is not None
    assert "\x00" not in command.comment


def test_an_actor_has_a_name() -> None:
    with pytest.raises(ValidationError):
        Actor(name="")

"""What was decided by the first release reads, hashes and comes out as it did: recorded by that release, made again."""

import json
from pathlib import Path
from typing import Any

import pytest

from workflows.domain.deciding import decide
from workflows.domain.decisions import FIRST_RULE, RULE, Decision, DecisionInputs
from workflows.domain.errors import InvalidInput
from workflows.domain.identity import canonical, digest
from workflows.domain.policies import Policy

RECORDED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("first_decisions.json").read_bytes())
"""Inputs, policy and decision as the first release stored them; between them they reach every branch of its rule."""


@pytest.mark.parametrize("record", RECORDED, ids=[record["name"] for record in RECORDED])
def test_a_first_decision_comes_out_byte_for_byte(record: dict[str, Any]) -> None:
    stored_inputs, stored = canonical(record["inputs"]), canonical(record["decision"])
    inputs, policy = DecisionInputs.model_validate_json(stored_inputs), Policy.model_validate(record["policy"])
    decision = Decision.model_validate_json(stored)
    assert inputs.rule == FIRST_RULE
    assert canonical(inputs) == stored_inputs
    assert digest(inputs) == decision.inputs_digest
    assert canonical(policy) == canonical(record["policy"])
    assert policy.digest == decision.policy_digest
    assert decision.proposal_hash == digest(stored), "approvals that were given for it stand"
    assert canonical(decision.model_copy(update={"result": decide(inputs, policy)})) == stored


def test_a_rule_that_this_version_does_not_know_is_refused_in_words() -> None:
    inputs = DecisionInputs.model_validate({**RECORDED[0]["inputs"], "rule": RULE + 1})
    with pytest.raises(InvalidInput, match=f"decided by rule {RULE + 1}.*upgrade"):
        decide(inputs, Policy())

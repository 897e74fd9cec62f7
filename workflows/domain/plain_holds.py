"""Most needs of a sweep need nothing: whoever sells them, enough is there. Those are held without weighing offers.

What comes out is what `deciding.decide` says of the same inputs, to the byte. It is only reached without the
comparison of suppliers, the price of neighbouring quantities and the company of other lines, none of which a need can
have that needs nothing from its one supplier.
"""

from workflows.domain.decisions import DecisionInputs, Hold, HoldReason, NeedFacts
from workflows.domain.drafting import COVERED, NO_DEMAND, need_steps
from workflows.domain.gate import percent
from workflows.domain.identity import made
from workflows.domain.limits import Place
from workflows.domain.policies import Policy
from workflows.domain.quantities import Quantity, expected_cost, order_statistic
from workflows.domain.scores import Scores
from workflows.domain.stakes import stakes
from workflows.domain.supplying import holding_per_cover


def needs_nothing(facts: NeedFacts, scores: Scores, policy: Policy) -> bool:
    """Whether this need is plainly a hold: one supplier, the economic target, and nothing required at it."""
    if facts.alternatives or len(facts.options) != 1 or facts.wanted_supplier is not None:
        return False
    if facts.options[0].supplier.blocked or order_statistic(scores.requirement_units, scores.target) > 0:
        return False
    if not policy.overrides:
        return policy.service is None
    return policy.limits_for(Place(facts.item.item, facts.item.category, "", facts.position.location)).service is None


def held(inputs: DecisionInputs) -> Hold:
    """The decision on inputs of which `needs_nothing` is true."""
    scores, option = inputs.scores, inputs.options[0]
    target, accepted = scores.target, 1 - scores.target
    holding = holding_per_cover(inputs, option)
    steps = need_steps(inputs, order_statistic(scores.requirement_units, target), target)
    without = expected_cost(scores.requirement_units, 0, inputs.shortage_per_unit, holding)
    nothing = made(Quantity, {
        "needed": 0, "units": 0, "waterfall": (), "expected_cost": without, "expected_cost_without": without,
        "expected_cost_one_pack_less": None, "expected_cost_one_pack_more": None,
    })  # fmt: skip
    if scores.demand_p90 == 0:
        reason, sentence = HoldReason.NO_DEMAND, NO_DEMAND
    else:
        sentence = COVERED.format(risk=percent(scores.stockout_risk), accepted=percent(accepted))
        reason = HoldReason.COVERED
    return made(Hold, {
        "kind": "hold", "reason": reason, "sentence": sentence, "waterfall": steps,
        "stakes": stakes(inputs, target, accepted, holding, nothing),
    })  # fmt: skip

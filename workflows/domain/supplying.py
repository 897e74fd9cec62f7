"""Whom to order from: every supplier is scored with its own lead times, and the cheapest for the need as a whole wins.

Suppliers are compared by (science 2.5)

    TC = (c - c_min) q + p B + EC(q) + K/lines + gamma (1 - R) p q

with q the quantity that this supplier would be asked for, B the units lost before it could deliver, R the 5 % lower
bound of its on-time-in-full rate. Units bought and not sold are stock and keep their value, therefore purchase cost
counts by its difference from the cheapest offer only. For equal coverage a dearer, faster supplier is asked for what
lasts until the cheapest one could have taken over (`bridging_days`); so expediting follows from the same comparison: it
pays when the loss that it avoids exceeds its premium. The same inputs give the same choice in any order of the options.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import cache
from math import comb
from typing import NamedTuple

from workflows.domain.decisions import DecisionInputs, SupplyOption
from workflows.domain.gate import service_target
from workflows.domain.identity import changed, made
from workflows.domain.offers import Offer, Outlook, SupplierChoice
from workflows.domain.policies import Policy
from workflows.domain.quantities import CENT, Economics, SupplyTerms, choose_quantity
from workflows.domain.scores import Probability, Scores

RISK_WEIGHT = Decimal("0.05")
"""Gamma: a delivery that is late or short costs this share of the margin of its units, on top of what the lead times
say (they know of late deliveries, not of short ones). A default; to be estimated from outcomes."""
PRIOR_KEPT, PRIOR_BROKEN = 9, 1
"""An unknown supplier counts as one that kept nine of ten promises: it is tried, at a small price for not knowing."""
LOWER_BOUND = 5, 100
STEPS = 10_000
LONGEST_COVER_DAYS = 40
"""As far as one order is projected beyond its lead time."""


class Chosen(NamedTuple):
    """The option that was chosen, the inputs as they look from it, and how it came about."""

    option: SupplyOption
    inputs: DecisionInputs
    choice: SupplierChoice


def first_choice(options: Sequence[SupplyOption]) -> SupplyOption | None:
    """The best rank, then the lowest price: whose conditions hold where nothing else decides. Blocked ones too."""
    return min(options, key=_by_rank, default=None)


def preferred(options: Sequence[SupplyOption]) -> SupplyOption | None:
    """The same among those that are not blocked."""
    return first_choice(orderable(options))


def orderable(options: Sequence[SupplyOption]) -> list[SupplyOption]:
    """The options that are not blocked, in the catalog's order of preference."""
    return sorted((option for option in options if not option.supplier.blocked), key=_by_rank)


def _by_rank(option: SupplyOption) -> tuple[int, Decimal, str]:
    return option.sourcing.rank, option.sourcing.unit_cost, option.sourcing.supplier


def choose(inputs: DecisionInputs, policy: Policy) -> Chosen | None:
    """The supplier to order from; None when nobody may be asked."""
    options = orderable(inputs.options)
    if not options:
        return None
    cheapest = min(option.sourcing.unit_cost for option in options)
    seen = [as_seen_from(inputs, option) for option in options]
    offers = [_offer(one, option, cheapest, policy) for one, option in zip(seen, options, strict=True)]
    # Options are in order of rank, and sorting keeps that order among equals: rank breaks ties.
    order = list(range(len(options)))
    if not policy.suppliers_by_rank:
        order.sort(key=lambda n: offers[n].total)
    ranked = tuple(offers[n] for n in order)
    flips_at = _flip(ranked[0], ranked[1:]) if len(ranked) > 1 and not policy.suppliers_by_rank else None
    choice = SupplierChoice(offers=ranked, by_rank=policy.suppliers_by_rank, flips_at=flips_at)
    return Chosen(options[order[0]], seen[order[0]], choice)


def as_seen_from(inputs: DecisionInputs, option: SupplyOption) -> DecisionInputs:
    """The inputs with the scores that hold when this option delivers."""
    if option.outlook is None:
        return inputs
    return changed(inputs, {"scores": changed(inputs.scores, vars(option.outlook))})


def outlook_of(scores: Scores) -> Outlook:
    """The part of the scores that depends on who delivers."""
    return made(Outlook, {name: getattr(scores, name) for name in Outlook.model_fields})


def spoken_for(inputs: DecisionInputs, scores: Mapping[str, Scores], policy: Policy) -> DecisionInputs:
    """The same inputs with the full scores (by supplier) of the one that is chosen, and the outlook of every other."""
    if len(scores) == 1 and len(inputs.options) == 1 and inputs.options[0].outlook is None:
        return inputs  # nobody else can be chosen, and these are its scores
    chosen = choose(inputs, policy)
    if chosen is None or chosen.option.sourcing.supplier not in scores:
        return inputs
    supplier = chosen.option.sourcing.supplier

    def seen(option: SupplyOption) -> SupplyOption:
        own = scores.get(option.sourcing.supplier)
        told = None if own is None or option.sourcing.supplier == supplier else outlook_of(own)
        return changed(option, {"outlook": told})

    return changed(inputs, {"scores": scores[supplier], "options": tuple(map(seen, inputs.options))})


def holding_per_cover(inputs: DecisionInputs, option: SupplyOption | None) -> Decimal:
    """What keeping one unit costs until the next order of its kind: the period that tau is computed for too."""
    days = inputs.scores.cover_days or (option.sourcing.review_days if option else 1)
    return inputs.holding_per_unit_day * days


def bridging_days(option: SupplyOption, options: Sequence[SupplyOption]) -> int:
    """Days beyond its lead time that an order from this option must last.

    Its own review period; for one that is faster and dearer than the cheapest: until the cheapest could deliver.
    """
    own = option.sourcing
    cheapest = min(
        (o.sourcing for o in orderable(options)),
        key=lambda s: (s.unit_cost, s.lead_time_days, s.rank, s.supplier),
        default=own,
    )
    if own.unit_cost <= cheapest.unit_cost:
        return own.review_days
    gap = cheapest.lead_time_days + cheapest.review_days - own.lead_time_days
    return max(own.review_days, min(gap, LONGEST_COVER_DAYS))


def cover_days(option: SupplyOption, offered: Sequence[SupplyOption]) -> int:
    """Days beyond its lead time that an order from this option must last; as the catalog says where nothing bridges."""
    own = option.sourcing.review_days
    return max(own, min(bridging_days(option, offered), LONGEST_COVER_DAYS))


def expected_share(option: SupplyOption) -> Decimal:
    """The fixed cost that one line may expect to bear: nothing when an order goes there anyway."""
    if option.company_lines:
        return Decimal(0)
    return (option.supplier.cost_per_order / option.lines_expected).quantize(CENT, rounding=ROUND_HALF_EVEN)


@cache
def kept_at_least(deliveries: int, kept: int) -> Probability:
    """The 5 % lower bound of the on-time-in-full rate: of Beta(9 + kept, 1 + broken), to four decimals, exact.

    For whole-number parameters the Beta's distribution function is a binomial tail, so whole numbers suffice.
    """
    good, bad = PRIOR_KEPT + kept, PRIOR_BROKEN + deliveries - kept
    trials = good + bad - 1
    whole = STEPS**trials * LOWER_BOUND[0]

    def below(step: int) -> int:
        mass: int = sum(comb(trials, k) * step**k * (STEPS - step) ** (trials - k) for k in range(good, trials + 1))
        return mass * LOWER_BOUND[1]

    low, high = 0, STEPS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if below(middle) <= whole else (low, middle)
    return Decimal(low) / STEPS


def _offer(inputs: DecisionInputs, option: SupplyOption, cheapest: Decimal, policy: Policy) -> Offer:
    scores, sourcing, shortage = inputs.scores, option.sourcing, inputs.shortage_per_unit
    holding = holding_per_cover(inputs, option)
    # What it costs if it is ordered: whether the order pays its fixed cost is asked later, of all its lines together.
    economics = Economics(shortage_per_unit=shortage, holding_per_unit=holding)
    quantity = choose_quantity(
        scores.requirement_units, service_target(inputs, policy), SupplyTerms.of(sourcing), economics
    )
    units = quantity.units
    broken = 1 - kept_at_least(option.deliveries, option.deliveries_kept)
    parts = {
        "premium": (sourcing.unit_cost - cheapest) * units,
        "lost_before": shortage * scores.lost_before_units,
        "expected_cost": quantity.expected_cost,
        "order_cost": expected_share(option) if units else Decimal(0),
        "unreliability": RISK_WEIGHT * broken * shortage * units,
    }
    money = {name: part.quantize(CENT, rounding=ROUND_HALF_EVEN) for name, part in parts.items()}
    return made(Offer, {
        "supplier": sourcing.supplier, "units": units, "unit_cost": sourcing.unit_cost,
        "lead_time_p50_days": scores.lead_time_p50_days, "total": sum(money.values(), Decimal(0)), **money,
    })  # fmt: skip


def _flip(best: Offer, others: Sequence[Offer]) -> Decimal | None:
    """The unit cost of the runner-up at which it costs what the best does, all else (quantities too) as it is."""
    second = others[0]
    if second.units == 0 or best.units == 0:
        return None
    rest = {one.supplier: one.total - one.premium for one in (best, second)}
    reference = min(one.unit_cost for one in (best, *others[1:]))
    # While another offer is the cheapest, its price is what premiums are counted from ...
    above = reference + ((best.unit_cost - reference) * best.units + rest[best.supplier] - rest[second.supplier]) / (
        second.units
    )
    # ... below that, the runner-up is the cheapest itself: the best one's premium grows as it gets cheaper.
    below = best.unit_cost - (rest[second.supplier] - rest[best.supplier]) / best.units
    found = min(above if above >= reference else below, second.unit_cost).quantize(CENT, rounding=ROUND_FLOOR)
    return found if found >= 0 else None

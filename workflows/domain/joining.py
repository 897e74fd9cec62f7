"""Lines of one supplier and location share one purchase order: it goes out if together they earn its fixed cost.

The rule (science 2.5): the sum of EC(0) - EC(q) over the lines must reach K. Each line is charged its share of K in
proportion to its gain, so that no line is dropped from an order that pays as a whole. Where an order goes to the
supplier anyway, K is not asked for again. Below the supplier's minimum value, lines are topped up by the packs that
cost least or save most per money, never beyond what 99 % of the futures need or the policy's longest cover.

What was found is recorded with each line's inputs: from then on `decide` needs nobody else's.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from workflows.domain.budgets import Shelf, Want
from workflows.domain.catalog import Supplier
from workflows.domain.decisions import DecisionInputs, SupplyOption
from workflows.domain.drafting import Draft, draft
from workflows.domain.gate import mean_demand, service_target
from workflows.domain.identity import changed
from workflows.domain.limits import Place
from workflows.domain.offers import JointOrder
from workflows.domain.policies import Policy
from workflows.domain.quantities import CENT, expected_cost, order_statistic
from workflows.domain.supplying import as_seen_from, orderable

MOST_FUTURES = Decimal("0.99")
"""tau_max: a top-up never goes beyond what this share of the futures needs."""
Lane = tuple[str, str]


class _Line(NamedTuple):
    number: int
    draft: Draft
    option: SupplyOption


def join(
    batch: Sequence[DecisionInputs], policy: Policy, *, proposed: bool = False, might: Counter[Lane] | None = None
) -> list[DecisionInputs]:
    """The same inputs, each with the order that its line would join; the order of the batch does not matter.

    What was `proposed` before and is scored again paid for its order when it was proposed, in the company that it had
    then: it is not dropped because it is looked at alone. (The send gate still asks for the supplier's minimum value.)
    `might` is `lines_of` the batch, for who knows it.
    """
    joined = with_company(batch, lines_of(batch, policy) if might is None else might)
    lanes: dict[Lane, list[_Line]] = defaultdict(list)
    for number, inputs in enumerate(joined):
        found = draft(inputs, policy, shared=True)
        if found.orders and found.option is not None:
            lanes[found.option.supplier.supplier, inputs.position.location].append(
                _Line(number, found, found.option)
            )  # fmt: skip
    for lines in lanes.values():
        for line, order in zip(lines, _orders(lines, policy, proposed=proposed), strict=True):
            joined[line.number] = changed(joined[line.number], {"joint": order})
    return joined


def _name(line: _Line) -> str:
    return line.draft.inputs.need.need_id


def lines_of(batch: Sequence[DecisionInputs], policy: Policy) -> Counter[Lane]:
    """How many lines might go to each supplier from each location."""
    might: Counter[Lane] = Counter()
    for inputs in batch:
        for option in orderable(inputs.options):
            seen = as_seen_from(inputs, option)
            if order_statistic(seen.scores.requirement_units, service_target(seen, policy)) > 0:
                might[option.supplier.supplier, inputs.position.location] += 1
    return might


def with_company(batch: Sequence[DecisionInputs], might: Counter[Lane]) -> list[DecisionInputs]:
    """Each option with the number of lines that might go to its supplier: what one line may expect to share."""
    return [
        changed(inputs, {"options": tuple([
            _expecting(option, might[option.supplier.supplier, inputs.position.location]) for option in inputs.options
        ])})
        for inputs in batch
    ]  # fmt: skip


def _expecting(option: SupplyOption, lines: int) -> SupplyOption:
    return option if lines <= 1 else changed(option, {"lines_expected": lines})


def _orders(lines: Sequence[_Line], policy: Policy, *, proposed: bool) -> list[JointOrder]:
    """What each of the lines is told of the order that they share."""
    option = lines[0].option
    waiting, supplier = option.company_value, option.supplier
    if proposed:
        supplier = supplier.model_copy(update={"minimum_order_value": Decimal(0)})
    extra = _top_ups(lines, policy, supplier, waiting)
    gains = [_gain(line, units) for line, units in zip(lines, extra, strict=True)]
    total = sum(gains, Decimal(0))
    value = waiting + sum((_units(line, more) * line.option.sourcing.unit_cost
                           for line, more in zip(lines, extra, strict=True)), Decimal(0))  # fmt: skip
    fixed = Decimal(0) if option.company_lines or proposed else supplier.cost_per_order
    return [
        JointOrder(
            supplier=supplier.supplier, lines=len(lines), gain=total, order_cost=fixed,
            share=_cents(fixed * gain / total if total > 0 else fixed / len(lines)),
            value=_cents(value), minimum_value=supplier.minimum_order_value, top_up_units=more,
        )
        for gain, more in zip(gains, extra, strict=True)
    ]  # fmt: skip


def _top_ups(lines: Sequence[_Line], policy: Policy, supplier: Supplier, waiting: Decimal) -> list[int]:
    """Units added to each line until the order is large enough; none when it cannot become so."""
    value = waiting + sum((_units(line) * line.option.sourcing.unit_cost for line in lines), Decimal(0))
    extra = dict.fromkeys(map(_name, lines), 0)
    shelf = Shelf([_want(line, policy) for line in lines]) if value < supplier.minimum_order_value else Shelf([])
    while value < supplier.minimum_order_value:
        step = shelf.pop()
        if step is None:
            return [0] * len(lines)
        value += step.money
        extra[step.want.key] += step.units - step.before_units
        shelf.bought(step)
    return list(extra.values())


def _want(line: _Line, policy: Policy) -> Want:
    inputs, sourcing, units = line.draft.inputs, line.option.sourcing, _units(line)
    # Up to the pack that covers so many futures; a cap on cover is a cap, and is not passed by part of a pack.
    packs = -(-(order_statistic(inputs.scores.requirement_units, MOST_FUTURES) - units) // sourcing.pack_units)
    place = Place(inputs.item.item, inputs.item.category, sourcing.supplier, inputs.position.location)
    cap = policy.limits_for(place).cover_cap_days
    if cap is not None:
        demand = mean_demand(inputs) * cap / max(1, inputs.scores.protection_days)
        packs = min(packs, (int(demand) - max(0, inputs.position.available_units) - units) // sourcing.pack_units)
    return Want(
        key=_name(line), requirement=inputs.scores.requirement_units, shortage_per_unit=inputs.shortage_per_unit,
        holding_per_unit=line.draft.holding, unit_cost=sourcing.unit_cost, pack_units=sourcing.pack_units,
        first_units=0, most_units=units + max(0, packs) * sourcing.pack_units, have_units=units,
    )  # fmt: skip


def _units(line: _Line, more: int = 0) -> int:
    return line.draft.quantity.units + more


def _gain(line: _Line, more: int) -> Decimal:
    inputs = line.draft.inputs
    cost = expected_cost(
        inputs.scores.requirement_units, _units(line, more), inputs.shortage_per_unit, line.draft.holding
    )
    return line.draft.quantity.expected_cost_without - cost


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)

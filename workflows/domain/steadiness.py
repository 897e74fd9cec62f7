"""How far a candidate may move what was decided before a person looks: rules of the promotion gate, with their reasons.

The other rules of the gate judge forecasts; these judge orders. They look at the champion's newest recorded decisions,
made again with the candidate by the policy of then. A candidate may be right where it differs, so the bounds are wide:
what lies beyond them is not a better forecast but another way of ordering, and that is not a schedule's to bring about.
"""

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal

from workflows.domain.counterfactual import Counterfactual, Sums, Totals

NEWEST = 500
"""Decisions that are made again: weeks of a small shop, a morning of a large one, and seconds of one processor."""
NAMED = 5
"""Decisions that the gate's record names; it is an entry of the ledger, which has a limit."""
LEAST = 100
"""Fewer cannot tell a moved share of a tenth from chance (its standard error is 3 points at 100)."""
LEAST_ORDERS = 20
"""Orders of a currency; the sum over fewer is one large order's."""
MOST_FLIPPED = Decimal("0.30")
"""Share that would end elsewhere (held, automatic, before a person). A round on a week more of data flips about a tenth
of them: those that were close to waiting."""
MOST_MOVED = Decimal("0.50")
"""Share by which the value or the units of all orders together may grow or shrink. Between two honest models of one
shop it is about a fifth; half is another budget."""
MOST_NEWLY_AUTOMATIC = Decimal("0.25")
"""Value that would newly go out without a person, as a share of all that was ordered: each such order is one that
somebody looked at or that nobody made."""

Check = tuple[bool, str]
"""Whether it holds, and its figure beside its bound."""


def steady(found: Counterfactual) -> Iterator[Check]:
    """Every rule with its figure; one that says so where too little is recorded to compare."""
    gaps = sum(one.decisions for one in found.not_possible)
    if found.compared < LEAST:
        why = f", {gaps} cannot ({found.not_possible[0].why})" if found.not_possible else ""
        yield (
            True,
            f"not compared on recorded decisions: {found.compared} can be made again{why}, at least {LEAST} are needed",
        )
        return
    yield (
        found.flipped <= MOST_FLIPPED * found.compared,
        f"{_share(found.flipped, found.compared)} of {found.compared} recorded decisions would end elsewhere: must be "
        f"at most {MOST_FLIPPED}",
    )
    for one in found.totals:
        yield from _of_currency(one)


def _of_currency(one: Totals) -> Iterator[Check]:
    was, now = one.before, one.after
    if max(_orders(was), _orders(now)) < LEAST_ORDERS:
        yield True, f"too few orders in {one.currency} to compare their value: {_orders(was)}, and {_orders(now)} again"
        return
    sums: tuple[tuple[str, Decimal, Decimal], ...] = (
        ("value", was.value, now.value), ("units", Decimal(was.units), Decimal(now.units)),
    )  # fmt: skip
    for what, before, after in sums:
        moved = abs(after - before)
        yield (
            moved <= MOST_MOVED * before,
            f"ordered {what} in {one.currency} {before:f} would be {after:f}, {_share(moved, before)} away: must be at "
            f"most {MOST_MOVED}",
        )
    newly = one.newly_automatic_value
    yield (
        newly <= MOST_NEWLY_AUTOMATIC * was.value,
        f"{newly:f} {one.currency} in {one.newly_automatic} orders would newly go out without a "
        f"person, {_share(newly, was.value)} of what was ordered: must be at most {MOST_NEWLY_AUTOMATIC}",
    )


def _orders(sums: Sums) -> int:
    return sums.auto + sums.review


def _share(part: Decimal | int, whole: Decimal | int) -> Decimal:
    """To four decimals; of nothing, anything is all."""
    if not whole:
        return Decimal(1) if part else Decimal(0)
    return (Decimal(part) / Decimal(whole)).quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN)

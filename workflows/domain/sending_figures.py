"""What the figures about sending mean: caps used, suppliers left alone, differences from suppliers' lists."""

from workflows.domain.breaker import Rule
from workflows.domain.figures import Definition, Unit
from workflows.domain.reconciling import DAYS

_RULE = Rule()

SENDING_DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        name="value_cap_used",
        title="Value cap used",
        unit=Unit.MONEY,
        counted="orders that were let go, each with what it was worth when it was last let go, whatever came of it",
        days="a window that slides on the wall clock: the last hour, or the last 24 hours",
        left_out="orders in other currencies, which are counted by themselves against the same cap; orders to other "
        "suppliers, where the cap is one supplier's",
        formula="sum of units x unit cost of the orders in the window; an order is held when used + its value > cap",
    ),
    Definition(
        name="supplier_circuit",
        title="Supplier left alone",
        unit=Unit.COUNT,
        counted="requests to the supplier, of all workers, that came to nothing: no answer, or none that says anything",
        days=f"requests in a row, and windows of {_RULE.window_seconds:.0f} seconds one after the other",
        left_out="refusals, which are answers; answers that say when to come back (Retry-After), which are a pause",
        formula=f"left alone from {_RULE.in_a_row} in a row on, or when at least {_RULE.window_share:.0%} of at least "
        f"{_RULE.window_requests} requests in a window had no answer; for {_RULE.open_seconds:.0f} seconds, twice as "
        f"long after each question in vain, at most {_RULE.longest_open_seconds:.0f} seconds",
    ),
    Definition(
        name="differences_open",
        title="Unexplained differences",
        unit=Unit.COUNT,
        counted="differences between our orders and each supplier's own list of them, in the newest report",
        days=f"orders with a cutoff in the {DAYS} days before the business clock",
        left_out="drafts; differences that the engine or a person has explained, in this report or an earlier one",
        formula="differences found - differences explained, by key: missing, double, other lines or number, unknown, "
        "there though we hold it as not ordered, in doubt",
    ),
)

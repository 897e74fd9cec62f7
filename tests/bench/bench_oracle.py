"""How far the engine's order rule is from the least possible cost, and whether its simulator counts costs exactly.

Random small worlds whose law of demand is known are solved by dynamic programming over every state. `single_units`:
nothing but demand, lead time and the two costs. `with_terms`: packs, minimum and fixed cost per order as well. Gaps are
per cent of the least long-run cost; `usual` takes the documented factors of tau, `calibrated` the best factor for that
world. The simulator plays every possible future of each world.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.bench.measuring import machine, options, progress, publish
from tests.oracles.gaps import Agreement, Gap, agreement_of, gap_of, worlds

WORLDS, QUICK_WORLDS = 200, 20
SEED = 20_240_301
TOLERANCE = 1e-9


def main() -> None:
    """Measure, print, and fail if simulator and oracle disagree."""
    told = options(__doc__ or "")
    before, begun = machine(), time.monotonic()
    figures: dict[str, Any] = {"worlds": QUICK_WORLDS if told.quick else WORLDS, "seed": SEED}
    worst = 0.0
    for name, terms in (("single_units", False), ("with_terms", True)):
        gaps, agreements = _judged(name, figures["worlds"], terms=terms)
        figures[name] = {
            "gap_percent": {which: _spread([getattr(gap, which) for gap in gaps]) for which in ("usual", "calibrated")},
            "gap_percent_by_lead": {str(lead): _by_lead(gaps, lead) for lead in _leads(gaps)},
            "worst_world": _described(max(gaps, key=lambda gap: gap.usual)),
            "agreement": _agreement(agreements),
        }
        worst = max([worst, *[one.rule for one in agreements], *[one.best for one in agreements]])
    figures["agrees_to"] = worst
    publish(told, "oracle", before, begun, figures)
    if worst > TOLERANCE:
        sys.exit(f"the simulator and the oracle differ by {worst}, more than {TOLERANCE}")


def _judged(name: str, count: int, *, terms: bool) -> tuple[list[Gap], list[Agreement]]:
    chance = np.random.Generator(np.random.PCG64(SEED + 1))
    gaps, agreements = [], []
    for number, world in enumerate(worlds(SEED, count, terms=terms), start=1):
        gaps.append(gap_of(world))
        agreements.append(agreement_of(world, chance))
        if number % 50 == 0:
            progress(f"{name}: {number} of {count} worlds")
    return gaps, agreements


def _spread(shares: Sequence[float]) -> dict[str, float]:
    percent = 100 * np.maximum(np.array(shares), 0.0)
    found = {"median": np.median(percent), "p90": np.quantile(percent, 0.9), "worst": percent.max()}
    found["mean"] = percent.mean()
    found["share_within_half_a_percent"] = (percent <= 0.5).mean()
    return {key: round(float(value), 4) for key, value in found.items()}


def _leads(gaps: Sequence[Gap]) -> list[int]:
    return sorted({gap.world.instance.lead for gap in gaps})


def _by_lead(gaps: Sequence[Gap], lead: int) -> dict[str, Any]:
    own = [gap for gap in gaps if gap.world.instance.lead == lead]
    which = ("usual", "calibrated")
    return {"worlds": len(own), **{name: _spread([getattr(gap, name) for gap in own])["mean"] for name in which}}


def _described(gap: Gap) -> dict[str, Any]:
    instance = gap.world.instance
    return {
        "demands": list(gap.world.demands), "lead": instance.lead, "shortage": instance.shortage,
        "holding": instance.holding, "order_cost": instance.order_cost, "pack": instance.pack,
        "minimum": instance.minimum, "usual_percent": round(100 * gap.usual, 4),
        "calibrated_percent": round(100 * max(gap.calibrated, 0.0), 4),
    }  # fmt: skip


def _agreement(agreements: Sequence[Agreement]) -> dict[str, float]:
    """The largest relative differences of expected costs between the oracle and the simulator."""
    return {
        "engine_rule": max(one.rule for one in agreements), "optimal_orders": max(one.best for one in agreements),
        "futures_played": sum(one.paths for one in agreements),
    }  # fmt: skip


if __name__ == "__main__":
    main()

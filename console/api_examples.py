"""One example of each of the ten operations that programs use most; the description and the docs page show them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

TASK = "LEEDS:OAT-1L:1"
_HASH = "3f2a" * 16


@dataclass(frozen=True)
class Example:
    """What is sent."""

    parameters: Mapping[str, str | int] = field(default_factory=dict)
    """Of the path and the query."""
    body: Mapping[str, Any] | None = None


EXAMPLES: Mapping[tuple[str, str], Example] = MappingProxyType({
    ("get", "/api/v1/tasks"): Example({"view": "needs_me", "limit": 20}),
    ("get", "/api/v1/tasks/{decision_id}"): Example({"decision_id": TASK}),
    ("post", "/api/v1/tasks/{decision_id}/verdict"): Example(
        {"decision_id": TASK, "Idempotency-Key": "nightly-2026-11-21-0001"},
        {"proposal_hash": _HASH, "meaning": "approve_edited", "units": 240, "comment": "two pallets"},
    ),
    ("post", "/api/v1/tasks/{decision_id}/undo"): Example(
        {"decision_id": TASK, "Idempotency-Key": "nightly-2026-11-21-0002"}
    ),
    ("post", "/api/v1/tasks/bulk-verdict"): Example(
        {"Idempotency-Key": "nightly-2026-11-21-0003"},
        {"rows": [{"decision_id": TASK, "proposal_hash": _HASH}], "meaning": "reject", "reason": "phase_out"},
    ),
    ("get", "/api/v1/decisions"): Example({"location": "LEEDS", "from": "2026-11-01", "limit": 100}),
    ("get", "/api/v1/positions/{location}/{item}"): Example({"location": "LEEDS", "item": "OAT-1L"}),
    ("post", "/api/v1/forecasts"): Example(
        {"Idempotency-Key": "nightly-2026-11-21-0004"},
        {"products": ["OAT-1L"], "locations": ["LEEDS"], "horizon_days": 28, "quantiles": ["0.5", "0.9"]},
    ),
    ("get", "/api/v1/kpis"): Example({"location": "LEEDS"}),
    ("get", "/api/v1/orders"): Example({"state": "in_doubt", "limit": 50}),
})  # fmt: skip

"""Workflow histories hold nobody's name, nobody's words and no secret: they are kept for ever, and not sealed."""

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.staff import STAFF
from tests.replay.test_histories import FILES

FIELDS = frozenset(
    {
        "activation_index",
        "activity_id",
        "activity_type",
        "alarm_id",
        "approval_id",
        "asked_by",
        "attempt",
        "backoff",
        "batch_id",
        "brief",
        "candidate_coverage_90",
        "candidate_loss",
        "champion",
        "champion_coverage_90",
        "champion_loss",
        "changed",
        "clock",
        "clock_lag_seconds",
        "compared",
        "comparison",
        "complete_time",
        "counts",
        "created_at",
        "cutoff_at",
        "day",
        "decision_id",
        "decisions",
        "detail",
        "deviations",
        "different",
        "digest",
        "done",
        "due",
        "ended",
        "ended_on",
        "equal",
        "escalate_at",
        "expire_at",
        "exported",
        "facts",
        "features",
        "first_day",
        "gate",
        "held",
        "highest_rank",
        "holds",
        "incomplete",
        "items",
        "kind",
        "known_at",
        "last_day",
        "library",
        "location",
        "loss_ratio",
        "loss_ratio_upper",
        "lost",
        "made_with",
        "meaning",
        "missing",
        "nanos",
        "needs",
        "not_recorded",
        "number",
        "order_id",
        "original_schedule_time",
        "overridden",
        "passed",
        "plan",
        "point",
        "progress",
        "proposal_hash",
        "proposals",
        "raised",
        "readings",
        "reason",
        "reasons",
        "ref",
        "release",
        "released",
        "remind_at",
        "request",
        "retrain",
        "retraining_id",
        "revision",
        "rounds",
        "rows",
        "sample",
        "seconds",
        "seed",
        "segment",
        "segments",
        "seq",
        "series",
        "sha256",
        "since",
        "skipped",
        "started_on",
        "state",
        "statistic",
        "status",
        "stream",
        "supplier",
        "supplier_number",
        "threads",
        "through",
        "tier",
        "told",
        "train_through",
        "trained_through",
        "training_set",
        "undo_seconds",
        "unseen_days",
        "until",
        "verdict",
        "waits",
    }
)
"""Every field of every payload that the engine's workflows carry. A new one belongs here only if it never holds a name,
an address, a comment or a secret: such things stay in Postgres, and travel by reference."""
FORBIDDEN = ("comment", "email", "mail", "password", "token", "secret", "author", "actor", "person", "user", "phone")


def payloads(value: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each payload of a history: its metadata and what it decodes to."""
    if isinstance(value, dict):
        if isinstance(value.get("data"), str) and isinstance(value.get("metadata"), dict):
            metadata = {key: b64decode(text).decode() for key, text in value["metadata"].items()}
            yield metadata, json.loads(b64decode(value["data"]))
        for item in value.values():
            yield from payloads(item)
    elif isinstance(value, list):
        for item in value:
            yield from payloads(item)


def fields(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from fields(item)
    elif isinstance(value, list):
        for item in value:
            yield from fields(item)


def all_fields() -> frozenset[str]:
    told = (told for path in FILES for _, told in payloads(json.loads(path.read_text())))
    return frozenset(name for one in told for name in fields(one))


def test_payloads_carry_only_what_was_looked_at() -> None:
    assert all_fields() == FIELDS


def test_no_field_is_for_a_person_or_a_secret() -> None:
    assert [name for name in FIELDS if any(word in name for word in FORBIDDEN)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_nobody_is_named(path: Any) -> None:
    text = path.read_text()
    told = json.dumps([told for _, told in payloads(json.loads(text))])
    for person in STAFF:
        assert f'"{person.name}"' not in told
        assert f'"{person.name}"' not in text
    assert "@" not in told, "an address of somebody, or of a machine"

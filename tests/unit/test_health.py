"""What is judged green, amber and red, and that each line says what it means and what to do."""

from datetime import UTC, datetime
from typing import Any

import pytest

from workflows.domain.checkup import age, judge
from workflows.domain.health import ClockAge, Facts, HistoriesSeen, Light, PartitionLag, Pile, ProcessSeen, Reason
from workflows.domain.stops import Stop, StopScope

NOW = datetime(2025, 11, 24, 9, tzinfo=UTC)
WELL: dict[str, Any] = {
    "partitions": [PartitionLag(topic="qm.sales", partition=0, next_offset=9, behind=3, looked_seconds=4)],
    "clocks": [ClockAge(location="LEEDS", watermark=NOW, moved_seconds=10)],
    "processes": [
        ProcessSeen(name="quartermaster-relay", connections=1, quiet_seconds=0.3),
        ProcessSeen(name="quartermaster-worker", connections=4, quiet_seconds=2),
    ],
    "model_days": 3,
}
STOP = Stop(stop_id="everything:1", scope=StopScope.EVERYTHING, reason="audit", stopped_by="olga", stopped_at=NOW)


def light(name: str, **facts: Any) -> Light:
    health = judge(Facts.model_validate({"at": NOW, **WELL, **facts}))
    return next(check.light for check in health.checks if check.name == name)


def test_an_engine_that_runs_is_green_in_every_line() -> None:
    health = judge(Facts.model_validate({"at": NOW, **WELL}))

    assert health.light is Light.GREEN
    assert {check.light for check in health.checks} == {Light.GREEN}


def test_every_line_says_what_it_means_and_what_to_do() -> None:
    for check in judge(Facts(at=NOW)).checks:
        assert check.means.endswith("."), check.name
        assert check.advice.endswith("."), check.name
        assert check.says, check.name


@pytest.mark.parametrize(
    ("name", "facts", "expected"),
    [
        ("needs_open", {"needs_open": Pile(n=40, oldest_seconds=30)}, Light.GREEN),
        ("needs_open", {"needs_open": Pile(n=1, oldest_seconds=700)}, Light.AMBER),
        ("needs_open", {"needs_open": Pile(n=1, oldest_seconds=4_000)}, Light.RED),
        ("batches_unfinished", {"batches_unfinished": Pile(n=1, oldest_seconds=4_000)}, Light.RED),
        ("proposals_unseen", {"proposals_unseen": Pile(n=1, oldest_seconds=130)}, Light.AMBER),
        ("approvals_unheard", {"approvals_unheard": Pile(n=1, oldest_seconds=1_000)}, Light.RED),
        ("orders_overdue", {"orders_overdue": Pile(n=1, oldest_seconds=1_000)}, Light.AMBER),
        ("orders_awaiting", {"orders_awaiting": Pile(n=1, oldest_seconds=1)}, Light.RED),
        ("orders_held", {"orders_held": Pile(n=3, oldest_seconds=9)}, Light.AMBER),
        ("orders_held", {"stops": [STOP]}, Light.AMBER),
        ("orders_in_doubt", {"orders_in_doubt": Pile(n=1, oldest_seconds=20)}, Light.GREEN),
        ("orders_in_doubt", {"orders_in_doubt": Pile(n=1, oldest_seconds=200)}, Light.AMBER),
        ("orders_in_doubt", {"orders_in_doubt": Pile(n=1, oldest_seconds=3_700)}, Light.RED),
        ("orders_refused", {"orders_refused": Pile(n=1, oldest_seconds=1)}, Light.AMBER),
        ("circuits_open", {"circuits_open": Pile(n=1, oldest_seconds=0)}, Light.AMBER),
        ("circuits_open", {"circuits_open": Pile(n=1, oldest_seconds=901)}, Light.RED),
        ("differences_open", {"differences_open": Pile(n=1, oldest_seconds=1)}, Light.AMBER),
        ("reports_unfinished", {"reports_unfinished": Pile(n=1, oldest_seconds=60)}, Light.GREEN),
        ("reports_unfinished", {"reports_unfinished": Pile(n=1, oldest_seconds=7_201)}, Light.AMBER),
        ("intake_lag", {"partitions": []}, Light.UNKNOWN),
        (
            "intake_lag",
            {"partitions": [PartitionLag(topic="t", partition=0, next_offset=1, behind=20_000, looked_seconds=1)]},
            Light.AMBER,
        ),
        (
            "intake_lag",
            {"partitions": [PartitionLag(topic="t", partition=0, next_offset=1, behind=0, looked_seconds=500)]},
            Light.RED,
        ),
        ("clocks", {"clocks": [ClockAge(location="YORK", watermark=NOW, moved_seconds=9_000)]}, Light.GREEN),
        (
            "clocks",
            {"clocks": [ClockAge(location="YORK", watermark=NOW, moved_seconds=9_000)], "live_clocks": True},
            Light.RED,
        ),
        ("relay", {"processes": []}, Light.RED),
        ("worker", {"processes": []}, Light.RED),
        ("model", {"model_days": None}, Light.RED),
        ("model", {"model_days": 40}, Light.AMBER),
        ("drift", {"drift_alarms": 2}, Light.AMBER),
        ("histories", {"histories": HistoriesSeen(swept_seconds=3_600, retention_seconds=86_400)}, Light.GREEN),
        ("histories", {"histories": HistoriesSeen(swept_seconds=70_000, retention_seconds=0)}, Light.AMBER),
        (
            "histories",
            {"histories": HistoriesSeen(swept_seconds=2_073_600, retention_seconds=2_592_000)},
            Light.AMBER,
        ),
        ("histories", {"histories": HistoriesSeen(swept_seconds=90_000, retention_seconds=86_400)}, Light.RED),
        ("dead_letters", {"reasons": [Reason(code="bad", n=2, newest_seconds=60)]}, Light.AMBER),
        ("dead_letters", {"reasons": [Reason(code="bad", n=2, newest_seconds=600_000)]}, Light.GREEN),
    ],
)
def test_each_line_is_judged_by_its_age_or_number(name: str, facts: dict[str, Any], expected: Light) -> None:
    assert light(name, **facts) is expected


def test_the_worst_line_is_the_engines_light() -> None:
    facts = {"drift_alarms": 1, "orders_awaiting": Pile(n=1, oldest_seconds=1)}

    assert judge(Facts.model_validate({"at": NOW, **WELL, **facts})).light is Light.RED


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0 s"), (119, "119 s"), (600, "10 min"), (10_000, "3 h"), (400_000, "5 d")]
)
def test_spans_are_said_in_words(seconds: float, words: str) -> None:
    assert age(seconds) == words


def test_capped_piles_say_so() -> None:
    facts = Facts(at=NOW, needs_open=Pile(n=5_000, capped=True, oldest_seconds=4_000))

    says = next(check.says for check in judge(facts).checks if check.name == "needs_open")
    assert says == "5,000+ needs, the oldest for 67 min"

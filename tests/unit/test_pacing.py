"""The token bucket as a rule: never more than a burst and the rate, never a wait for ever, and Retry-After is kept."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.domain.pacing import LONGEST_PAUSE_SECONDS, Bucket, Pace, paused, retry_after_seconds, take

NOW = datetime(2025, 3, 3, 6, tzinfo=UTC)


def test_a_burst_goes_at_once_and_then_so_many_a_second() -> None:
    pace, bucket = Pace(requests_per_second=2, burst=3), Bucket()
    for _ in range(3):
        taken = take(bucket, pace, NOW)
        assert taken.wait_seconds == 0
        bucket = taken.bucket
    fourth = take(bucket, pace, NOW)
    assert fourth.wait_seconds == pytest.approx(0.5)
    assert fourth.bucket == bucket
    assert take(bucket, pace, NOW + timedelta(seconds=0.5)).wait_seconds == 0


def test_without_an_agreed_rate_nobody_waits() -> None:
    assert take(Bucket(), Pace(), NOW) == (Bucket(), 0, "")


def test_a_supplier_that_asks_us_to_stay_away_is_left_alone_that_long() -> None:
    bucket = paused(Bucket(), 30, NOW)
    assert take(bucket, Pace(), NOW + timedelta(seconds=10)).wait_seconds == 20
    assert take(bucket, Pace(), NOW + timedelta(seconds=30)).wait_seconds == 0
    assert paused(bucket, 5, NOW).paused_until == bucket.paused_until, "a shorter pause shortens nothing"
    assert take(paused(Bucket(), 1e9, NOW), Pace(), NOW).wait_seconds == LONGEST_PAUSE_SECONDS
    assert take(paused(Bucket(), -5, NOW), Pace(), NOW).wait_seconds == 0


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7), (" 0 ", 0), ("9" * 400, LONGEST_PAUSE_SECONDS), ("Mon, 03 Mar 2025 06:00:10 GMT", 10),
        ("Sun, 02 Mar 2025 06:00:10 GMT", 0), (None, None), ("", None), ("soon", None), ("-3", None), ("1.5", None),
        ("\u0664", None), ("Mon, 03 Mar 2025 06:00:10", None), ("Mon, 99 Mar 2025 06:00:10 GMT", None),
        ("Mon, 03 Mar 99999999999 06:00:10 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_and_anything_else_says_nothing(
    header: str | None, wait: float | None
) -> None:
    assert retry_after_seconds(header, NOW) == wait


@given(st.text(max_size=60))
def test_no_header_breaks_us(header: str) -> None:
    found = retry_after_seconds(header, NOW)
    assert found is None or 0 <= found <= LONGEST_PAUSE_SECONDS


@given(
    rate=st.floats(0.01, 1000), burst=st.integers(1, 50),
    steps=st.lists(st.floats(0, 30), min_size=1, max_size=150),
)  # fmt: skip
def test_in_any_span_no_more_than_the_burst_and_the_rate_leave(rate: float, burst: int, steps: list[float]) -> None:
    pace, bucket, now = Pace(requests_per_second=rate, burst=burst), Bucket(), NOW
    left: list[datetime] = []
    for step in steps:
        now += timedelta(seconds=step)
        taken = take(bucket, pace, now)
        bucket = taken.bucket
        if taken.wait_seconds == 0:
            left.append(now)
        else:
            after_wait = now + timedelta(seconds=taken.wait_seconds) + timedelta(microseconds=2)
            assert take(bucket, pace, after_wait).wait_seconds == 0, "who waits as told goes"
    for first, at in enumerate(left):
        for last in range(first, len(left)):
            span = (left[last] - at).total_seconds()
            # Instants have microseconds: each may be rounded by half of one.
            assert last - first + 1 <= burst + rate * (span + 2e-6 * (last - first + 1)) + 1e-6


@given(st.integers(-9_000, 9_000), st.floats(0.1, 10))
def test_a_clock_that_was_set_back_stops_nobody_for_long(days: int, rate: float) -> None:
    then = NOW + timedelta(days=days)
    pace = Pace(requests_per_second=rate, burst=2)
    bucket = take(take(Bucket(), pace, then).bucket, pace, then).bucket
    assert take(bucket, pace, NOW).wait_seconds <= 2 / rate

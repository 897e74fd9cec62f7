"""A benchmark too long for one sitting: a state directory that is kept, and a stretch of work at a time."""

import argparse
from pathlib import Path

FULL = 100_000


def resumable(description: str, quick: int) -> argparse.Namespace:
    """`count`, `state`, `seconds`, `json`, `quick`. Started again on the same directory it goes on where it was."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="one object on one line on stdout")
    parser.add_argument("--quick", action="store_true", help="the smallest size: shows that it runs, no more")
    parser.add_argument("--count", type=int, default=FULL, help="how many in all (100,000)")
    parser.add_argument("--state", type=Path, help="what is kept between two runs; needed unless --quick")
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="stop after so long and go on another time; 0: never"
    )
    told = parser.parse_args()
    if told.count < 1:
        parser.error("--count takes 1 or more")
    if told.quick:
        told.count = min(told.count, quick)
    elif told.state is None:
        parser.error("--state DIR says where the state is kept, so that this can be stopped and continued")
    return told

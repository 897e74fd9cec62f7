"""People who answer: what is asked of them, what they were told, and what the engine kept of it."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx

from tests.faults.producing import clock, counted
from tests.faults.proxy import Catch, Trap
from tests.faults.seed import DEAR
from tests.faults.story import MORNING, Story
from tests.faults.waiting import until
from tests.faults.world import World

WITHIN_S = 120.0
Answer = tuple[int, Any]
"""Status and what was said; 0 when no answer came."""


def asked(world: World) -> Story:
    """A proposal that waits for a person."""
    story = Story(world, DEAR, within_s=WITHIN_S)
    story.empty()
    story.task()
    return story


def stock_moves(story: Story) -> None:
    """Some were found on the shelf: less is needed, and not so few that the rest can wait."""
    at = MORNING + timedelta(minutes=10)
    story.tell(counted(story.place, story.item, 34, at), clock(story.place, at + timedelta(minutes=5)))


def ordered(story: Story) -> int:
    """The order once it is placed; its units."""
    story.released()
    story.cutoff()
    story.placed()
    lines = story.world.rows("SELECT units FROM order_line WHERE location = %s AND item = %s", story.place, story.item)
    assert len(lines) == 1, f"{story.place} has {len(lines)} order lines"
    return int(lines[0]["units"])


def verdict(story: Story, person: str, command: str = "", proposal: str = "") -> Answer:
    """Approve what was seen, or what is there; status and answer, 0 when none came."""
    query = "SELECT decision_id, proposal_hash FROM task WHERE location = %s AND item = %s"
    task = story.world.rows(query, story.place, story.item)[0]
    try:
        return story.agree(task["decision_id"], proposal or task["proposal_hash"], person, command=command)
    except httpx.HTTPError as error:
        return 0, f"{type(error).__name__}: {error}"


@contextmanager
def committing(story: Story, person: str) -> Iterator[tuple[Trap, Future[Answer]]]:
    """The COMMIT of this approval is on its way until the trap is let go; the trap, and what is answered then."""
    command, database = uuid.uuid4().hex, story.world.proxies["postgres"]
    trap = database.trap(Catch.HOLD_REQUEST, command.encode(), b"COMMIT")
    with ThreadPoolExecutor(1) as beside:
        answer = beside.submit(verdict, story, person, command)
        until(trap.sprung.is_set, WITHIN_S, "the COMMIT of an approval")
        yield trap, answer


def workflow_of(story: Story) -> str:
    """The workflow that waits for the answer."""
    return f"replenishment/{story.decided()}"


def approvals_of(story: Story) -> list[dict[str, Any]]:
    """Every approval that is stored, void ones too."""
    return story.world.rows("SELECT * FROM approval WHERE decision_id = %s", story.decided())


def entries_of(story: Story, kind: str) -> list[dict[str, Any]]:
    """What the ledger has of it, oldest first."""
    query = "SELECT actor, body FROM ledger_entry WHERE stream = %s AND type = %s ORDER BY seq"
    return story.world.rows(query, story.decided(), kind)


def denied(story: Story) -> list[tuple[str, str]]:
    """Who tried in vain, by reference, and why it did not count, as the ledger says; oldest first."""
    return [(row["actor"], json.loads(bytes(row["body"]))["code"]) for row in entries_of(story, "verdict.refused")]

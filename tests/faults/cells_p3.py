"""P3, needs are scored: the worker dies with scores in its hands, the model is not what it was, the facts come late."""

import asyncio
import hashlib
import json
import subprocess
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.faults.cells import Proof, cell
from tests.faults.producing import clock, counted
from tests.faults.seed import DEAR, PLAIN
from tests.faults.story import MORNING, Story
from tests.faults.waiting import until
from tests.faults.world import World

WITHIN_S = 150.0
HELD_S = 600.0
"""Longer than any cell: a worker that is held there is killed there."""
LOADED, SCORED, RECORDED = "decisions.load:after", "decisions.record:before", "decisions.record:after"
ORDERS = ("I2", "I3", "I4", "I10")
SLOW_S = 0.03
NEEDS_LOOK_AFTER_MIN = 11
"""Health asks for a look at needs that wait for longer than ten minutes."""
QUIET = timedelta(hours=72)
"""Longer than the 48 hours for which facts are taken as new."""


@cell(14, "P3", "worker kill -9 while scoring", holds=ORDERS)
def worker_killed_while_scoring(world: World) -> Proof:
    """With facts just loaded, with scores about to be recorded, and just recorded: each is decided once, and the same
    again from its record."""
    fired, attempts = 0, {}
    rounds: tuple[tuple[str, ...], ...] = ((SCORED,),) if world.short else ((LOADED, SCORED), (RECORDED,))
    for points in rounds:
        stories = []
        for number, point in enumerate(points):
            story = Story(world, DEAR if number else PLAIN, within_s=WITHIN_S)
            world.arm(point, "delay", HELD_S)
            story.empty()
            until(partial(world.fired, point), WITHIN_S, f"the failpoint {point}")
            stories.append(story)
        worker = world.children["worker"]
        assert worker.alive, "the worker ended before it was killed"
        worker.kill()
        for point, story in zip(points, stories, strict=True):
            decided = _decisions(world, story)
            assert decided == int(point == RECORDED), f"{decided} decisions when the worker died at {point}"
            fired += len(world.fired(point))
        world.restart("worker")
        for story in stories:
            need = story.needed()
            attempts[need[:8]] = until(partial(_second_attempt, world, need), WITHIN_S, "a second attempt to score")
            story.finish()
            assert _decisions(world, story) == 1, f"{_decisions(world, story)} decisions of one need"
            assert (n := _proposed(world, need)) == 1, f"the ledger has {n} decisions of need {need}"
            replayed(world, need)
    return Proof(fired, f"scored at attempts {attempts}; each made again equal from its record")


@cell(15, "P3", "model digest not in the registry, model file swapped", holds=ORDERS, short=True)
def model_unusable(world: World) -> Proof:
    """Nothing is decided by it, so nothing is sent; people are told; once it is mended, all goes on by itself."""
    champion = world.rows("SELECT digest FROM model_version WHERE status = 'champion'")[0]["digest"]
    assert world.settings.model_store is not None
    file = world.settings.model_store / champion[:2] / champion
    body, fired, said = file.read_bytes(), 0, []
    for how in ("swapped",) if world.short else ("swapped", "missing"):
        story = Story(world, within_s=WITHIN_S)
        try:
            if how == "swapped":
                _put(file, body[:-1] + bytes([body[-1] ^ 1]))
            else:
                file.unlink()
            story.empty()
            need = story.needed()
            said.append(until(partial(_trouble, world, need, champion), WITHIN_S, "the model's refusal"))
            fired += 1
            assert _decisions(world, story) == 0, "it was decided with a model that nobody knows"
            world.elapse("need", "recorded_at", "need_id", need, minutes=NEEDS_LOOK_AFTER_MIN)
            light = until(partial(_asks_for_a_look, story), WITHIN_S, "a light that asks somebody to look")
            said.append(light)
            assert not world.rows("SELECT 1 FROM order_line WHERE location = %s", story.place), "it was ordered"
        finally:
            _put(file, body)
        story.finish()
        model = world.rows("SELECT model_digest FROM decision WHERE decision_id = %s", need)[0]["model_digest"]
        assert model == champion == hashlib.sha256(body).hexdigest(), f"decided with {model}"
        replayed(world, need)
    if not world.short:
        said += _unregistered(world, champion)
        fired += 1
    return Proof(fired, "; ".join(said))


def _unregistered(world: World, champion: str) -> list[str]:
    """The champion's row is gone from the registry, as in a database that was restored from before it: for a need
    whose assessment is under way, and for one that comes later. What was seen of it."""
    asked, later, worker = Story(world, within_s=WITHIN_S), Story(world, within_s=WITHIN_S), world.children["worker"]
    worker.pause()
    try:
        asked.empty()
        need = asked.needed()
        begun = "SELECT 1 FROM need JOIN need_batch b USING (batch_id) WHERE need_id = %s AND b.started_at IS NOT NULL"
        until(lambda: world.rows(begun, need), WITHIN_S, "an assessment under way")
        row = _struck_out(world, champion)
    finally:
        worker.go_on()
    try:
        said = until(partial(_trouble, world, need, "no model is champion"), WITHIN_S, "the refusal to assess")
        later.empty()
        waits = later.needed()
        world.elapse("need", "recorded_at", "need_id", waits, minutes=NEEDS_LOOK_AFTER_MIN)
        lights = [until(partial(_asks_for_a_look, later, one), WITHIN_S, one) for one in ("model", "needs_open")]
        assert _batch(world, waits) == "None", "an assessment was begun although there is no model"
        for story in (asked, later):
            assert _decisions(world, story) == 0, "it was decided with a model that the registry does not know"
            assert not world.rows("SELECT 1 FROM order_line WHERE location = %s", story.place), "it was ordered"
    finally:
        _written_back(world, row)
    for story in (asked, later):
        story.finish()
        found = world.rows("SELECT model_digest FROM decision WHERE location = %s", story.place)
        assert [one["model_digest"] for one in found] == [champion], f"decided with {found}"
        replayed(world, story.needed())
    return [said, *lights]


def _struck_out(world: World, digest: str) -> dict[str, Any]:
    """The model's row, which the registry does not have any more."""
    with psycopg.connect(world.dsn, row_factory=dict_row, autocommit=True) as connection:
        row = connection.execute("DELETE FROM model_version WHERE digest = %s RETURNING *", [digest]).fetchone()
    assert row is not None, f"the registry has no model {digest}"
    return row


def _written_back(world: World, row: dict[str, Any]) -> None:
    names, places = ", ".join(row), ", ".join(["%s"] * len(row))
    put = f"INSERT INTO model_version ({names}) OVERRIDING SYSTEM VALUE VALUES ({places})"  # noqa: S608
    with psycopg.connect(world.dsn, autocommit=True) as connection:
        connection.execute(put.encode(), list(row.values()))


@cell(16, "P3", "feature store slow, then stale", holds=ORDERS, short=True)
def facts_slow_then_stale(world: World) -> Proof:
    """Late answers change no decision; facts that are too old make it a person's, whatever it is about."""
    postgres = world.proxies["postgres"]
    before = postgres.counts["slowed"]
    fresh, stale = Story(world, within_s=WITHIN_S), Story(world, within_s=WITHIN_S)
    postgres.slow(SLOW_S)
    fresh.empty()
    stale.tell(counted(stale.place, PLAIN, 0, MORNING - QUIET), clock(stale.place, MORNING))
    fresh.decided()
    need = stale.decided()
    slowed = postgres.counts["slowed"] - before
    postgres.heal()
    assert slowed > 0, "nothing was slow"
    query = "SELECT tier FROM replenishment WHERE location = %s"
    tiers = [world.rows(query, one.place)[0]["tier"] for one in (fresh, stale)]
    assert tiers == ["auto", "review"], f"fresh and stale facts made the tiers {tiers}"
    fresh.finish()
    rules = _rules(world, need)
    assert "stale_inputs" in rules, f"a person is asked because of {rules}"
    stale.task()
    assert not world.rows("SELECT 1 FROM order_line WHERE location = %s", stale.place), "ordered from stale facts"
    status, answer = stale.approve()
    assert status == 200, answer
    stale.released()
    stale.cutoff()
    stale.placed()
    return Proof(slowed, f"{slowed} slow answers; a person was asked because of {rules}")


def replayed(world: World, decision_id: str) -> None:
    """I6 of one decision: the product makes it again from its record, byte for byte."""
    asked = world.process(
        "replay-one", [sys.executable, "-m", "workers.cli", "audit", "replay", decision_id, "--json"], world.settings
    )
    done = subprocess.run(
        list(asked.argv), env=dict(asked.env), cwd=asked.folder, capture_output=True, text=True, check=False,
        timeout=WITHIN_S,
    )  # fmt: skip
    assert done.returncode == 0, f"I6: {decision_id} is not made again: {(done.stdout + done.stderr)[-500:]}"
    verdicts = [one["verdict"] for one in json.loads(done.stdout)["revisions"]]
    assert set(verdicts) == {"equal"}, f"I6: {decision_id} comes out as {verdicts}"


def _decisions(world: World, story: Story) -> int:
    query = "SELECT count(*) AS n FROM decision WHERE location = %s AND item = %s"
    return int(world.rows(query, story.place, story.item)[0]["n"])


def _proposed(world: World, need: str) -> int:
    query = "SELECT count(*) AS n FROM ledger_entry WHERE stream = %s AND type = 'decision.proposed'"
    return int(world.rows(query, need)[0]["n"])


def _rules(world: World, need: str) -> list[str]:
    """Why a person is asked, as the ledger says."""
    query = "SELECT body FROM ledger_entry WHERE stream = %s AND type = 'task.opened'"
    return list(json.loads(bytes(world.rows(query, need)[0]["body"]))["rules"])


def _asks_for_a_look(story: Story, check: str = "needs_open") -> str:
    """What health says of needs that wait (or of this), once it is not green."""
    status, health = story.rest("GET", "/api/v1/health")
    assert status in {200, 503}, health
    found = next(one for one in health["checks"] if one["name"] == check)
    return "" if found["light"] == "green" else f"{found['light']}: {found['says']}"


def _put(file: Path, body: bytes) -> None:
    draft = file.with_name(".swapped")
    draft.write_bytes(body)
    draft.replace(file)


def _batch(world: World, need: str) -> str:
    return str(world.rows("SELECT batch_id FROM need WHERE need_id = %s", need)[0]["batch_id"])


def _second_attempt(world: World, need: str) -> int:
    """At which attempt its assessment was done; 0 while it is not, or was at the first."""
    attempt = asyncio.run(_attempt(world, f"assessment/{_batch(world, need)}"))
    return attempt if attempt > 1 else 0


def _trouble(world: World, need: str, words: str) -> str:
    """What the attempt to assess it last failed with, if it has these words: a model's digest, for one."""
    found = asyncio.run(_last_failure(world, f"assessment/{_batch(world, need)}"))
    return found if words in found else ""


async def _attempt(world: World, name: str) -> int:
    history = await (await world.client()).get_workflow_handle(name).fetch_history()
    started = [event.activity_task_started_event_attributes.attempt for event in history.events]
    return max(started, default=0)


async def _last_failure(world: World, name: str) -> str:
    described = await (await world.client()).get_workflow_handle(name).describe()
    pending = described.raw_description.pending_activities
    return str(pending[0].last_failure.message) if pending else ""

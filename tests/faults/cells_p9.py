"""P9, what came of it: receipts twice, late and in the wrong order, and a training that dies before it is recorded."""

import json
import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any

import psycopg

from tests.faults.cells import Proof, cell
from tests.faults.hand import Hand
from tests.faults.producing import clock, counted, received
from tests.faults.proxy import Catch
from tests.faults.seed import FIRST_DAY, PLAIN
from tests.faults.story import CUTOFF, Story
from tests.faults.waiting import until
from tests.faults.world import World

WITHIN_S = 120.0
TRAINED_WITHIN_S = 420.0
"""A worker that dies while it trains is missed after two minutes."""
HELD_S = 600.0
"""Longer than any cell: a process that is held there is killed there."""
UNSEEN_DAYS = 7
LAST_WITH_A_PAST = "P008"
TAKING, TRAINING = "inbox.accept:after", "models.register:before"
ORDERS = ("I1", "I2", "I3", "I10")


@cell(32, "P9", "duplicate, late, out-of-order receipts; retraining killed mid-run", holds=ORDERS, world=World)
def outcomes_disturbed(world: World) -> Proof:
    """Each receipt counts once, whenever it comes and however often; a candidate whose training was killed is trained
    again and registered once, and becomes the champion by a person's word and not before."""
    _promotion_asks(world)
    champion = _champion(world)
    worker = world.children["worker"]
    _little_to_learn(world)
    _days_pass(world)
    world.arm(TRAINING, "delay", HELD_S)
    training = _train(world)
    until(partial(world.fired, TRAINING), WITHIN_S, "a candidate that is about to be registered")
    assert worker.alive, "the worker ended before it was killed"
    worker.kill()
    world.restart("worker")
    registered = world.rows("SELECT digest FROM model_version WHERE digest <> %s", champion)
    assert not registered, f"a model was registered although its training was killed: {registered}"
    receipts = _receipts_disturbed(world)
    early = _received_before_it_was_placed(world)
    said, trouble = training.communicate(timeout=TRAINED_WITHIN_S)
    assert training.returncode == 0, f"the training ended with {training.returncode}: {said} {trouble}"
    closed = json.loads(said)
    assert closed["status"] == "awaiting_approval", f"the candidate was to wait for a person: {closed}"
    trained = _entries(world, closed["digest"])
    assert trained == ["model.trained", "model.judged"], f"the ledger says of the candidate: {trained}"
    assert _champion(world) == champion, "a candidate became the champion without a person"
    Hand(world).command("model", "promote", closed["digest"])
    assert _champion(world) == closed["digest"], "a person's word did not make it the champion"
    fired = len(world.fired(TRAINING)) + len(world.fired(TAKING))
    return Proof(fired, f"{receipts}; {early}; the candidate: {trained}, then promoted by a person")


def _promotion_asks(world: World) -> None:
    hand = Hand(world)
    document = json.loads(hand.read("/api/v1/policy"))["policy"]
    said = {"document": {**document, "promotion_needs_approval": True}, "reason": "a person promotes", "weeks": 1}
    change = hand.call("POST", "/api/v1/policy/changes", said)["change_id"]
    hand.call("POST", f"/api/v1/policy/changes/{change}/verdict", {"meaning": "approve"}, person="robin")


def _little_to_learn(world: World) -> None:
    """Most places have no past, so that a training is over soon."""
    with psycopg.connect(world.dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM recorded_demand WHERE location > %s", [LAST_WITH_A_PAST])


def _days_pass(world: World) -> None:
    """At a place where nothing is sold: there are days that the champion has not seen."""
    place = world.place()
    through = datetime.combine(FIRST_DAY + timedelta(days=2 * UNSEEN_DAYS), time(5), UTC)
    world.teller.tell(clock(place, through))
    query = "SELECT 1 AS ok FROM business_clock WHERE location = %s AND watermark >= %s"
    until(lambda: world.rows(query, place, through), WITHIN_S, "the clock that passed")


def _train(world: World) -> "subprocess.Popen[str]":
    told = world.process(
        "training",
        [sys.executable, "-m", "workers.cli", "model", "train", "--json", "--unseen-days", str(UNSEEN_DAYS)],
        world.settings,
    )
    return subprocess.Popen(
        list(told.argv), env=dict(told.env), cwd=told.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _receipts_disturbed(world: World) -> str:
    """The later half first, each twice, intake killed with them in its hands, a third that is older than a count."""
    story = Story(world, within_s=WITHIN_S)
    order = story.play()["order_id"]
    units = _line(world, order)["units"]
    days = [CUTOFF + timedelta(days=number) for number in (1, 2, 3, 4)]
    first = received(story.place, PLAIN, 1, order, days[0])
    second = received(story.place, PLAIN, units // 2, order, days[1])
    late = received(story.place, PLAIN, units - units // 2 - 1, order, days[2])
    world.arm(TAKING, "delay", HELD_S)
    story.tell(second, first, second)
    until(partial(world.fired, TAKING), WITHIN_S, f"the failpoint {TAKING}")
    world.children["intake"].kill()
    world.restart("intake")
    story.tell(first, counted(story.place, PLAIN, units // 2 + 1, days[3]))
    story.tell(late, late, first, second)
    query = "SELECT state FROM purchase_order WHERE order_id = %s AND state IN ('received', 'closed')"
    ended = until(lambda: world.rows(query, order), WITHIN_S, f"the end of order {order}")[0]
    told = _told_of_receipts(world, order)
    wanted = sorted(one.id for one in (first, second, late))
    assert sorted(told) == wanted, f"the ledger has the receipts {told} and not {wanted}, each once"
    line = _line(world, order)
    assert line["received_units"] == units, f"{line['received_units']} of {units} count as received"
    stock = world.rows("SELECT on_hand_units FROM position WHERE location = %s AND item = %s", story.place, PLAIN)
    assert stock[0]["on_hand_units"] == units // 2 + 1, f"a receipt from before a count changed it: {stock}"
    sent = sum(one.topic == "qm.stock" and b"received" in one.body for one in story.told)
    return f"{sent} receipts were sent, {len(told)} count, and the order is {ended['state']}"


def _received_before_it_was_placed(world: World) -> str:
    """The goods are there while nobody knows yet whether the supplier took the order."""
    story = Story(world, within_s=WITHIN_S)
    story.until_release()
    trap = world.proxies["supplier"].trap(Catch.HOLD_ANSWER, b"POST /orders", story.place.encode())
    story.cutoff()
    until(trap.answered.is_set, WITHIN_S, "the supplier's answer")
    was = story.order()["state"]
    story.deliver()
    query = "SELECT 1 AS ok FROM inbox WHERE event_id = %s"
    until(lambda: world.rows(query, story.told[-1].id), WITHIN_S, "the receipt in the inbox")
    world.proxies["supplier"].release(trap)
    ended = story.in_state("received", "closed")["state"]
    told = _told_of_receipts(world, story.order()["order_id"])
    assert told == [story.told[-1].id], f"the ledger has the receipts {told}"
    return f"one that came while its order was {was} closed it as {ended}"


def _line(world: World, order: str) -> dict[str, Any]:
    [line] = world.rows("SELECT * FROM order_line WHERE order_id = %s", order)
    return line


def _told_of_receipts(world: World, order: str) -> list[str]:
    """The events that the order's chain has as receipts."""
    query = "SELECT body FROM ledger_entry WHERE stream = %s AND type = 'order.received' ORDER BY seq"
    bodies = [json.loads(bytes(row["body"])) for row in world.rows(query, f"order:{order}")]
    return [receipt["event_id"] for body in bodies for receipt in body["receipts"]]


def _champion(world: World) -> str:
    [found] = world.rows("SELECT digest FROM model_version WHERE status = 'champion'")
    return str(found["digest"])


def _entries(world: World, model: str) -> list[str]:
    query = "SELECT type FROM ledger_entry WHERE stream = %s ORDER BY seq"
    return [row["type"] for row in world.rows(query, f"model:{model}")]

"""P10, the record is certified by a notary that is killed, lags and goes back in time; and parts are taken away."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.faults.answering import asked, committing, ordered, verdict
from tests.faults.auditors import certified, clean, verified, verified_offline
from tests.faults.cells import Proof, cell
from tests.faults.story import Story
from tests.faults.waiting import until
from tests.faults.world import World
from tests.tampering import Tamperer, tampering

WITHIN_S = 120.0
HELD_S = 600.0
"""Longer than any cell: a process that is held there is killed there."""
BEHIND_S = 3600
POINTS = ("notary.insert:before", "notary.append:before", "notary.append:after", "notary_state.keep:before")
OURS = ("intake", "worker", "console", "notary")


@cell(33, "P10", "notary kill -9, clock back 1 h, sequencer lag")
def notary_in_trouble(world: World) -> Proof:
    """Killed between any two steps of a round; passed by a transaction that began long before it commits; and an hour
    behind. Nothing is signed twice in two ways, and nothing is left out."""
    notary, fired = world.children["notary"], 0
    for point in POINTS[:1] if world.short else POINTS:
        world.arm(point, "delay", HELD_S)
        Story(world).until_release()
        until(partial(world.fired, point), WITHIN_S, f"the failpoint {point}")
        assert notary.alive, "the notary ended before it was killed"
        notary.kill()
        world.restart("notary")
        certified(world, WITHIN_S)
        fired += len(world.fired(point))
    assert notary.said("it is taken back"), "no checkpoint was anchored and not stored when the notary was killed"
    late = _passed_by(world)
    words = _an_hour_behind(world)
    certified(world, WITHIN_S)
    rows = world.rows("SELECT number, size, signed_at FROM ledger_checkpoint ORDER BY number")
    for before, after in pairwise(rows):
        assert before["size"] <= after["size"], f"the log shrank: {before}, {after}"
        assert before["signed_at"] <= after["signed_at"], f"checkpoints went back in time: {before}, {after}"
    return Proof(fired, f"{words}; {late}; {clean(world)}")


def _passed_by(world: World) -> str:
    """An approval whose COMMIT waits, while entries of later transactions are certified: it must get its leaf yet."""
    story = asked(world)
    with committing(story, "pat") as (held, answer):
        Story(world).until_release()
        certified(world, WITHIN_S)
        newest = world.rows("SELECT max(e.written_by) AS n FROM ledger_entry e JOIN ledger_leaf USING (stream, seq)")
        world.proxies["postgres"].release(held)
        status, said = answer.result(WITHIN_S)
    assert status == 200, said
    query = "SELECT written_by FROM ledger_entry WHERE stream = %s AND type = 'verdict.recorded'"
    mine = world.rows(query, story.decided())[0]["written_by"]
    assert mine < newest[0]["n"], f"nothing passed it by: {mine} and {newest}"
    certified(world, WITHIN_S)
    query = "SELECT tree_index FROM ledger_leaf JOIN ledger_entry e USING (stream, seq) WHERE e.written_by = %s"
    leaf = until(lambda: world.rows(query, mine), WITHIN_S, "the leaf of what was passed by")[0]["tree_index"]
    ordered(story)
    return f"transaction {mine} was passed by up to {newest[0]['n']} and has leaf {leaf}"


def _an_hour_behind(world: World) -> str:
    """It signs on, says what is wrong, and repeats the newest time; what it says ends when its clock is right."""
    notary = world.children["notary"]
    right, before = list(notary.argv), _newest(world)
    notary.stop()
    notary.argv = [sys.executable, "-m", "tests.faults.behind", str(BEHIND_S)]
    try:
        world.restart("notary")
        alarm = until(partial(_alarm, world, "clock"), WITHIN_S, "an alarm about the notary's clock")
        Story(world).until_release()
        certified(world, WITHIN_S)
        now = _newest(world)
        assert now["number"] > before["number"], "an hour behind, the notary signed nothing"
    finally:
        notary.argv = right
        world.restart("notary")
    until(lambda: not _alarm(world, "clock"), WITHIN_S, "the end of that alarm")
    return alarm


@cell(34, "P10", "restore yesterday's backup; delete a stream; truncate the tail", world=World)
def record_taken_away(world: World) -> Proof:
    """By the superuser, who recomputes what needs no key. The notary signs none of it, and both verifiers say exactly
    what is missing; with the right database back nobody finds anything."""
    _ordered_one(world)
    yesterday = _kept(world, "yesterday")
    world.heal()
    story = _ordered_one(world)
    decision, order = story.decided(), f"order:{story.order()['order_id']}"
    today = _kept(world, "today")
    had, has = yesterday[1], today[1]
    tail = len(world.rows("SELECT seq FROM ledger_entry WHERE stream = %s", order))
    entry = "1 entries from here on are gone"
    gone: list[tuple[Path, Callable[[Tamperer], None], str, str, dict[str, Any]]] = [
        (yesterday[0], lambda _: None, "rolled_back", f"know {has:,} entries, this ledger ends at {had:,}", {}),
        (today[0], lambda he: he.rewrite(decision, []), "dropped_stream", "", {"stream": decision}),
        (today[0], lambda he: he.rewrite(order, he.chain(order)[:-1]), "dropped_tail", entry,
         {"stream": order, "seq": tail}),
    ]  # fmt: skip
    said = [_found_out(world, *one) for one in gone]
    _put(world, today[0])
    world.heal()
    _ordered_one(world)
    certified(world, WITHIN_S)
    return Proof(len(said), f"{'; '.join(said)}; with the right database back: {clean(world)}")


def _ordered_one(world: World) -> Story:
    story = asked(world)
    status, said = verdict(story, "pat")
    assert status == 200, said
    ordered(story)
    return story


def _kept(world: World, name: str) -> tuple[Path, int]:
    """A copy of the whole database, and how many entries are certified in it; only the database runs afterwards."""
    certified(world, WITHIN_S)
    for ours in OURS:
        world.children[ours].stop()
    size = int(_newest(world)["size"])
    copy = world.state / name
    world.children["postgres"].stop()
    _copied(_data(world), copy)
    world.restart("postgres")
    return copy, size


def _found_out(
    world: World, copy: Path, change: Callable[[Tamperer], None], code: str, words: str, where: dict[str, Any]
) -> str:
    """Put this copy in the database's place, take away, and hear what the notary and the verifiers have to say."""
    _put(world, copy)
    with tampering(world.dsn) as he:
        change(he)
    notary = world.children["notary"]
    world.restart("notary")
    alarm = until(partial(_alarm, world), WITHIN_S, f"an alarm after {code}")
    signed = _newest(world)["number"]
    own, offline = verified(world), verified_offline(world)
    assert notary.alive, "the notary ended instead of refusing"
    assert _newest(world)["number"] == signed, f"the notary signed a ledger with {code}"
    notary.stop()
    assert (own.code, bool(own.report["breaks"])) == (1, True), f"audit verify after {code}: {own}"
    assert (offline.code, offline.report["tampering"]) == (1, [code]), f"verify.py after {code}: {offline.report}"
    [found] = offline.of(code)
    assert where.items() <= found.items(), f"{code} was to be found at {where}: {found}"
    assert words in found["meaning"] + found.get("detail", ""), f"{code} was to say {words}: {found}"
    return f"{code}: {found}; notary: {alarm[:150]}"


def _put(world: World, copy: Path) -> None:
    """This copy in the database's place."""
    world.children["postgres"].stop()
    shutil.rmtree(_data(world))
    _copied(copy, _data(world))
    world.restart("postgres")


def _data(world: World) -> Path:
    return world.state / "pg" / "postgres"


def _copied(source: Path, target: Path) -> None:
    """With its owner: PostgreSQL starts on nobody else's."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _newest(world: World) -> dict[str, Any]:
    """The newest checkpoint."""
    return world.rows("SELECT number, size, signed_at FROM ledger_checkpoint ORDER BY number DESC LIMIT 1")[0]


def _alarm(world: World, kind: str = "") -> str:
    """What the notary says is wrong, now."""
    query = "SELECT kind, detail FROM notary_alarm WHERE ended_at IS NULL AND kind LIKE %s"
    found = world.rows(query, kind or "%")
    return f"{found[0]['kind']}: {found[0]['detail']}" if found else ""

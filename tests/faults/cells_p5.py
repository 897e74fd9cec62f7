"""P5, people answer: at once, twice, by somebody who may not, into dying processes, too late, or forged by others."""

import json
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from temporalio.api.enums.v1 import EventType

from tests.faults.answering import (
    WITHIN_S,
    Answer,
    approvals_of,
    asked,
    committing,
    denied,
    entries_of,
    ordered,
    stock_moves,
    verdict,
    workflow_of,
)
from tests.faults.cells import Proof, cell
from tests.faults.forging import admitted, happened, nobody_is_asked, result_of, temporal, updated
from tests.faults.hand import Hand
from tests.faults.proxy import Catch, Trap
from tests.faults.story import Story
from tests.faults.waiting import until
from tests.faults.world import World

ORDERS = ("I3", "I4", "I10")
AUTHOR, ADOPTER = "pat", "second approver"
"""Of a policy: neither may approve what it governs."""
DIES_AT = ("verdict.tell:after", "approvals.record:after", "approvals.record:before")
SCORING, SCORED_FOR_S = "decisions.load_waiting:after", 15.0
"""Long enough for somebody to approve meanwhile."""
UPDATED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
STEPPED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED


@cell(20, "P5", "two approvers at once; same approver twice; proposer approves", holds=ORDERS, short=True)
def answers_at_once(world: World) -> Proof:
    """Two people, then one person twice, while the first answer is being committed: the second one must find it."""
    one, two = asked(world), asked(world)
    policy = _two_must_sign(world, two.place)
    first, second, caught = _at_once(world, one, "pat", "robin")
    assert (first[0], second[0]) == (200, 409), f"two approvers at once were told {first} and {second}"
    late = verdict(one, "pat")
    assert late[0] == 409, f"the same approver once more was told {late}"
    own = verdict(two, AUTHOR)
    assert own[0] in (403, 409), f"the author of policy {policy} was told {own}"
    first, second, again = _at_once(world, two, "robin", "robin")
    assert (first[0], second[0]) == (200, 409), f"one person twice at once was told {first} and {second}"
    assert first[1]["complete"] is False, f"one signature was enough, and policy {policy} wants two: {first}"
    last = verdict(two, "sam")
    assert (last[0], last[1].get("complete")) == (200, True), f"the second signature was told {last}"
    for story in (one, two):
        ordered(story)
    tried = denied(one), denied(two)
    codes = [[code for _, code in found] for found in tried]
    people = [len({person for person, _ in found}) for found in tried]
    assert codes == [["answered"] * 2, ["own_policy", "signed_already"]], f"denied attempts in the ledger: {tried}"
    assert people == [2, 2], f"the ledger confuses who tried in vain: {tried}"
    return Proof(caught + again, f"both waited for a lock while the first committed; denied attempts: {tried}")


@cell(21, "P5", "update acknowledged, console dies before its reply; retry with the same id", holds=ORDERS, short=True)
def console_dies_with_the_answer(world: World) -> Proof:
    """After the workflow heard of it, after it was stored, and just before: a retry makes no second approval."""
    fired: list[str] = []
    console, relay = world.children["console"], world.children["intake"]
    for point in DIES_AT[:1] if world.short else DIES_AT:
        story, command = asked(world), uuid.uuid4().hex
        seen = str(story.task()["proposal_hash"])
        relay.pause()  # it would tell the workflow too, and perhaps come to the point before the console
        world.arm(point, "crash")
        status, said = verdict(story, "pat", command, seen)
        assert status == 0, f"the console answered {status} {said} and was to die at {point}"
        console.died(WITHIN_S)
        fired += [name for name in world.fired(point) if name.endswith(f".{console.pid}")]
        stored, told = len(approvals_of(story)), happened(world, workflow_of(story), UPDATED)
        expected = (0 if point.endswith("record:before") else 1, int(point.startswith("verdict.tell")))
        assert (stored, told) == expected, f"{stored} approvals and {told} updates when it died at {point}"
        world.restart("console")
        relay.go_on()
        if told:  # nobody noted that it was heard; the relay finds that out, and no retry is needed for it
            until(partial(_noted, story), WITHIN_S, "the note that the answer was heard")
        answers = [verdict(story, "pat", command, seen) for _ in range(2)]
        assert {(status, said.get("approval_id")) for status, said in answers} == {(200, command)}, str(answers)
        world.acknowledged.append(command)
        ordered(story)
        found = len(approvals_of(story)), len(entries_of(story, "verdict.recorded"))
        assert found == (1, 1), f"one answer, sent three times, became {found} approvals and entries"
    return Proof(len(fired), f"the console ended at {', '.join(fired)}; the retries found the approval that was there")


@cell(22, "P5", "Temporal restarted with an admitted update", holds=ORDERS)
def admitted_update_lost(world: World) -> Proof:
    """The server has the update and no worker took it: it is gone with the server. The approval is not: a retry tells
    the workflow again, and without one the relay does."""
    worker, relay = world.children["worker"], world.children["intake"]
    kills, seen = 0, []
    for how in ("retry", "relay"):
        story, command = asked(world), uuid.uuid4().hex
        proposal, name = str(story.task()["proposal_hash"]), workflow_of(story)
        until(partial(happened, world, name, STEPPED), WITHIN_S, "a workflow that waits")
        worker.pause()
        relay.pause()
        with ThreadPoolExecutor(1) as beside:
            asking = beside.submit(verdict, story, "pat", command, proposal)
            until(partial(admitted, world, name, command), WITHIN_S, "the admitted update")
            world.children["temporal"].kill()
            kills += 1
            status, said = asking.result(WITHIN_S)
        assert (status, said.get("heard")) == (200, False), f"the console said {status} {said}, and nobody had heard"
        world.acknowledged.append(command)
        world.restart("temporal")
        known = admitted(world, name, command)
        assert known is None, f"the update outlived the server: admitted is {known}"
        worker.go_on()
        if how == "retry":
            again = partial(verdict, story, "pat", command, proposal)
            until(partial(_heard, again), WITHIN_S, "a retry that is heard")
        relay.go_on()
        ordered(story)
        found = len(approvals_of(story)), len(entries_of(story, "verdict.recorded"))
        assert found == (1, 1), f"one answer became {found} approvals and entries"
        # Its order may be placed by a step that was lost with the server: then the workflow itself is yet to hear.
        until(partial(happened, world, name, UPDATED), WITHIN_S, "the update in the workflow's history")
        until(partial(_noted, story), WITHIN_S, "the note that the answer was heard")
        seen.append(f"{how}: admitted, then unknown to the new server, then accepted")
    return Proof(kills, "; ".join(seen))


@cell(23, "P5", "proposal amended between read and approve", holds=ORDERS, short=True)
def amended_meanwhile(world: World) -> Proof:
    """The new revision is being committed while somebody approves what they saw: refused, whoever waited longer. And
    the other way round: what was approved first stands, and the new revision is none."""
    story, command = asked(world), uuid.uuid4().hex
    old = story.task()
    amending = world.proxies["postgres"].trap(
        Catch.HOLD_REQUEST, old["decision_id"].encode(), b"decision.proposed", b"COMMIT"
    )
    stock_moves(story)
    until(amending.sprung.is_set, WITHIN_S, "the COMMIT of another revision")
    status, said = _while_held(world, amending, partial(verdict, story, "pat", command, old["proposal_hash"]))
    assert status == 409, f"an answer to the earlier revision was told {status} {said}"
    new = until(lambda: now if (now := story.task())["revision"] == 2 else None, WITHIN_S, "revision 2")
    assert new["units"] != old["units"], "the revisions are of equal units"
    tried = denied(story)
    assert [code for _, code in tried] == ["stale"], f"denied attempts in the ledger: {tried}"
    assert not approvals_of(story), "there is an approval of what was amended"
    status, said = story.approve()
    assert status == 200, said
    units = ordered(story)
    assert units == new["units"], f"{units} were ordered, and {new['units']} approved"
    caught = amending.caught
    if not world.short:
        caught += _approved_before_it_was_amended(world)
    return Proof(caught, f"the answer waited for revision 2 and was refused: {tried}")


def _approved_before_it_was_amended(world: World) -> int:
    """It was read to be scored again, and is approved before that is over."""
    story = asked(world)
    old = story.task()
    world.arm(SCORING, "delay", SCORED_FOR_S)
    stock_moves(story)
    until(partial(world.fired, SCORING), WITHIN_S, "another look at the proposal")
    status, said = verdict(story, "pat", "", old["proposal_hash"])
    assert status == 200, said
    units = ordered(story)
    assert units == old["units"], f"{units} were ordered, and {old['units']} approved"
    revisions = len(entries_of(story, "decision.proposed"))
    assert revisions == 1, f"it was approved and then proposed anew: the ledger has {revisions} proposals"
    return len(world.fired(SCORING))


@cell(24, "P5", "forged approve sent straight to Temporal", holds=ORDERS, short=True)
def forged_approval(world: World) -> Proof:
    """By its own command line: updates and a signal with approvals that do not exist or are of another decision, and a
    workflow that claims that nobody is asked. The one that waits believes none, and the database not even the other."""
    other, story = asked(world), asked(world)
    status, real = other.approve()
    assert status == 200, real
    task = story.task()
    decision, name = task["decision_id"], workflow_of(story)
    forged = {"approval_id": uuid.uuid4().hex, "proposal_hash": task["proposal_hash"], "meaning": "approve"}
    heard = [updated(world, name, "submit_verdict", one)
             for one in (forged, {**forged, "approval_id": real["approval_id"]})]  # fmt: skip
    temporal(
        world, "workflow", "signal", "--workflow-id", name, "--name", "verdict_recorded", "--input", json.dumps(forged)
    )
    # Heeded one after the other: when this one is answered, so is the signal.
    heard.append(updated(world, name, "submit_verdict", {**forged, "approval_id": uuid.uuid4().hex}))
    assert heard == [False] * 3, f"the workflow said to forged approvals: {heard}"
    closed = result_of(world, nobody_is_asked(world, task))
    assert closed["state"] == "refused_by_gate", f"a workflow of somebody's own ended as {closed}"
    lines = world.rows("SELECT order_id FROM order_line WHERE need_id = %s", decision)
    booked = [order for order in world.evidence().booked() if order["location"] == story.place]
    assert (lines, booked, story.task()["state"]) == ([], [], "open"), f"forged: {lines} {booked}"
    fired = happened(world, name, UPDATED, SIGNALED)
    status, said = story.approve("robin")
    assert status == 200, said
    for one in (story, other):
        ordered(one)
    marker = f"its history has {fired} forged events; the one of the forger said: {closed['reason']}"
    return Proof(fired, marker if fired >= 4 else "")


def _at_once(world: World, story: Story, one: str, other: str) -> tuple[Answer, Answer, int]:
    """Both approve: the second one while the first one's COMMIT is on its way. What each was told, and how often."""
    with committing(story, one) as (held, first):
        second = _while_held(world, held, partial(verdict, story, other))
        return first.result(WITHIN_S), second, held.caught


def _heard(ask: partial[Answer]) -> bool:
    status, said = ask()
    return status == 200 and bool(said["heard"])


def _noted(story: Story) -> bool:
    return all(row["heard_at"] for row in approvals_of(story))


def _while_held(world: World, held: Trap, ask: partial[Answer]) -> Answer:
    """Ask, see that it waits for the transaction whose COMMIT is held, and let that go on."""
    with ThreadPoolExecutor(1) as beside:
        asking: Future[Answer] = beside.submit(ask)
        until(partial(_waits, world), WITHIN_S, "an answer that waits for a lock")
        world.proxies["postgres"].release(held)
        return asking.result(WITHIN_S)


def _waits(world: World) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%FROM task%%FOR UPDATE%%'"
    return bool(world.rows(query))


def _two_must_sign(world: World, place: str) -> int:
    """A policy for this place, by its author and its adopter; its version."""
    hand = Hand(world)
    document = json.loads(hand.read("/api/v1/policy"))["policy"]
    override = {"location": place, "four_eyes_above": "1"}
    proposed = {**document, "overrides": [*document.get("overrides", ()), override]}
    said = {"document": proposed, "reason": "two people must look", "weeks": 1}
    change = hand.call("POST", "/api/v1/policy/changes", said, person=AUTHOR)["change_id"]
    hand.call("POST", f"/api/v1/policy/changes/{change}/verdict", {"meaning": "approve"}, person=ADOPTER)
    return int(json.loads(hand.read("/api/v1/policy"))["policy"]["version"])

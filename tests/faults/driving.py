"""What brings a world to its failpoints: each driver does one thing that people or machines do, and sees it done.

A driver works on a fresh place or a fresh name each time, waits for what must come of it, and repeats what it got no
answer to; so it ends well whatever single failure happens in between, or there is a violation to report.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from urllib.parse import quote

from tests.faults.hand import Hand, as_json
from tests.faults.producing import Told, clock, counted
from tests.faults.seed import DEAR, PLAIN
from tests.faults.story import MORNING, Story
from tests.faults.waiting import until

WITHIN_S = 300.0
"""Several drives go on at once, and each crash of a worker costs whoever was in it half a minute."""
AS_JSON = {"Content-Type": "application/json"}
Drive = Callable[[Hand], None]


@dataclass(frozen=True)
class Driver:
    """One thing to do. `alone`: not beside others, for it concerns all of them."""

    name: str
    drive: Drive
    alone: bool = False


_drivers: dict[str, Driver] = {}


def driver(alone: bool = False) -> Callable[[Drive], Drive]:
    """The function below is a driver."""

    def keep(drive: Drive) -> Drive:
        name = drive.__name__.replace("_", " ")
        _drivers[name] = Driver(name, drive, alone)
        return drive

    return keep


def all_drivers() -> list[Driver]:
    """In the order in which they are surveyed: what several reach is driven by the first."""
    return list(_drivers.values())


def _story(hand: Hand, item: str) -> Story:
    return Story(hand.world, item, within_s=WITHIN_S)


def _waiting(hand: Hand) -> tuple[Story, str]:
    story = _story(hand, DEAR)
    story.empty()
    story.decided()
    return story, str(story.task()["decision_id"])


def _answer(hand: Hand, story: Story, meaning: str) -> None:
    """Answer what the task shows at that moment; a proposal that moved in between is looked at again."""

    def answered() -> bool:
        rows = hand.world.rows("SELECT * FROM task WHERE location = %s AND item = %s", story.place, story.item)
        if rows and rows[0]["state"] != "open":
            return True
        body = {"meaning": meaning, "proposal_hash": rows[0]["proposal_hash"]}
        if meaning == "reject":
            body["reason"] = "not_needed"
        path = f"/api/v1/tasks/{rows[0]['decision_id']}/verdict"
        receipt = hand.call("POST", path, body, okay=(200, 409))
        if "approval_id" in receipt:
            hand.world.acknowledged.append(receipt["approval_id"])
        return "approval_id" in receipt

    until(answered, WITHIN_S, f"an answer to {story.place}")


def _row(hand: Hand, query: str, *arguments: object, what: str) -> dict[str, object]:
    return until(lambda: next(iter(hand.world.rows(query, *arguments)), None), WITHIN_S, what)


@driver()
def idle(hand: Hand) -> None:
    """Whatever goes on by itself: an entry of the ledger comes under the notary's next checkpoint."""
    hand.read("/api/v1/ledger?stream=nothing")  # that it was read is on the record
    entries = hand.world.rows("SELECT count(*) AS n FROM ledger_entry")[0]["n"]
    query = "SELECT 1 AS ok FROM ledger_checkpoint WHERE size >= %s LIMIT 1"
    _row(hand, query, entries, what="a checkpoint over it")


def _restarted(hand: Hand, name: str) -> None:
    """Stop one of ours in good order; whoever watches over it starts it again."""
    child = hand.world.children[name]
    was = child.pid
    child.stop()
    until(
        lambda: child.pid != was and child.alive and (child.ready is None or child.ready()), WITHIN_S, f"{name} again"
    )


@driver(alone=True)
def a_start_of_intake(hand: Hand) -> None:
    """It is over when the partitions are intake's again: what it does then belongs to nobody else's drive."""
    epochs = "SELECT coalesce(sum(owner_epoch), 0) AS n FROM kafka_position"
    before = hand.world.rows(epochs)[0]["n"]
    _restarted(hand, "intake")
    until(lambda: hand.world.rows(epochs)[0]["n"] > before, WITHIN_S, "intake with its partitions")


@driver(alone=True)
def a_start_of_worker(hand: Hand) -> None:
    """As it says."""
    _restarted(hand, "worker")


@driver(alone=True)
def a_start_of_console(hand: Hand) -> None:
    """As it says."""
    _restarted(hand, "console")


@driver(alone=True)
def a_start_of_notary(hand: Hand) -> None:
    """As it says."""
    _restarted(hand, "notary")


@driver()
def an_order(hand: Hand) -> None:
    """From an empty shelf to goods that have arrived, and nobody asked."""
    story = _story(hand, PLAIN)
    story.play()
    story.deliver()
    order = story.in_state("received", "closed")
    query = "SELECT 1 AS ok FROM purchase_order WHERE order_id = %s AND told_at IS NOT NULL"
    _row(hand, query, order["order_id"], what="the order's workflow told of its end")


@driver()
def an_approved_order(hand: Hand) -> None:
    """A person agrees."""
    story, _ = _waiting(hand)
    _answer(hand, story, "approve")
    story.released()
    story.cutoff()
    story.placed()


@driver()
def a_rejection(hand: Hand) -> None:
    """A person does not."""
    story, decision = _waiting(hand)
    _answer(hand, story, "reject")
    _row(
        hand,
        "SELECT 1 AS ok FROM replenishment WHERE decision_id = %s AND state = 'rejected'",
        decision,
        what="the end",
    )


@driver()
def an_expiry(hand: Hand) -> None:
    """Nobody answers until it is too late."""
    story, decision = _waiting(hand)
    late = story.task()["expire_at"] + timedelta(minutes=1)
    story.tell(clock(story.place, late))
    _row(hand, "SELECT 1 AS ok FROM task WHERE decision_id = %s AND state = 'expired'", decision, what="the expiry")
    query = "SELECT 1 AS ok FROM replenishment WHERE decision_id = %s AND state <> 'proposed'"
    _row(hand, query, decision, what="the end of the expired proposal")


@driver()
def a_moved_world(hand: Hand) -> None:
    """Stock comes from nowhere while a task waits: it is proposed anew, or taken back."""
    story, decision = _waiting(hand)
    units = 5 * int(story.task()["units"])
    at = MORNING + timedelta(minutes=10)
    story.tell(counted(story.place, DEAR, units, at), clock(story.place, at + timedelta(minutes=5)))
    query = "SELECT 1 AS ok FROM decision WHERE decision_id = %s AND revision > 1"
    _row(hand, query, decision, what="another revision")


@driver()
def work_on_a_task(hand: Hand) -> None:
    """Everything that people do with a task before they answer."""
    story, decision = _waiting(hand)
    task = f"/api/v1/tasks/{decision}"
    hand.call("POST", f"{task}/claim")
    hand.call("POST", f"{task}/unclaim")
    hand.call("POST", f"{task}/snooze", {"until_receipt": True})
    hand.call("POST", f"{task}/wake")
    hand.call("POST", f"{task}/comments", {"text": "why so many?"})
    hand.call("POST", f"{task}/forward", {"to": "robin", "note": "yours"})
    hand.call("POST", f"{task}/rescore", {})
    query = "SELECT 1 AS ok FROM task WHERE decision_id = %s AND NOT rescore_wanted"
    _row(hand, query, decision, what="the workflow told of the wish")
    _answer(hand, story, "reject")
    comments = hand.world.rows("SELECT count(*) AS n FROM task_comment WHERE decision_id = %s", decision)[0]["n"]
    assert comments == 2, f"two things were said about {decision}, and {comments} are kept"


@driver()
def views_and_substitutes(hand: Hand) -> None:
    """What a person arranges for themselves."""
    view = hand.call("POST", "/api/v1/views", {"name": uuid.uuid4().hex[:8], "view": "team"})
    hand.call("DELETE", f"/api/v1/views/{view['view_id']}", okay=(204, 404))
    away = {"substitute": "robin", "first_day": "2099-01-01", "last_day": "2099-01-02"}
    hand.call("POST", "/api/v1/substitutes", away)
    hand.call("DELETE", "/api/v1/substitutes/pat/2099-01-01", okay=(204, 404))


@driver()
def a_dead_letter(hand: Hand) -> None:
    """Something that nobody can read is kept, told, and sent again by two people."""
    body = f"no event at all {uuid.uuid4().hex}".encode()
    garbage = Told("qm.stock", "P000/NOTHING", uuid.uuid4().hex, body, "P000")
    hand.teller.tell(garbage)
    query = "SELECT * FROM dead_letter WHERE payload_sha256 = %s AND published_at IS NOT NULL ORDER BY 1 LIMIT 1"
    letter = _row(hand, query, garbage.sha256, what="a dead letter")
    path, why = f"/api/v1/dead-letters/{letter['dead_letter_id']}/redrive", {"reason": "mended"}
    asked = hand.call("POST", path, why)["redrive_id"]
    hand.call("POST", f"/api/v1/redrives/{asked}/withdraw")
    asked = hand.call("POST", path, why)["redrive_id"]
    hand.call("POST", f"/api/v1/redrives/{asked}/decline", {"reason": "not yet"}, person="robin")
    asked = hand.call("POST", path, why)
    meant = {"payload_sha256": asked["payload_sha256"]}
    hand.call("POST", f"/api/v1/redrives/{asked['redrive_id']}/confirm", meant, person="robin")
    query = "SELECT 1 AS ok FROM dead_letter WHERE dead_letter_id = %s AND redriven_at IS NOT NULL"
    _row(hand, query, letter["dead_letter_id"], what="the redrive")


@driver()
def a_stop(hand: Hand) -> None:
    """An order is held back by a switch, and goes when it is lifted."""
    story = _story(hand, PLAIN)
    order = story.until_release()
    said = {"scope": "location", "subject": story.place, "reason": "look first"}
    stop = hand.call("POST", "/api/v1/stops", said)
    story.cutoff()
    query = "SELECT 1 AS ok FROM purchase_order WHERE order_id = %s AND held_by IS NOT NULL"
    _row(hand, query, order, what="a held order")
    hand.call("POST", f"/api/v1/stops/{stop['stop_id']}/lift", {"reason": "seen"})
    story.placed()


@driver()
def an_answer_that_was_lost(hand: Hand) -> None:
    """The supplier carries an order out, and nobody hears of it."""
    story = _story(hand, PLAIN)
    story.until_release()
    hand.world.ask_supplier("/faults", {"mode": "drop_response"})
    story.cutoff()
    story.placed()


@driver(alone=True)  # a console makes one copy of the record at a time
def an_audit(hand: Hand) -> None:
    """What an auditor reads is on the record."""
    stream = hand.world.rows("SELECT stream FROM ledger_entry WHERE type = 'decision.proposed' LIMIT 1")[0]["stream"]
    hand.read(f"/api/v1/ledger?stream={quote(stream)}")
    hand.read(f"/api/v1/ledger/chain?stream={quote(stream)}")
    hand.read(f"/api/v1/ledger/export?stream={quote(stream)}")
    hand.call("POST", "/api/v1/ledger/verify")
    hand.ask(
        "POST",
        "/api/v1/ledger/pack",
        json.dumps({"decision": stream}).encode(),
        {**AS_JSON, "Idempotency-Key": uuid.uuid4().hex},
    )


@driver()
def a_policy(hand: Hand) -> None:
    """One person proposes another policy, a second one says no."""
    document = as_json(hand.command("policy", "show", "--json"))
    known = document.get("policy", document)
    proposed = {**known, "usual_quantity_factor": str(1000 + uuid.uuid4().int % 1000)}
    said = {"document": proposed, "reason": "try it", "weeks": 1}
    change = hand.call("POST", "/api/v1/policy/changes", said)
    number = (change.get("change") or change)["change_id"]
    path = f"/api/v1/policy/changes/{number}/verdict"
    hand.call("POST", path, {"meaning": "reject", "reason": "no"}, person="robin")


@driver()
def pages(hand: Hand) -> None:
    """Somebody new looks around, makes a token, and signs out everywhere."""
    name = f"n{uuid.uuid4().hex[:8]}"  # nobody may have many tokens, and signing out ends everybody's beside it
    hand.command("people", "add", name, "--role", "planner")
    browser = hand.browser(name)
    for path in ("/", "/inbox", "/money", "/policies", "/what-if"):
        browser.page(path)
    browser.send("/account", "/account/tokens", {"label": uuid.uuid4().hex[:8], "days": "3"})
    browser.send("/notices", "/notices", {"mode": "digest"})
    browser.send("/account", "/account/sign-out-everywhere", {})


@driver()
def people_and_tokens(hand: Hand) -> None:
    """An admin at the command line adds somebody, gives them a token, and disables them."""
    name = f"t{uuid.uuid4().hex[:8]}"
    hand.command("people", "add", name, "--role", "planner")
    made = as_json(hand.command("people", "token", name, "--for", "a till", "--json"))
    hand.read("/api/v1/orders", token=made["token"])
    hand.command("people", "revoke", made["token_id"])
    hand.command("people", "disable", name)


@driver()
def a_demand_adjustment(hand: Hand) -> None:
    """Somebody knows better what was sold, and takes it back."""
    place = hand.world.place()
    said = ("--from", "2025-02-10", "--units", "3", "--reason", "the till was broken", "--json")
    made = as_json(hand.command("demand", "adjust", PLAIN, place, *said))
    adjustment = made.get("adjustment_id") or made["adjustment"]["adjustment_id"]
    hand.command("demand", "withdraw", adjustment, "--reason", "it was not")


@driver()
def an_erasure(hand: Hand) -> None:
    """Somebody who was here for a moment is forgotten."""
    name = f"e{uuid.uuid4().hex[:8]}"
    hand.command("people", "add", name, "--role", "planner", "--email", f"{name}@example.org")
    hand.command("people", "erase", name, "--reason", "request", "--yes")


@driver()
def files(hand: Hand) -> None:
    """A spreadsheet is taken away, changed, and brought back."""
    table = hand.read("/api/v1/files/items").decode()
    head, *rows = table.strip().splitlines()
    changed = "\n".join([head, *(row.replace("things", f"things {uuid.uuid4().int % 1000}") for row in rows)]) + "\n"
    kind = {"Content-Type": "text/csv", "Idempotency-Key": uuid.uuid4().hex}
    hand.ask("POST", "/api/v1/files/items", changed.encode(), kind)


@driver()
def an_outcome(hand: Hand) -> None:
    """The horizon of a decision passes, and it is measured."""
    story = _story(hand, PLAIN)
    order = story.play()
    decision = hand.world.rows("SELECT need_id FROM order_line WHERE order_id = %s", order["order_id"])[0]["need_id"]
    horizon = hand.world.rows("SELECT horizon_end FROM decision WHERE decision_id = %s", decision)[0]["horizon_end"]
    story.deliver()
    story.tell(clock(story.place, datetime.combine(horizon + timedelta(days=2), time(), UTC)))
    _row(hand, "SELECT 1 AS ok FROM outcome WHERE decision_id = %s", decision, what="the outcome")


@driver()
def a_new_key(hand: Hand) -> None:
    """The notary signs with another key from now on."""
    query = "SELECT count(*) AS n FROM notary_key"
    before = hand.world.rows(query)[0]["n"]
    hand.command("notary", "rotate", "--reason", "a drill")
    until(lambda: hand.world.rows(query)[0]["n"] > before, WITHIN_S, "another key of the notary")


@driver()
def a_replay(hand: Hand) -> None:
    """Decisions are made again, and the histories of their workflows read."""
    hand.command("audit", "replay", "--sample", "5", "--json")
    hand.command("audit", "workflows", "--all", "--json")
    hand.command("audit", "histories", "--json")


@driver()
def a_migration(hand: Hand) -> None:
    """The schema is brought up to date."""
    hand.command("migrate")

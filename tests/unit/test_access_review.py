"""An access review is what the ledger's entries add up to on a day: rights, duties that met, answers and refusals."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from workflows.domain.access_review import NO_PEOPLE, STRANGERS, AccessReview, ConflictKind
from workflows.domain.controls import SHOWN, Counting
from workflows.domain.evidence import EvidenceMissing
from workflows.domain.identity import canonical, digest, rfc3339
from workflows.domain.ledger import GENESIS, Entry, EntryType
from workflows.domain.policies import Policy
from workflows.domain.policy_timeline import timeline_of
from workflows.domain.reviewing import Reviewing

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
DAY, SINCE = date(2026, 3, 31), date(2026, 3, 1)
ADA, BEN, CAI = "p-aaaaaaaaaaaa", "p-bbbbbbbbbbbb", "p-cccccccccccc"
HASH = digest(b"a proposal")


class Nothing:
    """Evidence that is not there: no policy here is long enough to lie in it."""

    def get(self, sha256: str) -> bytes:
        raise EvidenceMissing(f"nothing is kept under {sha256}")


def entry(
    stream: str, kind: EntryType, actor: str, body: Mapping[str, Any], *, minutes: float = 0, seq: int = 1
) -> Entry:  # fmt: skip
    at, raw = rfc3339(START + timedelta(minutes=minutes)), canonical(body)
    return Entry(
        stream=stream, seq=seq, type=kind, actor=actor, occurred_at=at, recorded_at=at, body=raw,
        body_sha256=digest(raw), prev_hash=GENESIS, hash=digest([stream, seq]),
    )  # fmt: skip


def granted(person: str, *roles: str, by: str = ADA, minutes: float = 0, **more: Any) -> Entry:
    after = {"roles": list(roles), "locations": None, "approval_limit": None, "disabled": False, **more}
    body = {"before": None, "after": after, "channel": "cli"}
    return entry(f"person:{person}", EntryType.PERSON_CHANGED, by, body, minutes=minutes)


def answered(
    person: str, meaning: str, decision: str = "L:A:1", *, minutes: float, kind: EntryType = EntryType.VERDICT_RECORDED,
    **more: Any,
) -> Entry:  # fmt: skip
    return entry(decision, kind, person, {"meaning": meaning, "proposal_hash": HASH, **more}, minutes=minutes)


def opened(decision: str = "L:A:1", *, minutes: float) -> Entry:
    return entry(decision, EntryType.TASK_OPENED, "engine", {"hash": HASH}, minutes=minutes)


def reviewed(*entries: Entry, on: date = DAY, since: date = SINCE) -> AccessReview:
    policies = [one for one in entries if one.type in (EntryType.POLICY_ADOPTED, EntryType.POLICY_PROPOSED)]
    reviewing = Reviewing(on, since, timeline_of(policies, Nothing()))
    reviewing.take(entries)
    return reviewing.result()


def kinds(review: AccessReview, person: str) -> set[ConflictKind]:
    return {one.kind for one in review.conflicts if one.person == person}


def test_rights_are_those_of_the_newest_change_and_since_when_and_by_whom() -> None:
    review = reviewed(
        granted(BEN, "viewer", minutes=1),
        granted(BEN, "approver", by=CAI, minutes=5, approval_limit="500", locations=["LEEDS"]),
        granted(BEN, "approver", by=ADA, minutes=9, approval_limit="500", locations=["LEEDS"], email=True),
    )
    (one,) = review.people
    assert (one.person, one.roles, one.state) == (BEN, ("approver",), "active")
    assert (one.approval_limit, one.locations) == (Decimal(500), ("LEEDS",))
    assert one.approves
    assert (one.since, one.granted_by) == (START + timedelta(minutes=5), CAI), "an address is no right"
    assert (one.known_since, one.changes) == (START + timedelta(minutes=1), 3)


def test_who_is_disabled_or_erased_can_do_nothing() -> None:
    gone = entry(f"person:{CAI}", EntryType.PERSON_ERASED, ADA, {"reason": "request"}, minutes=9)
    review = reviewed(granted(BEN, "approver", disabled=True), granted(CAI, "approver"), gone)
    assert [(one.person, one.state, one.permissions) for one in review.people] == [
        (BEN, "disabled", ()), (CAI, "erased", ()),
    ]  # fmt: skip
    assert review.conflicts == ()


def test_duties_that_meet_in_one_persons_rights_are_named() -> None:
    review = reviewed(granted(ADA, "admin", "approver", "auditor"), granted(BEN, "planner"), granted(CAI, "auditor"))
    assert kinds(review, ADA) >= {
        ConflictKind.APPROVES_AND_GRANTS_RIGHTS, ConflictKind.APPROVES_AND_SETS_LIMITS, ConflictKind.AUDITS_AND_ACTS,
    }  # fmt: skip
    assert kinds(review, BEN) == set()
    assert kinds(review, CAI) == set()


def test_granting_oneself_rights_is_named() -> None:
    assert ConflictKind.GRANTED_OWN_RIGHTS in kinds(reviewed(granted(ADA, "admin", by=ADA)), ADA)


def test_who_approved_under_a_policy_of_their_own_is_named() -> None:
    first, second = Policy(), Policy(version=2, auto_value_limit=Decimal(2000))
    adopted = [
        entry("installation", EntryType.POLICY_ADOPTED, "test", {"digest": first.digest, "policy": first}),
        entry("policy:c", EntryType.POLICY_PROPOSED, BEN, {"change": "c", "policy": second}, minutes=1),
        entry("policy:c", EntryType.POLICY_APPROVED, ADA, {"change": "c"}, minutes=2),
        entry("installation", EntryType.POLICY_ADOPTED, ADA,
              {"change": "c", "base": first.digest, "digest": second.digest, "policy": second}, minutes=2),
        entry("L:A:1", EntryType.DECISION_PROPOSED, "engine", {"decision": {"policy_digest": second.digest}},
              minutes=3),
    ]  # fmt: skip
    review = reviewed(*adopted, answered(BEN, "approve", minutes=4), answered(CAI, "approve", "L:B:1", minutes=5))
    (one,) = [one for one in review.conflicts if one.kind is ConflictKind.APPROVED_UNDER_OWN_POLICY]
    assert (one.person, one.what) == (BEN, "L:A:1")
    assert (review.policy.version, review.policy.proposed_by, review.policy.adopted_by) == (2, BEN, ADA)
    before = reviewed(*adopted, on=date(2026, 2, 27), since=date(2026, 2, 1))
    assert (before.policy.version, before.policy.since) == (1, None), "what comes later was not in force"
    own = entry("policy:c", EntryType.POLICY_APPROVED, BEN, {"change": "c"}, minutes=2)
    assert kinds(reviewed(*adopted[:2], own), BEN) == {ConflictKind.ADOPTED_OWN_POLICY}


def test_two_signatures_of_one_person_are_named() -> None:
    first = answered(BEN, "approve", minutes=2, kind=EntryType.VERDICT_SIGNED, signatures_needed=2)
    own = reviewed(first, answered(BEN, "approve", minutes=3, signatures_needed=2))
    assert kinds(own, BEN) == {ConflictKind.SIGNED_TWICE}
    assert kinds(reviewed(first, answered(CAI, "approve", minutes=3, signatures_needed=2)), CAI) == set()
    anew = answered(BEN, "approve", minutes=3, signatures_needed=2, proposal_hash=digest(b"what it became"))
    assert kinds(reviewed(first, anew), BEN) == set(), "another proposal, of which the first signature says nothing"


def test_answers_are_counted_with_their_rate_and_time() -> None:
    review = reviewed(
        granted(BEN, "approver"),
        opened(minutes=1), answered(BEN, "approve", minutes=1.1),
        opened("L:B:1", minutes=1), answered(BEN, "approve_edited", "L:B:1", minutes=3),
        opened("L:C:1", minutes=1), answered(BEN, "reject", "L:C:1", minutes=61),
        answered(BEN, "approve", minutes=70, kind=EntryType.VERDICT_REFUSED),
        answered("clock", "expire", "L:D:1", minutes=80),
    )  # fmt: skip
    (one,) = review.answers
    assert (one.approved, one.edited, one.rejected, one.refused) == (1, 1, 1, 1)
    assert (one.approve_share, one.median_seconds, one.quick, one.known) == (Decimal("0.667"), 120, 1, True)


def test_before_people_were_kept_it_says_so() -> None:
    review = reviewed(opened(minutes=1), answered("pat", "approve", minutes=2))
    assert review.notes == (NO_PEOPLE,)
    (one,) = review.answers
    assert not one.known
    assert reviewed(granted(BEN, "approver"), answered("pat", "approve", minutes=2)).notes == (STRANGERS,)


def test_a_policy_that_cannot_be_read_is_said_to_be() -> None:
    lost = entry("installation", EntryType.POLICY_ADOPTED, ADA, {"digest": HASH, "policy": {"evidence": HASH}})
    review = reviewed(granted(BEN, "approver"), lost)
    assert review.policy.version == 1
    assert any(HASH[:12] in one for one in review.notes), review.notes


def test_what_was_blocked_is_counted_by_control_reason_and_person() -> None:
    counting = Counting()
    refused = [
        entry("L:A:1", EntryType.VERDICT_REFUSED, BEN, {"code": "own_policy", "refused": "NotAllowed"}, seq=n)
        for n in range(1, 4)
    ]
    left_out = entry(f"person:{CAI}", EntryType.ACCESS_REFUSED, CAI, {"what": "POST", "why": "no", "left_out": 7})
    counting.take([*refused, left_out])
    found = counting.result(SINCE, DAY, ())
    assert [(one.type, one.code, one.entries) for one in found.blocked] == [
        ("access.refused", "no", 1), ("verdict.refused", "own_policy", 3),
    ]  # fmt: skip
    assert [(one.actor, one.entries) for one in found.by_person] == [(BEN, 3), (CAI, 1)]
    assert (found.entries, found.only_counted) == (4, 7)
    assert found.attempts[0].type == "access.refused", "the newest first"


def test_a_flood_of_attempts_is_counted_whole_and_listed_in_part() -> None:
    counting = Counting()
    counting.take(
        entry("L:A:1", EntryType.VERDICT_REFUSED, BEN, {"code": "stale"}, seq=n) for n in range(1, 3 * SHOWN + 2)
    )
    found = counting.result(SINCE, DAY, ())
    assert (found.entries, len(found.attempts)) == (3 * SHOWN + 1, SHOWN)
    assert found.attempts[0].seq == 3 * SHOWN + 1

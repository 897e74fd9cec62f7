"""The state of the record and what checking it found, in words that an auditor can repeat."""

from collections.abc import Sequence
from typing import NamedTuple

from console.formats import number
from console.words import Word
from workflows.domain.auditing import Certified, RecordState
from workflows.domain.checkup import age
from workflows.domain.ledger import Verification
from workflows.domain.remaking import Remade
from workflows.domain.replay import Verdict

LATE_S = 300.0
"""Nothing waits so long while a notary runs."""
CERTIFIED, WAITS = Word("certified", "check", "good"), Word("not certified yet", "dash", "warn")


def standing(state: RecordState) -> Word:
    """How far the record is certified, in one sentence."""
    waiting, newest = state.waiting, state.checkpoint
    refusing = [one for one in state.alarms if not one.only_warns]
    if refusing:
        return Word("The notary refuses to go on: what is told below comes first.", "cross", "bad")
    if newest is None:
        words = "No notary has signed anything yet: nothing outside the database proves what is in it."
        return Word(words, "alert", "warn")
    if (waiting.oldest_seconds or 0) >= LATE_S:
        oldest = age(waiting.oldest_seconds or 0)
        words = f"{_entries(waiting.entries)} without a checkpoint, the oldest for {oldest}: the notary may not run."
        return Word(words, "alert", "warn")
    signed = f"{_entries(newest.size)} under checkpoint {number(newest.number)}"
    if not waiting.entries:
        return Word(f"Every entry is certified: {signed}.", "check", "good")
    return Word(f"{signed}; {number(waiting.entries)} newer, to be certified within a minute or two.", "check", "good")


def _entries(count: int) -> str:
    return f"{number(count)} entr{'y' if count == 1 else 'ies'}"


def verified_in_words(found: Verification) -> list[Word]:
    """What recomputing everything found: a sentence each for chains, tree, what waits, anchors and losses."""
    told = [
        Word(
            f"{_entries(found.entries)} in {number(found.streams)} chains were recomputed, and "
            + ("every hash is what was written." if found.ok else "not all is what was written."),
            "check" if found.ok else "cross",
        )
    ]
    if found.checkpoints:
        tree = f"{number(found.leaves)} leaves of the notary's tree and {number(found.checkpoints)} signed checkpoints"
        told.append(Word(f"{tree} were recomputed and compared with them, signatures and keys too.", "check"))
    else:
        told.append(Word("No checkpoint was signed: nothing proves yet that not all was written anew.", "alert"))
    if found.unsealed:
        oldest = f", the oldest for {age(found.oldest_unsealed_s)}" if found.oldest_unsealed_s is not None else ""
        told.append(Word(f"{_entries(found.unsealed)} not under a checkpoint yet{oldest}.", "dash"))
    if found.anchored_leaves is None:
        words = "The anchors cannot be seen from here: that nothing was cut off the end was not checked."
        told.append(Word(words, "alert"))
    else:
        told.append(
            Word(f"{number(found.anchored_leaves)} leaves and {number(found.anchored_checkpoints or 0)} checkpoints of "
                 "the anchors were compared.", "check")
        )  # fmt: skip
    return [*told, *(Word(f"Loss: {one}", "alert") for one in found.losses)]


class ReplayTold(NamedTuple):
    """One revision that was made again."""

    made: Remade
    word: Word
    sentence: str


def replay_in_words(remade: Sequence[Remade]) -> list[ReplayTold]:
    """Each revision's verdict."""
    return [_told(one) for one in remade]


def _told(one: Remade) -> ReplayTold:
    found = one.replayed
    compared = f"{number(found.compared)} recorded values were computed again from the ledger and the evidence alone"
    match found.verdict:
        case Verdict.EQUAL:
            return ReplayTold(one, Word("Equal", "check", "good"), f"{compared}, and every one is the same.")
        case Verdict.INCOMPLETE:
            words = f"{compared}; all are the same, but not all of the evidence that should be there can be used."
            return ReplayTold(one, Word("Incomplete", "alert", "warn"), words)
    apart = len(found.deviations)
    words = f"{compared}, and {number(apart)} {'is' if apart == 1 else 'are'} not what was recorded."
    return ReplayTold(one, Word("Different", "cross", "bad"), words)


def badge(certified: Certified | None, stream: str, seq: int) -> Word | None:
    """Whether an entry is under a signed checkpoint; None where nobody certifies."""
    return None if certified is None else CERTIFIED if certified.covers(stream, seq) else WAITS

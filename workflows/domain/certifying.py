"""What keeps the notary from signing, or makes it warn, and the words for it."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from workflows.domain.identity import rfc3339
from workflows.domain.ledger import GENESIS, Entry, chain_hash
from workflows.domain.notary import Checkpoint, NotaryRefuses, SignedCheckpoint

SKEW = timedelta(minutes=1)
"""So far may the notary's clock and the database's be apart without an alarm."""


def certified(loaded: Sequence[tuple[Entry, str | None]], asked: int) -> list[Entry]:
    """The entries, each recomputed; beside each is the stored hash of the one before it in its chain.

    Raises:
        NotaryRefuses: naming the first that is not what was written.
    """
    for entry, before in loaded:
        if (problem := problem_of(entry, before)) is not None:
            raise NotaryRefuses(
                "broken",
                f"entry {entry.seq} of {entry.stream} ({entry.type}, {entry.recorded_at}) cannot be certified: "
                f"{problem}. Nothing is signed until it is what was written, which a backup has",
            )
    if len(loaded) != asked:
        raise NotaryRefuses("broken", "entries disappeared while they were being certified")
    return [entry for entry, _ in loaded]


def problem_of(entry: Entry, previous: str | None) -> str | None:
    """Why this entry cannot be certified; None when it can. `previous` is the stored hash of the entry before it."""
    if hashlib.sha256(entry.body).hexdigest() != entry.body_sha256:
        return "its body is not what its digest says"
    if chain_hash(entry) != entry.hash:
        return "its hash is not that of its content"
    if entry.seq == 1:
        return None if entry.prev_hash == GENESIS else "it is the first of its chain and names one before it"
    if previous is None:
        return f"entry {entry.seq - 1} of its chain is missing"
    return None if entry.prev_hash == previous else "it does not follow the entry before it"


def lost(known: Checkpoint, source: str, size: int, newest: Sequence[str]) -> str:
    """The words for a database that has less than was signed; `newest` says what it has."""
    has = f"the newest of them recorded at {newest[0]}" if newest else "none"
    return (
        f"{source} shows a signed checkpoint over {known.size:,} entries of {rfc3339(known.time)}, but the database "
        f"has leaves for {size:,} ({has}): {known.size - size:,} certified entries are missing. An older backup was "
        "restored, or somebody removed them. Nothing is signed. Restore a newer backup (or recover to the latest "
        "point in time); if they are gone for good: `quartermaster notary accept-loss --reason WHY`"
    )


def clock_warning(moment: datetime, ledger_time: datetime, last: SignedCheckpoint | None) -> str | None:
    """What is wrong with the notary's clock; None when it can be believed."""
    if last is not None and moment < last.signed_at:
        return (
            f"the notary's clock says {rfc3339(moment)}, earlier than the newest checkpoint "
            f"({rfc3339(last.signed_at)}): checkpoints repeat that time until the clock has passed it"
        )
    if abs(moment - ledger_time) > SKEW:
        apart = (moment - ledger_time).total_seconds()
        return f"the notary's clock is {apart:+.0f} s from the database's; each checkpoint has both"
    return None

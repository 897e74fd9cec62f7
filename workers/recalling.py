"""What a notary makes sure of before it signs anything: that nothing it ever signed is contradicted or gone.

It reads every leaf once, and compares the database with its own memory (outside of the database) and with the anchor.
"""

import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connectors.notary_folder import NotaryFolder
from connectors.postgres.notary import PostgresNotary
from connectors.signing import SEED_BYTES, NoteSigner, verify
from workflows.domain.certifying import lost
from workflows.domain.errors import InvalidInput
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.notary import (
    ACTOR,
    STREAM,
    Checkpoint,
    InstalledKey,
    NotaryRefuses,
    SignedCheckpoint,
    Standing,
    State,
    VerifierKey,
    read_note,
)
from workflows.domain.tree import Frontier, Place, entry_leaf

log = logging.getLogger(__name__)

LOSS = "loss"


@dataclass
class Recalled:
    """Where a notary goes on from."""

    store: PostgresNotary
    signer: NoteSigner
    keys: list[InstalledKey]
    frontier: Frontier
    """Of all leaves that there are; the newest checkpoint may cover fewer."""
    last: SignedCheckpoint | None
    state: State | None
    anchored: int
    """Leaves that the anchor has."""
    horizon: int = 0
    """Entries of earlier transactions have their leaf; 0: look at all."""
    losses: list[str] = field(default_factory=list)
    """What was signed and is gone, where somebody is about to accept it."""

    def key(self, key_id: str) -> VerifierKey | None:
        """One of the keys that were ever installed."""
        return next((VerifierKey.parse(one.verifier_key) for one in self.keys if one.key_id == key_id), None)


def first_key(folder: NotaryFolder, store: PostgresNotary, standing: Standing) -> NoteSigner:
    """Make the installation's name and its first key: only where nothing was ever signed.

    Raises:
        NotaryRefuses: there is a trace of an earlier notary.
    """
    traces = [
        *(["the database knows a notary's key"] if store.keys() else []),
        *([f"{folder.key_file.with_name('notary.json')} remembers a checkpoint"] if folder.state() else []),
        *(["the anchor is not empty"] if not standing.empty else []),
    ]
    if traces:
        raise NotaryRefuses(
            "key",
            f"there is no notary's key in {folder.key_file}, but {' and '.join(traces)}: a notary worked here before, "
            "and a new key is never made over what an old one signed. Restore the key and notary.json beside it from "
            "their backup, or name the right place in QM_NOTARY_KEY_FILE (and give each installation an anchor of its "
            "own: QM_ANCHOR_DIRECTORY)",
        )
    signer = NoteSigner(f"quartermaster/{secrets.token_hex(6)}", secrets.token_bytes(SEED_BYTES))
    folder.keep_key(signer)
    log.info("this installation is %s; its first notary's key is in %s", signer.key.name, folder.key_file)
    return signer


def installation(signer: NoteSigner, at: datetime) -> tuple[InstalledKey, NewEntry]:
    """The first key and what the ledger says of it."""
    key = InstalledKey(
        key_id=signer.key.key_id, verifier_key=signer.key.text, first_checkpoint=1, installed_at=at
    )  # fmt: skip
    return key, key_entry(key, ACTOR)


def key_entry(key: InstalledKey, actor: str) -> NewEntry:
    """What the ledger says of a key."""
    kind = EntryType.KEY_INSTALLED if key.statement is None else EntryType.KEY_ROTATED
    return NewEntry(stream=STREAM, type=kind, actor=actor, occurred_at=key.installed_at, body=key.line())


def recompute(store: PostgresNotary, sizes: Iterable[int]) -> tuple[Frontier, dict[int, Frontier]]:
    """Read every leaf: the frontier of all, and those at the sizes that somebody signed.

    Raises:
        NotaryRefuses: a leaf is missing, or a subtree that is kept is not that of its leaves.
    """
    wanted, at, kept = set(sizes), dict[int, Frontier](), store.nodes()
    completed: dict[Place, bytes] = {}
    frontier = Frontier()
    if 0 in wanted:
        at[0] = frontier.copy()
    for index, entry_hash in store.leaf_hashes():
        if index != frontier.size:
            raise NotaryRefuses(LOSS, f"leaf {frontier.size} is missing from the database: somebody removed it")
        frontier.append(entry_leaf(entry_hash), completed.__setitem__)
        if frontier.size in wanted:
            at[frontier.size] = frontier.copy()
    if kept != completed:
        level, index = min(set(kept.items()) ^ set(completed.items()))[0]
        raise NotaryRefuses("fork", f"the kept subtree {index} of level {level} is not that of its leaves")
    return frontier, at


def recall(
    store: PostgresNotary, folder: NotaryFolder, standing: Standing, signer: NoteSigner, *, accepting: bool = False
) -> Recalled:
    """Compare everything with everything, take back what a crash kept from the database, and say where to go on.

    Raises:
        NotaryRefuses: something that was signed is gone (unless `accepting`, which lists it) or contradicted.
    """
    keys, state, last = store.keys(), folder.state(), store.latest()
    at = Recalled(store, signer, keys, Frontier(), last, state, standing.next_leaf)
    if accepting and (not keys or keys[-1].verifier_key != signer.key.text):
        # The database is from before this key: it signs its own replacement.
        at.keys = keys = [*keys, installation(signer, now())[0]]
    if not keys or keys[-1].verifier_key != signer.key.text:
        newest = keys[-1].key_id if keys else "none"
        raise NotaryRefuses(
            "key", f"the key in {folder.key_file} is {signer.key.key_id} of {signer.key.name}, and the newest that the "
            f"database knows is {newest}: the key is another installation's or an older copy, or an older backup of "
            "the database was restored"
        )  # fmt: skip
    if state is not None and state.origin != signer.key.name:
        raise NotaryRefuses("state", f"{folder.key_file.parent} remembers checkpoints of {state.origin}")
    unknown = _unknown(at, standing)
    signed = [("the database", _checked(at, last.note))] if last else []
    if last and (last.size, last.root) != (signed[0][1].size, signed[0][1].root):
        raise NotaryRefuses("fork", f"the row of checkpoint {last.number} does not say what its note says")
    # After an accepted loss the newest checkpoint may still be one of the log before.
    signed = [one for one in signed if one[1].origin == signer.key.name]
    remembered = [("the notary's own memory", _checked(at, state.note))] if state else []
    remembered += [("the anchor", _checked(at, note)) for note in unknown]
    at.frontier, frontiers = recompute(store, [one.size for _, one in [*signed, *remembered]])
    _leaves_are_entries(at)
    _leaves_are_anchored(at, standing, accepting)
    for source, one in [*signed, *remembered]:
        if one.size > at.frontier.size:
            _missing(at, lost(one, source, at.frontier.size, _newest(store, at.frontier.size)), accepting)
        elif frontiers[one.size].root().hex() != one.root:
            raise NotaryRefuses(
                "fork",
                f"the first {one.size:,} leaves of the database do not have the root that {source} has in a signed "
                f"checkpoint of {one.time.isoformat()}: leaves were changed",
            )
    if not at.losses:
        _take_back(at, unknown, frontiers)
    _memory_is_older(at, accepting)
    return at


def _unknown(at: Recalled, standing: Standing) -> Sequence[str]:
    """Anchored checkpoints that the database does not have: a crash came between anchor and database."""
    notes, last = list(standing.notes), at.last
    if not notes or (last and last.note == notes[-1]):
        return []
    if last is None:
        return notes
    if last.note in notes:
        return notes[len(notes) - notes[::-1].index(last.note) :]
    # An anchor that is behind is gone on with; one that begins later knows what the database lost.
    return [note for note in notes if read_note(note).checkpoint.time > last.signed_at]


def _checked(at: Recalled, note: str) -> Checkpoint:
    """What a note says, if one of the known keys signed it.

    Raises:
        NotaryRefuses: none did.
    """
    try:
        found = read_note(note)
    except InvalidInput as error:
        raise NotaryRefuses("fork", f"a stored checkpoint is damaged: {error}") from None
    known = [VerifierKey.parse(one.verifier_key) for one in at.keys]
    if not any(found.signed_by(key, verify) for key in known):
        raise NotaryRefuses(
            "fork",
            f"a checkpoint of {found.checkpoint.origin} over {found.checkpoint.size:,} entries is signed by none of "
            "this installation's keys: the anchor belongs to another one, or somebody wrote it",
        )
    return found.checkpoint


def _leaves_are_entries(at: Recalled) -> None:
    if changed := at.store.altered():
        index, stream, seq, there = changed
        what = "was changed" if there else "was removed"
        raise NotaryRefuses("broken", f"entry {seq} of {stream} {what} after it was certified (leaf {index})")


def _leaves_are_anchored(at: Recalled, standing: Standing, accepting: bool) -> None:
    """The anchor's newest leaves are the database's: named one by one where they are not."""
    if standing.recent:
        first = min(standing.recent)[0]
        have = {leaf.index: leaf for leaf in at.store.leaves(first, standing.next_leaf)}
        for index, stream, seq, entry_hash in standing.recent:
            found = have.get(index)
            if found is None:
                _missing(
                    at, f"the anchor has leaf {index:,} (entry {seq} of {stream}), and the database has leaves to "
                    f"{at.frontier.size - 1:,}: an older backup was restored, or somebody removed them. Restore a "
                    "newer backup; if they are gone for good: `quartermaster notary accept-loss --reason WHY`",
                    accepting,
                )  # fmt: skip
                return
            if (found.stream, found.seq, found.hash) != (stream, seq, entry_hash):
                raise NotaryRefuses(
                    "fork", f"leaf {index} is entry {seq} of {stream} in the anchor, and entry {found.seq} of "
                    f"{found.stream} with another hash in the database"
                )  # fmt: skip


def _missing(at: Recalled, words: str, accepting: bool) -> None:
    at.losses.append(words)
    if not accepting:
        raise NotaryRefuses(LOSS, words)


def _newest(store: PostgresNotary, size: int) -> list[str]:
    return [leaf.recorded_at for leaf in store.leaves(max(0, size - 1), size)]


def _take_back(at: Recalled, notes: Sequence[str], frontiers: dict[int, Frontier]) -> None:
    """Store what was signed and anchored, and what a crash kept from the database."""
    for note in notes:
        found, last = read_note(note), at.last
        frontier = frontiers[found.checkpoint.size]
        key_id = next(one.key_id for one in at.keys if found.signed_by(VerifierKey.parse(one.verifier_key), verify))
        at.last = SignedCheckpoint(
            number=last.number + 1 if last else 1, size=frontier.size, root=frontier.root().hex(),
            signed_at=found.checkpoint.time, key_id=key_id, note=note,
            frontier=tuple(root.hex() for root in frontier.roots), horizon=last.horizon if last else 0,
        )  # fmt: skip
        at.store.insert(at.last)
        log.warning("checkpoint %d was anchored and not stored: it is taken back", at.last.number)


def _memory_is_older(at: Recalled, accepting: bool) -> None:
    state, last = at.state, at.last
    if state is None or at.losses:
        return
    if last is None or state.number > last.number:
        _missing(
            at, f"the notary's own memory has checkpoint {state.number}, and the database has "
            f"{f'none after {last.number}' if last else 'none'}: an older backup was restored. Restore a newer one, or "
            "`quartermaster notary accept-loss --reason WHY`", accepting
        )  # fmt: skip
    elif state.number == last.number and state.note != last.note:
        raise NotaryRefuses("fork", f"checkpoint {state.number} in the database is not the one that this notary signed")


def now() -> datetime:
    """The notary's clock."""
    return datetime.now(UTC)
